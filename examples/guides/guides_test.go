// Package guides runs the programs of docs/guide.
package guides

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A block is the content of a fence in a Markdown file.
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

// build builds a program from a file or folder, relative to this module.
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

// run returns the output of a program.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of a program that hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "GNET_LOGGING_LEVEL=2") // errors only
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
				got = run(t, build(t, save(t, "main.go", program.text)))
			case "lua":
				got = run(t, build(t, "../../cmd/hermetic"), "lua", save(t, "program.lua", program.text))
			default:
				t.Fatalf("a program in %q", program.language)
			}
			if got != want {
				t.Errorf("it prints\n%s, and the guide says\n%s", got, want)
			}
		})
	}
}
