package script

import (
	"strings"
	"testing"
)

// TestRoom: a script has as much room for values and calls as in Lua itself, and an
// error where even that ends.
func TestRoom(t *testing.T) {
	for _, test := range []struct{ name, script, fault string }{
		{"many values at once", `
			local t = {}
			for i = 1, 20000 do t[i] = i end
			assert(select('#', unpack(t)) == 20000)`, ""},
		{"many arguments of a string", `
			local t = {}
			for i = 1, 20000 do t[i] = 65 end
			assert(#string.char(unpack(t)) == 20000)`, ""},
		{"deep recursion", `
			local function depth(n) if n == 0 then return 0 end return 1 + depth(n - 1) end
			assert(depth(5000) == 5000)`, ""},
		{"in a coroutine", `
			local ok, n = coroutine.resume(coroutine.create(function()
				local t = {}
				for i = 1, 20000 do t[i] = i end
				return select('#', unpack(t))
			end))
			assert(ok and n == 20000, n)`, ""},
		{"in a callback", `
			local ssl = require 'mbedtls.ssl'
			local ok
			local function read()
				local t = {}
				for i = 1, 20000 do t[i] = i end
				ok = select('#', unpack(t)) == 20000
				return ''
			end
			local ctx = ssl.newcontext(ssl.newconfig('tls-server'), read, function(d) return #d end)
			assert(select(2, ctx:read(1)) == 'want-read' and ok)`, ""},
		{"endless recursion", `local function f() return 1 + f() end f()`, "stack overflow"},
		{"endless recursion that is caught", `
			local function f() return 1 + f() end
			assert(not pcall(f))`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := RunReader(strings.NewReader(test.script), "script", nil)
			switch {
			case test.fault == "" && err != nil:
				t.Error(err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("%v, want %q", err, test.fault)
			}
		})
	}
}
