//go:build !unix

// Package socket is a small module of non-blocking sockets for gopher-lua. It is
// not available on this system.
package socket

import lua "github.com/yuin/gopher-lua"

// Preload makes require 'socket' say so.
func Preload(L *lua.LState) {
	L.PreloadModule("socket", func(L *lua.LState) int {
		L.RaiseError("no module 'socket' on this system")
		return 0
	})
}
