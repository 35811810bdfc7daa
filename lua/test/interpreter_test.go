// Package test runs the Lua modules: one suite of Lua tests on every Lua there
// is, on gopher-lua too; real sockets; the examples; and nonsense.
package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// interpreter is a real Lua with the C module installed for it.
type interpreter struct {
	name    string // 5.1 … 5.4 or jit
	command string
	abi     string // the version in paths
}

var known = []interpreter{
	{"5.1", "lua5.1", "5.1"},
	{"5.2", "lua5.2", "5.2"},
	{"5.3", "lua5.3", "5.3"},
	{"5.4", "lua5.4", "5.4"},
	{"jit", "luajit", "5.1"},
}

// TestInstallMistakes: what is wrong is said last, and nothing is installed.
func TestInstallMistakes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "file")
	writeFile(t, dir, "lua.h", []byte("#define LUA_VERSION_NUM\t\t505\n"))
	for args, want := range map[string]string{
		"--prefix":                          "--prefix needs a value; see install-lua --help",
		"--prefix=":                         "--prefix needs a value; see install-lua --help",
		"--lua 5.4 --lua":                   "--lua needs a value; see install-lua --help",
		"--lua 6":                           "no such version: 6; there are 5.1, 5.2, 5.3, 5.4 and jit",
		"5.4":                               "what is 5.4? See install-lua --help",
		"--lua 5.4 --include DIR":           "--include says which Lua it is: leave out --lua",
		"--include=DIR/no":                  "there is no DIR/no/lua.h",
		"--include DIR":                     "DIR/lua.h says no version from 5.1 to 5.4",
		"--lua 5.4 --prefix DIR/file/below": "DIR/file/below/lib/lua/5.4 cannot be written; --prefix names a folder that can",
	} {
		args, want = strings.ReplaceAll(args, "DIR", dir), strings.ReplaceAll(want, "DIR", dir)
		out, err := exec.Command("../../scripts/install-lua", strings.Fields(args)...).CombinedOutput()
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if exit := new(exec.ExitError); !errors.As(err, &exit) || lines[len(lines)-1] != "install-lua: "+want {
			t.Errorf("%s: %v, %q", args, err, out)
		}
	}
}

