package test

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic/lua/gopher"
)

// TestNonsense makes random calls with random arguments, with hostile callbacks.
func TestNonsense(t *testing.T) {
	seconds := "3"
	if testing.Short() {
		seconds = "1"
	}
	eachLua(t, func(t *testing.T, real interpreter) {
		for seed := range 2 {
			args := []string{"nonsense/nonsense.lua", strconv.Itoa(seed), seconds, "dtls"}
			t.Log(strings.TrimSpace(real.run(t, "suite", args...)))
		}
	})
	t.Run("gopher", func(t *testing.T) {
		L := lua.NewState()
		defer L.Close()
		gopher.Preload(L)
		var out bytes.Buffer
		L.SetGlobal("print", L.NewFunction(func(L *lua.LState) int {
			out.WriteString(L.ToString(1))
			return 0
		}))
		arg := L.NewTable()
		for i, text := range []string{"1", seconds, "dtls"} {
			arg.RawSetInt(i+1, lua.LString(text))
		}
		L.SetGlobal("arg", arg)
		if err := L.DoString(`package.path = "suite/?.lua"`); err != nil {
			t.Fatal(err)
		}
		if err := L.DoFile("nonsense/nonsense.lua"); err != nil {
			t.Fatal(err)
		}
		t.Log(out.String())
	})
}

// TestNonsenseSanitized is the same under AddressSanitizer, which sees what the
// C half does wrong with memory, on every Lua.
func TestNonsenseSanitized(t *testing.T) {
	cc := need(t, "cc")
	library, err := exec.Command(cc, "-print-file-name=libasan.so").Output()
	path := strings.TrimSpace(string(library))
	if err != nil || !strings.Contains(path, "/") {
		missing(t, "libasan")
	}
	for _, real := range known {
		t.Run(real.name, func(t *testing.T) {
			need(t, real.command)
			prefix := t.TempDir()
			out, err := exec.Command("../../scripts/install-lua", "--asan", "--lua", real.abi, "--prefix", prefix).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			args := []string{"nonsense/nonsense.lua", "7", "3", "dtls"}
			cmd := real.cmd(t.Context(), "suite", args...)
			cmd.Env = append(cmd.Env,
				"LUA_CPATH="+prefix+"/lib/lua/"+real.abi+"/?.so",
				"LD_PRELOAD="+path,
				"ASAN_OPTIONS=detect_leaks=0:handle_segv=0:allow_user_segv_handler=1",
			)
			out, err = cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", bytes.TrimSpace(out))
		})
	}
}

// TestNonsenseValgrind is the same under valgrind, which also sees what the C half reads without
// having written it. What Go does in its own frames is none of valgrind's business. LuaJIT needs
// a special build for valgrind.
func TestNonsenseValgrind(t *testing.T) {
	valgrind := need(t, "valgrind")
	for _, real := range known {
		if real.name == "jit" {
			continue
		}
		t.Run(real.name, func(t *testing.T) {
			real.need(t)
			command, err := exec.LookPath(real.command)
			if err != nil {
				t.Fatal(err)
			}
			under := interpreter{name: real.name, command: valgrind, abi: real.abi}
			t.Log(under.run(t, "suite", "-q", "--error-exitcode=9", "--suppressions=nonsense/go.supp", command,
				"nonsense/nonsense.lua", "3", "4", "dtls"))
		})
	}
}
