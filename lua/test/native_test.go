package test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProcesses forks, and runs several Lua states in threads, on every Lua.
func TestProcesses(t *testing.T) {
	cc := need(t, "cc")
	eachLua(t, func(t *testing.T, lua interpreter) {
		headers, err := exec.Command("../../scripts/install-lua", "--headers", lua.abi).Output()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		out, err := exec.Command(cc, "-shared", "-fPIC", "-pthread", "-I", strings.TrimSpace(string(headers)),
			"-o", filepath.Join(dir, "native.so"), "native/native.c").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		report(t, lua.run(t, "suite/?.lua;"+"native", "-e", "package.cpath = '"+dir+"/?.so;' .. package.cpath", "native/processes.lua"))
	})
}
