package test

import "testing"

// TestCertificateCompression installs the module with all compressors, and runs handshakes with
// each on every Lua.
func TestCertificateCompression(t *testing.T) {
	t.Setenv("HERMETIC_TEST_FILES", makeFiles(t))
	prefix := installAs(t, "--certcompress")
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
