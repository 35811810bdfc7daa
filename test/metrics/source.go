package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A file is one Go file of the product: no test, and nothing that only tests use.
type file struct {
	name  string // relative to the repository
	room  string
	lines int
	text  string
	ast   *ast.File
}

// source is the repository's text.
type source struct {
	folder string
	set    *token.FileSet
	files  []*file
	tests  []*file  // Go files that are not the product's
	others []string // names of all other files
}

// rooms are the folders that the figures are told of; a folder within one belongs to it,
// but internal/ has a room in each.
func room(name string) string {
	folders := strings.Split(path.Dir(name), "/")
	switch {
	case folders[0] == ".":
		return "hermetic"
	case folders[0] == "internal":
		return folders[0] + "/" + folders[1]
	default:
		return folders[0]
	}
}

// core reports whether a room belongs to the core.
func core(room string) bool { return room == "hermetic" || strings.HasPrefix(room, "internal/") }

// public reports whether others can import the file's package.
func (f *file) public() bool {
	return f.ast.Name.Name != "main" && !slices.Contains(strings.Split(f.name, "/"), "internal")
}

// read reads the repository, as git knows it.
func read(folder string) (*source, error) {
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z")
	cmd.Dir = folder
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	s := &source{folder: folder, set: token.NewFileSet()}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := s.text(name)
		if err != nil {
			continue // deleted, and not committed yet
		}
		if !strings.HasSuffix(name, ".go") {
			s.others = append(s.others, name)
			continue
		}
		f := &file{name: name, room: room(name), text: text, lines: strings.Count(text, "\n")}
		if f.ast, err = parser.ParseFile(s.set, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, "_test.go") || f.room == "test" || f.room == "internal/pkitest" || strings.HasPrefix(name, "lua/test/") {
			s.tests = append(s.tests, f)
		} else {
			s.files = append(s.files, f)
		}
	}
	return s, nil
}

func (s *source) text(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(s.folder, name))
	return string(text), err
}

// line is the line of a position, as FILE:LINE.
func (s *source) line(p token.Pos) string {
	at := s.set.Position(p)
	return at.Filename + ":" + strconv.Itoa(at.Line)
}
