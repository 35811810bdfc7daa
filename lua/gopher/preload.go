// Package gopher provides the modules mbedtls.ssl, mbedtls.md and mbedtls.base64 to
// Lua programs that gopher-lua runs inside a Go program.
//
//	L := lua.NewState()
//	gopher.Preload(L)
//	L.DoString(`local ssl = require 'mbedtls.ssl'`)
package gopher

import (
	"os"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

// Preload makes the modules available to require, which opens them.
func Preload(L *lua.LState) {
	L.PreloadModule("mbedtls", openAll)
	L.PreloadModule("mbedtls.ssl", openSSL)
	L.PreloadModule("mbedtls.md", openMD)
	L.PreloadModule("mbedtls.base64", openBase64)
}

// openAll is require 'mbedtls': a table of all modules.
func openAll(L *lua.LState) int {
	module := global(L)
	for _, name := range []string{"ssl", "md", "base64"} {
		L.Push(L.GetGlobal("require"))
		L.Push(lua.LString("mbedtls." + name))
		L.Call(1, 1)
		module.RawSetString(name, L.Get(-1))
		L.Pop(1)
	}
	module.RawSetString("_NAME", lua.LString("mbedtls"))
	module.RawSetString("_VERSION", lua.LString(mbedtls.Version))
	L.Push(module)
	return 1
}

// global returns the global table mbedtls, as Lua 5.1's own modules make one.
func global(L *lua.LState) *lua.LTable {
	module, ok := L.GetGlobal("mbedtls").(*lua.LTable)
	if !ok {
		module = L.NewTable()
		if L.GetGlobal("mbedtls") == lua.LNil {
			L.SetGlobal("mbedtls", module)
		}
	}
	return module
}

// open returns a module of functions, and sets it in the global table.
func open(L *lua.LState, name string, functions map[string]lua.LGFunction) (*lua.LTable, int) {
	module := L.NewTable()
	for name, f := range functions {
		module.RawSetString(name, L.NewFunction(f))
	}
	global(L).RawSetString(name, module)
	L.Push(module)
	return module, 1
}

// state is what the modules keep in a Lua state.
type state struct {
	closed            lua.LString // the name of the error `closed`
	configs, contexts *lua.LTable // metatables
}

const stateField = "mbedtls.ssl.state"

// stateOf returns L's state, which openSSL made.
func stateOf(L *lua.LState) *state {
	registry := L.Get(lua.RegistryIndex).(*lua.LTable)
	return registry.RawGetString(stateField).(*lua.LUserData).Value.(*state)
}

func openSSL(L *lua.LState) int {
	s := &state{
		closed:   "closed",
		configs:  metatable(L, configType, nil),
		contexts: metatable(L, contextType, methods),
	}
	if os.Getenv("HERMETIC_LUA_COMPAT") == releases[1] {
		s.closed = "close-notify"
	}
	ud := L.NewUserData()
	ud.Value = s
	L.Get(lua.RegistryIndex).(*lua.LTable).RawSetString(stateField, ud)

	module, n := open(L, "ssl", map[string]lua.LGFunction{
		"newconfig":   newConfig,
		"newcontext":  newContext,
		"newengine":   newEngine,
		"certificate": certificate,
		"verifychain": verifyChain,
		"getcookie":   getCookie,
		"checkcookie": checkCookie,
		"compat":      compat,
	})
	module.RawSetString("version", lua.LString(mbedtls.Version))
	return n
}

var releases = [...]string{"0.1", "0.2"}

// compat is ssl.compat(release): names that differ in later releases of the
// original.
func compat(L *lua.LState) int {
	a := arguments{L, "compat", false}
	switch release := a.text(1); release {
	case releases[0]:
		stateOf(L).closed = "closed"
	case releases[1]:
		stateOf(L).closed = "close-notify"
	default:
		a.bad(1, "invalid option '"+release+"'")
	}
	return 0
}

func getCookie(L *lua.LState) int {
	a := arguments{L, "getcookie", false}
	L.Push(lua.LString(mbedtls.Cookie([]byte(a.text(1)))))
	return 1
}

func checkCookie(L *lua.LState) int {
	a := arguments{L, "checkcookie", false}
	peer, cookie := a.text(1), a.text(2)
	L.Push(lua.LBool(mbedtls.CheckCookie([]byte(peer), []byte(cookie))))
	return 1
}
