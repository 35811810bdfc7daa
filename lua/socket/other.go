//go:build !unix

// Package socket is a small module of non-blocking sockets for gopher-lua. On
// this system there is none.
package socket

import lua "github.com/yuin/gopher-lua"

// Preload makes require 'socket' say why there is none.
func Preload(L *lua.LState) {
	L.PreloadModule("socket", func(L *lua.LState) int {
		L.RaiseError("no module 'socket' on this system")
		return 0
	})
}
