package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic/lua/gopher"
)

// TestSuite runs suite/*.lua on every Lua.
func TestSuite(t *testing.T) {
	t.Setenv("HERMETIC_TEST_FILES", makeFiles(t))
	scripts, err := filepath.Glob("suite/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	each := func(t *testing.T, run func(t *testing.T, script string) string) {
		for _, script := range scripts {
			name := strings.TrimSuffix(filepath.Base(script), ".lua")
			if name == "harness" || name == "transport" {
				continue
			}
			t.Run(name, func(t *testing.T) { report(t, run(t, script)) })
		}
	}
	eachLua(t, func(t *testing.T, real interpreter) {
		each(t, func(t *testing.T, script string) string { return real.run(t, "suite", script) })
	})
	t.Run("5.4 over TLS 1.2", func(t *testing.T) {
		real := known[3]
		real.need(t)
		t.Setenv("HERMETIC_TEST_VERSION", "1.2")
		each(t, func(t *testing.T, script string) string { return real.run(t, "suite", script) })
	})
	t.Run("gopher", func(t *testing.T) {
		t.Setenv("HERMETIC_TEST_LUA", "gopher")
		each(t, runGopher)
	})
}

// report makes subtests of the lines that harness.lua prints.
func report(t *testing.T, out string) {
	t.Helper()
	tests := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "ok "):
			t.Run(line[3:], func(t *testing.T) {})
		case strings.HasPrefix(line, "skip "):
			name, why, _ := strings.Cut(line[5:], ": ")
			t.Run(name, func(t *testing.T) { t.Skip(why) })
		default:
			t.Error(line)
		}
		tests++
	}
	if tests == 0 {
		t.Error("it ran no test")
	}
}

// runGopher runs a script in gopher-lua and returns what it prints.
func runGopher(t *testing.T, script string) string {
	L := lua.NewState(lua.Options{CallStackSize: 256, IncludeGoStackTrace: false})
	defer L.Close()
	gopher.Preload(L)
	var out bytes.Buffer
	L.SetGlobal("print", L.NewFunction(func(L *lua.LState) int {
		for i := range L.GetTop() {
			out.WriteString(L.ToStringMeta(L.Get(i + 1)).String())
		}
		out.WriteByte('\n')
		return 0
	}))
	if err := L.DoString(`package.path = "` + filepath.Dir(script) + `/?.lua"`); err != nil {
		t.Fatal(err)
	}
	if err := L.DoFile(script); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String()
}

// writeFile writes one of the files for the suite.
func writeFile(t *testing.T, dir, name string, parts ...[]byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}
