package test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestOriginal runs the original module's own test scripts, unchanged, on every Lua.
// HERMETIC_ORIGINAL_TESTS names the folder that holds test-mbedtls.lua, of one
// release or, in folders below, of many; they are not part of this repository. Their
// transport joins datagrams.
func TestOriginal(t *testing.T) {
	folder := os.Getenv("HERMETIC_ORIGINAL_TESTS")
	if folder == "" {
		t.Skip("HERMETIC_ORIGINAL_TESTS does not name the folder of the original's tests")
	}
	var scripts []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.Name() == "test-mbedtls.lua" {
			scripts = append(scripts, path)
		}
		return err
	})
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%s has no test-mbedtls.lua: %v", folder, err)
	}
	for _, script := range scripts {
		t.Run(script, func(t *testing.T) {
			text, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			release := "0.1"
			if bytes.Contains(text, []byte("closenotify")) {
				release = "0.2"
			}
			t.Setenv("HERMETIC_LUA_COMPAT", release)
			eachLua(t, func(t *testing.T, lua interpreter) { lua.run(t, ".", script) })
			t.Run("gopher", func(t *testing.T) { runGopher(t, script) })
		})
	}
}
