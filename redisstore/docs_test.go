package redisstore

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOperatorsPage: the program of docs/fleet.md builds, and the rights that it shows are
// those of doc.go.
func TestOperatorsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(page), "```go\n")
	program, _, _ = strings.Cut(program, "```")
	example, err := filepath.Abs("../examples/fleet/main.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{example: filepath.Join(dir, "main.go")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"main.go": program, "overlay": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay"), "-o", filepath.Join(dir, "fleet"), ".")
	build.Dir = filepath.Dir(example)
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	var rights []string
	for _, arg := range documentedRights(t) {
		rights = append(rights, arg.(string))
	}
	if line := strings.Join(rights, " "); !strings.Contains(string(page), "\n"+line+"\n") {
		t.Errorf("it does not show %q", line)
	}
}
