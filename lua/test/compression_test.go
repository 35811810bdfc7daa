package test

import (
	"os/exec"
	"testing"
)

// TestCertificateCompression installs the module with all compressors, and runs handshakes with
// each on every Lua.
func TestCertificateCompression(t *testing.T) {
	t.Setenv("HERMETIC_TEST_FILES", makeFiles(t))
	prefix := t.TempDir()
	if out, err := exec.Command("../../scripts/install-lua", "--certcompress", "--prefix", prefix).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, lua := range known {
		t.Run(lua.name, func(t *testing.T) {
			need(t, lua.command)
			cmd := lua.cmd(t.Context(), "suite", "compression/compression.lua")
			cmd.Env = append(cmd.Env, "LUA_CPATH="+prefix+"/lib/lua/"+lua.abi+"/?.so")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			report(t, string(out))
		})
	}
}
