package test

import (
	"os"
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

// TestEngineMissing: require needs no engine. Without one, or with something else, the first use
// says what is missing and what to do.
func TestEngineMissing(t *testing.T) {
	lua := known[3]
	lua.need(t)
	module, err := os.ReadFile(filepath.Join(install(t, lua.abi), "lib/lua", lua.abi, "mbedtls.so"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"No such file": nil, "file too short": {}, "invalid ELF header": []byte(strings.Repeat("x", 4096))} {
		dir := t.TempDir()
		writeFile(t, dir, "mbedtls.so", module)
		if content != nil {
			writeFile(t, dir, "mbedtls-go.so", content)
		}
		cmd := exec.Command(lua.command, "-e", `
			local ssl, md = require 'mbedtls.ssl', require 'mbedtls.md'
			for _ = 1, 2 do
				print(select(2, pcall(ssl.newconfig, 'tls-client')))
				print(select(2, pcall(md.hash, 'MD5', '')))
			end`)
		cmd.Env = append(os.Environ(), "LUA_CPATH="+dir+"/?.so")
		out, err := cmd.CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if err != nil || len(lines) != 4 {
			t.Fatalf("%v: %s", err, out)
		}
		for _, line := range lines {
			if !strings.HasPrefix(line, "the engine of mbedtls.so cannot be loaded: "+dir+"/mbedtls-go.so: ") ||
				!strings.Contains(line, name) || !strings.HasSuffix(line, "; install both again, in one folder") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
