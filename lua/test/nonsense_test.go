package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
		t.Parallel()
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
	prefix := installAs(t, "--asan")
	for _, real := range known {
		t.Run(real.name, func(t *testing.T) {
			t.Parallel()
			need(t, real.command)
			args := []string{"nonsense/nonsense.lua", "7", "3", "dtls"}
			cmd := real.cmd(t.Context(), "suite", args...)
			cmd.Env = append(cmd.Env,
				"LUA_CPATH="+prefix+"/lib/lua/"+real.abi+"/?.so",
				"LD_PRELOAD="+path,
				"ASAN_OPTIONS=detect_leaks=0:handle_segv=0:allow_user_segv_handler=1",
			)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", bytes.TrimSpace(out))
		})
	}
}

// TestNonsenseValgrind is the same under valgrind, which also sees what the C half reads without
// having written it. LuaJIT needs a special build for valgrind.
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
			log := filepath.Join(t.TempDir(), "valgrind")
			under := interpreter{name: real.name, command: valgrind, abi: real.abi}
			// valgrind considers memory inaccessible where Go's stacks have been. Its contents are
			// good, but valgrind would call them undefined after a partial load, and report Lua.
			t.Log(under.run(t, "suite", "-q", "--log-file="+log, "--error-limit=no", "--partial-loads-ok=no", command,
				"nonsense/nonsense.lua", "3", "4", "dtls"))
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if found := outsideGo(string(text)); len(found) > 0 {
				t.Errorf("%d errors, the first:\n%s", len(found), found[0])
			}
		})
	}
}

// outsideGo returns the errors of valgrind's log that do not occur in Go's own frames. valgrind does
// not understand stacks that grow, move and switch.
func outsideGo(log string) (found []string) {
	for _, report := range regexp.MustCompile(`(?m)^==\d+== \n`).Split(log, -1) {
		at := regexp.MustCompile(`(?m)^==\d+==    at 0x.*$`).FindString(report)
		if at != "" && !strings.Contains(at, "/mbedtls-go.so)") {
			found = append(found, report)
		}
	}
	return found
}

func TestOutsideGo(t *testing.T) {
	const inGo = "==7== Syscall param getrandom(cpu) points to unaddressable byte(s)\n" +
		"==7==    at 0x506BD6E: ??? (in /lib/lua/5.2/mbedtls-go.so)\n" +
		"==7==  Address 0x261a6dc9bf30 is in a rw- anonymous segment\n==7== \n"
	const inLua = "==7== Thread 1:\n==7== Conditional jump or move depends on uninitialised value(s)\n" +
		"==7==    at 0x111F21: lua_pushlstring (in /usr/bin/lua5.2)\n" +
		"==7==    by 0x506BD6E: ??? (in /lib/lua/5.2/mbedtls-go.so)\n==7== \n"
	for name, test := range map[string]struct {
		log  string
		want int
	}{
		"nothing":                {"", 0},
		"in Go":                  {inGo + inGo, 0},
		"in Lua":                 {inLua, 1},
		"in Lua, between others": {inGo + inLua + inGo + inLua, 2},
		"without an end":         {inGo + strings.TrimSuffix(inLua, "==7== \n"), 1},
	} {
		if found := outsideGo(test.log); len(found) != test.want {
			t.Errorf("%s: %q", name, found)
		}
	}
}
