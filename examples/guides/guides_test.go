// Package guides runs the programs of docs/guide and README.md.
package guides

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A block is what stands in a fence of a Markdown file.
type block struct{ language, text string }

func blocks(t *testing.T, file string) (all []block) {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split("\n"+string(page), "\n```") {
		if language, text, ok := strings.Cut(part, "\n"); ok && i%2 == 1 {
			all = append(all, block{language, text + "\n"})
		}
	}
	return all
}

// build makes a program of a file or folder, seen from this module.
func build(t *testing.T, source string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func save(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// run returns what a program prints.
func run(t *testing.T, folder, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of a program that hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "GNET_LOGGING_LEVEL=2") // errors only
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
	}
	return string(out)
}

// TestGuides: each guide starts with a complete program, and says next what it prints.
func TestGuides(t *testing.T) {
	guides, err := filepath.Glob("../../docs/guide/*.md")
	if err != nil || len(guides) < 8 {
		t.Fatalf("%d guides, %v", len(guides), err)
	}
	for _, guide := range guides {
		t.Run(strings.TrimSuffix(filepath.Base(guide), ".md"), func(t *testing.T) {
			t.Parallel()
			all := blocks(t, guide)
			if len(all) < 2 || all[1].language != "text" {
				t.Fatal("it does not start with a program and what that prints")
			}
			program, want := all[0], all[1].text
			var got string
			switch program.language {
			case "go":
				got = run(t, "", build(t, save(t, "main.go", program.text)))
			case "lua":
				got = run(t, "", build(t, "../../cmd/hermetic"), "lua", save(t, "program.lua", program.text))
			default:
				t.Fatalf("a program in %q", program.language)
			}
			if got != want {
				t.Errorf("it prints\n%s, and the guide says\n%s", got, want)
			}
		})
	}
}

// TestReadme: the server and the client of README.md, with the files that hermetic cert makes.
func TestReadme(t *testing.T) {
	var programs []string
	for _, b := range blocks(t, "../../README.md") {
		if b.language == "go" && strings.Contains(b.text, "\nfunc main()") {
			programs = append(programs, b.text)
		}
	}
	if len(programs) != 2 {
		t.Fatalf("README.md has %d programs, not a server and a client", len(programs))
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close() // a port that is free as a rule
	var built []string
	for _, text := range programs {
		built = append(built, build(t, save(t, "main.go", strings.ReplaceAll(text, "localhost:4433", "localhost:"+port))))
	}
	folder := t.TempDir()
	run(t, folder, build(t, "../../cmd/hermetic"), "cert")

	ctx, cancel := context.WithCancel(t.Context())
	server := exec.CommandContext(ctx, built[0])
	server.Dir = folder
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer cancel()
	if _, err := stdout.Read(make([]byte, 100)); err != nil { // it says that it listens
		t.Fatal(err)
	}
	if got := run(t, folder, built[1]); got != "TLS 1.3: hello\n" {
		t.Errorf("the client prints %q", got)
	}
}