// TestInstallSays: where the module is, also LuaJIT's, which is that of 5.1, and
// how to have it found where Lua does not look.
func TestInstallSays(t *testing.T) {
	need(t, "lua5.1")
	need(t, "luajit")
	// The engine is not what is tested: this go copies the one that is there.
	built, bin := filepath.Join(install(t, "5.1"), "lib/lua/5.1/mbedtls-go.so"), t.TempDir()
	copies := "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\ncp '" + built + "' \"$2\"\n"
	if err := os.WriteFile(bin+"/go", []byte(copies), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	prefix := t.TempDir()
	folder, shared := prefix+"/lib/lua/5.1", prefix+"/share/lua/5.1"
	run := func() string {
		out, err := exec.Command("../../scripts/install-lua", "--lua", "5.1", "--lua", "jit", "--prefix", prefix).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	hint := "  %[1]s does not look there by itself: LUA_CPATH='%[2]s/?.so;;' LUA_PATH='%[3]s/?.lua;;' %[1]s ...\n"
	where, same := "lua 5.1: "+folder+"/mbedtls.so\n", "lua jit: "+folder+"/mbedtls.so, the same\n"
	want := where + fmt.Sprintf(hint, "lua5.1", folder, shared) + same + fmt.Sprintf(hint, "luajit", folder, shared)
	t.Setenv("LUA_CPATH", "")
	if got := run(); got != want {
		t.Errorf("off Lua's path:\n%swant\n%s", got, want)
	}
	t.Setenv("LUA_CPATH", folder+"/?.so;;")
	if got, want := run(), where+same; got != want {
		t.Errorf("on Lua's path:\n%swant\n%s", got, want)
	}
	// LuaSec that is there stays.
	writeFile(t, shared, "ssl.lua", []byte("return 'LuaSec'\n"))
	left := "  " + shared + "/ssl.lua is another module's, such as LuaSec: left as it is\n"
	if got, want := run(), where+left+same; got != want {
		t.Errorf("over LuaSec:\n%swant\n%s", got, want)
	}
	if text, err := os.ReadFile(shared + "/ssl.lua"); string(text) != "return 'LuaSec'\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestWarnings: a warning of today's C compiler is an error of tomorrow's, and
// then nobody can install the module.
func TestWarnings(t *testing.T) {
	cc := need(t, "cc")
	sources, err := filepath.Glob("../cmodule/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	for _, lua := range known {
		t.Run(lua.name, func(t *testing.T) {
			headers, err := exec.Command("../../scripts/install-lua", "--headers", lua.name).Output()
			if err != nil {
				t.Fatal(err)
			}
			if len(headers) == 0 {
				missing(t, "lua.h of "+lua.name)
			}
			args := append([]string{"-std=gnu99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", strings.TrimSpace(string(headers))}, sources...)
			if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// installed is where scripts/install-lua has put the module, for every Lua whose headers are
// there: one build of the engine serves all.
var installed struct {
	sync.Once
	prefix string
	said   []byte
	err    error
}

func TestMain(m *testing.M) {
	if os.Getenv(runScript) != "" {
		runAsScript()
	}
	code := m.Run()
	if installed.prefix != "" {
		os.RemoveAll(installed.prefix)
	}
	os.Exit(code)
}

// install installs the module, once, and returns the prefix. There must be the headers for a
// version.
func install(t *testing.T, abi string) string {
	t.Helper()
	installed.Do(func() {
		if installed.prefix, installed.err = os.MkdirTemp("", "lua"); installed.err == nil {
			installed.said, installed.err = exec.Command("../../scripts/install-lua", "--prefix", installed.prefix).CombinedOutput()
		}
	})
	if installed.err != nil {
		t.Fatalf("install-lua: %v\n%s", installed.err, installed.said)
	}
	if _, err := os.Stat(filepath.Join(installed.prefix, "lib/lua", abi, "mbedtls.so")); err != nil {
		t.Fatalf("install-lua: %v\n%s", err, installed.said)
	}
	return installed.prefix
}

// installAs installs a separate build, for every Lua whose headers are there.
func installAs(t *testing.T, option string) (prefix string) {
	t.Helper()
	prefix = t.TempDir()
	if out, err := exec.Command("../../scripts/install-lua", option, "--prefix", prefix).CombinedOutput(); err != nil {
		t.Fatalf("install-lua %s: %v\n%s", option, err, out)
	}
	return prefix
}

// missing skips a test for want of a program; in CI it fails.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: scripts/test installs it", what)
	}
	t.Skipf("%s is missing", what)
}

// need finds a program.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, program)
	}
	return path
}

// need skips the test if this Lua is not there, and installs the module for it.
func (lua interpreter) need(t *testing.T) {
	t.Helper()
	need(t, lua.command)
	install(t, lua.abi)
}

// cmd is a script to be run, with the folder's Lua files to be found by require.
func (lua interpreter) cmd(ctx context.Context, folder string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, lua.command, args...)
	c.Env = append(os.Environ(),
		"LUA_PATH="+folder+"/?.lua;;",
		"LUA_CPATH="+filepath.Join(installed.prefix, "lib/lua", lua.abi)+"/?.so;;",
		"HERMETIC_TEST_LUA="+lua.name,
	)
	c.WaitDelay = 5 * time.Second
	return c
}

// deadline is how long any script may take: far longer than it does.
const deadline = 15 * time.Minute

// run runs a script and returns what it prints.
func (lua interpreter) run(t *testing.T, folder string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	c := lua.cmd(ctx, folder, args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	return stdout.String()
}

// eachLua runs f as a subtest for every real Lua.
func eachLua(t *testing.T, f func(t *testing.T, lua interpreter)) {
	for _, lua := range known {
		t.Run(lua.name, func(t *testing.T) {
			lua.need(t)
			f(t, lua)
		})
	}
}
