package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// root is the path of the root module; the path of another one is root and its folder.
const root = "github.com/hermetic-tls/hermetic"

// version is the version of all modules.
const version = "v" + hermetic.Version

// A module is one of the repository's.
type module struct {
	folder   string   // "." for the root
	files    []string // relative to the folder, without those of the modules in it
	requires []requirement
	replaces int
}

type requirement struct{ Path, Version string }

// modulePath is what imports name.
func (m *module) modulePath() string { return path.Join(root, m.folder) }

// tag is how git names the module's version.
func (m *module) tag() string { return path.Join(m.folder, version) }

// modules are those of the working tree at repo: each comes after those that it requires.
func modules(repo string) ([]*module, error) {
	files, err := output(repo, "git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z")
	if err != nil {
		return nil, err
	}
	byFolder := make(map[string]*module)
	names := slices.DeleteFunc(strings.Split(files, "\x00"), func(name string) bool {
		info, err := os.Lstat(filepath.Join(repo, name))
		return err != nil || !info.Mode().IsRegular() // deleted, or a link, which a module's zip leaves out
	})
	for _, name := range names {
		if path.Base(name) == "go.mod" {
			m := &module{folder: path.Dir(name)}
			if err := m.parse(filepath.Join(repo, name)); err != nil {
				return nil, err
			}
			byFolder[m.folder] = m
		}
	}
	for _, name := range names {
		folder := path.Dir(name)
		for byFolder[folder] == nil && folder != "." {
			folder = path.Dir(folder)
		}
		if m := byFolder[folder]; m != nil {
			m.files = append(m.files, strings.TrimPrefix(name, folder+"/"))
		}
	}
	return sorted(byFolder), nil
}

// parse reads what a go.mod requires of the other modules.
func (m *module) parse(file string) error {
	text, err := output(".", "go", "mod", "edit", "-json", file)
	if err != nil {
		return err
	}
	var parsed struct {
		Module  struct{ Path string }
		Require []requirement
		Replace []any
	}
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		return err
	}
	if parsed.Module.Path != m.modulePath() {
		return fmt.Errorf("%s is named %s, want %s", file, parsed.Module.Path, m.modulePath())
	}
	for _, r := range parsed.Require {
		if r.Path == root || strings.HasPrefix(r.Path, root+"/") {
			m.requires = append(m.requires, r)
		}
	}
	m.replaces = len(parsed.Replace)
	return nil
}

// sorted puts each module after those that it requires.
func sorted(byFolder map[string]*module) []*module {
	var order []*module
	var visit func(*module)
	visit = func(m *module) {
		if slices.Contains(order, m) {
			return
		}
		for _, r := range m.requires {
			folder := strings.TrimPrefix(strings.TrimPrefix(r.Path, root), "/")
			if other := byFolder[path.Clean(folder)]; other != nil {
				visit(other)
			}
		}
		order = append(order, m)
	}
	folders := make([]string, 0, len(byFolder))
	for folder := range byFolder {
		folders = append(folders, folder)
	}
	slices.Sort(folders)
	for _, folder := range folders {
		visit(byFolder[folder])
	}
	return order
}

// output runs a command in a folder.
func output(folder, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}
