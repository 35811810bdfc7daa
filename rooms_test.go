package hermetic

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// roomOf returns the name that a package of this repository has in the drawing of
// docs/architecture.md, or "" if the drawing leaves it out.
func roomOf(folder string) string {
	first, rest, _ := strings.Cut(folder, "/")
	switch {
	case folder == ".":
		return "root"
	case first == "internal" && (rest == "pkitest" || rest == "roomtest"), first == "examples", first == "test":
		return ""
	case first == "internal":
		return rest
	case first == "trace" && rest != "":
		return "sinks"
	}
	return first
}

// graph is which rooms each room imports.
type graph map[string]map[string]bool

func (g graph) add(from, to string) {
	if g[from] == nil {
		g[from] = map[string]bool{}
	}
	g[from][to] = true
}

// reach returns the rooms that a room imports, directly or through others.
func (g graph) reach(from string, seen map[string]bool) map[string]bool {
	for to := range g[from] {
		if !seen[to] {
			seen[to] = true
			g.reach(to, seen)
		}
	}
	return seen
}

// imports reads the imports of all packages, whatever their build tags.
func imports(t *testing.T) graph {
	const module = "github.com/hermetic-tls/hermetic"
	g := graph{}
	err := filepath.WalkDir(".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "testdata" || len(e.Name()) > 1 && e.Name()[0] == '.'):
			return fs.SkipDir
		case filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		from := roomOf(filepath.ToSlash(filepath.Dir(name)))
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil || from == "" {
			return err
		}
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			folder, ours := strings.CutPrefix(path+"/", module+"/")
			if folder = strings.TrimSuffix(folder, "/"); folder == "" {
				folder = "."
			}
			if to := roomOf(folder); ours && to != "" && to != from {
				g.add(from, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var (
	drawing = regexp.MustCompile("(?s)```mermaid\ngraph TD\n(.*?)```")
	label   = regexp.MustCompile(`\[[^\]]*\]`)
	arrow   = regexp.MustCompile(`^  (\w+(?: & \w+)*) --> (\w+(?: & \w+)*)$`)
)

// TestDrawing compares the drawing in docs/architecture.md with the imports: what it shows is
// imported, it shows all rooms and ways, and no arrow that a longer way implies.
func TestDrawing(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	found := drawing.FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/architecture.md has no drawing")
	}
	drawn, real := graph{}, imports(t)
	for line := range strings.Lines(string(found[1])) {
		sides := arrow.FindStringSubmatch(label.ReplaceAllString(strings.TrimSuffix(line, "\n"), ""))
		if sides == nil {
			t.Fatalf("the drawing has the line %q, want A & B --> C & D", line)
		}
		for from := range strings.SplitSeq(sides[1], " & ") {
			for to := range strings.SplitSeq(sides[2], " & ") {
				drawn.add(from, to)
			}
		}
	}
	for from, to := range drawn {
		for _, to := range slices.Sorted(maps.Keys(to)) {
			if !real[from][to] {
				t.Errorf("%s --> %s: there is no such import", from, to)
			}
			for way := range drawn[from] {
				if way != to && drawn.reach(way, map[string]bool{})[to] {
					t.Errorf("%s --> %s: the way over %s implies it", from, to, way)
				}
			}
		}
	}
	for from, to := range real {
		shown := drawn.reach(from, map[string]bool{})
		for _, to := range slices.Sorted(maps.Keys(to)) {
			if !shown[to] {
				t.Errorf("%s imports %s, and the drawing does not show it", from, to)
			}
		}
	}
}

// TestRoomsAreListed: the table of rooms in docs/architecture.md has each folder with Go code.
func TestRoomsAreListed(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, pattern := range []string{"*/*.go", "internal/*/*.go", "trace/*/*.go", "cmd/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			folders = append(folders, filepath.ToSlash(filepath.Dir(f)))
		}
	}
	if folders = slices.Compact(folders); len(folders) < 20 {
		t.Fatalf("only %d folders: %q", len(folders), folders)
	}
	for _, f := range folders {
		row := regexp.MustCompile("(?m)^\\| .*`" + regexp.QuoteMeta(f) + "`.* \\|")
		if !row.Match(text) {
			t.Errorf("the table has no row for %s", f)
		}
	}
}
