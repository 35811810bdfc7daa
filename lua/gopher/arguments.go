package gopher

import (
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

// arguments are those of one call. Their errors have Lua's own form, unlike
// gopher-lua's: a method's self is not counted.
type arguments struct {
	L      *lua.LState
	name   string
	method bool
}

// bad throws an argument error.
func (a arguments) bad(n int, reason string) {
	if a.method {
		n--
	}
	if n == 0 {
		a.L.RaiseError("calling '%s' on bad self (%s)", a.name, reason)
	}
	a.L.RaiseError("bad argument #%d to '%s' (%s)", n, a.name, reason)
}

// expected throws the error for an argument of the wrong type.
func (a arguments) expected(n int, want string) {
	got := "no value"
	if n <= a.L.GetTop() {
		got = a.L.Get(n).Type().String()
	}
	a.bad(n, fmt.Sprintf("%s expected, got %s", want, got))
}

// absent reports whether the argument is nil or missing.
func (a arguments) absent(n int) bool { return a.L.Get(n) == lua.LNil }

// text returns a string, or a number as its text.
func (a arguments) text(n int) string {
	switch v := a.L.Get(n).(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return v.String()
	}
	a.expected(n, "string")
	return ""
}

// count returns a number that is not negative, or a string that is one; fractions
// are cut off.
func (a arguments) count(n int) int {
	v := a.L.Get(n)
	number, ok := v.(lua.LNumber)
	if text, isText := v.(lua.LString); isText {
		number, ok = lua.LVAsNumber(text), isNumeral(a.L, text)
	}
	if !ok {
		a.expected(n, "number")
	}
	if !(number > -1) {
		a.bad(n, mbedtls.OutOfRange)
	}
	return int(math.Min(float64(number), math.MaxInt32))
}

// isNumeral reports whether text is a number: LVAsNumber returns 0 for all others.
func isNumeral(L *lua.LState, text lua.LString) bool {
	if lua.LVAsNumber(text) != 0 {
		return true
	}
	L.Push(L.GetGlobal("tonumber"))
	L.Push(text)
	L.Call(1, 1)
	defer L.Pop(1)
	return L.Get(-1) != lua.LNil
}

// part returns the part of string n that the optional pos and len after it select.
func (a arguments) part(n int) []byte {
	s := a.text(n)
	pos := 1
	if !a.absent(n + 1) {
		pos = a.count(n + 1)
	}
	if pos < 1 || pos > len(s)+1 {
		a.bad(n+1, mbedtls.OutOfRange)
	}
	s = s[pos-1:]
	if !a.absent(n + 2) {
		size := a.count(n + 2)
		if size > len(s) {
			a.bad(n+2, mbedtls.OutOfRange)
		}
		s = s[:size]
	}
	return []byte(s)
}

// object returns the value of a userdata with the given metatable.
func (a arguments) object(n int, meta *lua.LTable, kind string) any {
	ud, ok := a.L.Get(n).(*lua.LUserData)
	if !ok || ud.Metatable != meta {
		a.expected(n, kind)
	}
	return ud.Value
}

// metatable returns the metatable of a type, hidden from Lua.
func metatable(L *lua.LState, kind string, methods map[string]lua.LGFunction) *lua.LTable {
	meta, index := L.NewTable(), L.NewTable()
	for name, f := range methods {
		index.RawSetString(name, L.NewFunction(f))
	}
	meta.RawSetString("__index", index)
	meta.RawSetString("__metatable", lua.LFalse)
	meta.RawSetString("__tostring", L.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LString(fmt.Sprintf("%s: %p", kind, L.Get(1))))
		return 1
	}))
	return meta
}
