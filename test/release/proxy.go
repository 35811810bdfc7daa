package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// writeProxy writes the modules of repo to folder in the layout of a module proxy
// (https://go.dev/ref/mod#goproxy-protocol), as their tags would publish them.
func writeProxy(repo, folder string) error {
	all, err := modules(repo)
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := m.publish(repo, folder); err != nil {
			return fmt.Errorf("%s: %w", m.modulePath(), err)
		}
	}
	return nil
}

func (m *module) publish(repo, folder string) error {
	at := filepath.Join(folder, m.modulePath(), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(repo, m.folder, "go.mod"))
	if err != nil {
		return err
	}
	content, err := m.zip(repo)
	if err != nil {
		return err
	}
	info := fmt.Sprintf("{\"Version\":%q,\"Time\":%q}\n", version, time.Now().UTC().Format(time.RFC3339))
	for name, data := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": []byte(info), version + ".mod": mod, version + ".zip": content} {
		if err := os.WriteFile(filepath.Join(at, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// zip is the module's archive. A module without a license has the root's, as
// https://go.dev/ref/mod#vcs-license says.
func (m *module) zip(repo string) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	sources := make(map[string]string)
	if !slices.Contains(m.files, "LICENSE") {
		sources["LICENSE"] = filepath.Join(repo, "LICENSE")
	}
	for _, name := range m.files {
		sources[name] = filepath.Join(repo, m.folder, name)
	}
	for name, source := range sources {
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		f, err := w.Create(path.Join(m.modulePath()+"@"+version, name))
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// environment is one in which the go command finds the modules in the proxy, and all others
// where it finds them otherwise. The module cache is a new one too, in cache: what is in
// our modules now is not what their tags will have.
func environment(proxy, cache string) ([]string, error) {
	text, err := output(".", "go", "env", "-json", "GOMODCACHE", "GOPROXY", "GONOSUMDB", "GOFLAGS")
	if err != nil {
		return nil, err
	}
	var now struct{ GOMODCACHE, GOPROXY, GONOSUMDB, GOFLAGS string }
	if err := json.Unmarshal([]byte(text), &now); err != nil {
		return nil, err
	}
	return append(os.Environ(),
		"GOPROXY=file://"+proxy+",file://"+now.GOMODCACHE+"/cache/download,"+now.GOPROXY,
		"GONOSUMDB="+strings.Trim(root+","+now.GONOSUMDB, ","),
		"GOPRIVATE=", "GONOPROXY=", "GOWORK=off",
		"GOMODCACHE="+cache,
		// With -trimpath what was built is found again, although the cache is elsewhere.
		"GOFLAGS="+strings.TrimSpace(now.GOFLAGS+" -modcacherw -trimpath"),
	), nil
}

// run runs a command in a folder as if the modules of repo were published.
func run(repo, folder, name string, args ...string) error {
	temporary, err := os.MkdirTemp("", "modproxy")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := writeProxy(repo, filepath.Join(temporary, "proxy")); err != nil {
		return err
	}
	// Sums of our own modules are of an earlier state.
	sums, err := os.ReadFile(filepath.Join(folder, "go.sum"))
	if err == nil {
		ours := regexp.MustCompile(`(?m)^` + root + `[ /].*\n`)
		err = os.WriteFile(filepath.Join(folder, "go.sum"), ours.ReplaceAll(sums, nil), 0o644)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = folder, os.Stdin, os.Stdout, os.Stderr
	if cmd.Env, err = environment(filepath.Join(temporary, "proxy"), filepath.Join(temporary, "cache")); err != nil {
		return err
	}
	return cmd.Run()
}
