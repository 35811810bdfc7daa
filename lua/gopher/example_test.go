package gopher_test

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic/lua/gopher"
)

// A client and a server in one script, with queues for a transport.
func Example() {
	L := lua.NewState()
	defer L.Close()
	gopher.Preload(L)
	L.SetGlobal("show", L.NewFunction(func(L *lua.LState) int {
		fmt.Println(L.ToString(1))
		return 0
	}))
	err := L.DoString(`
		local ssl = require 'mbedtls.ssl'

		local function queue()
			local data = ''
			return function(size)
				local piece = data:sub(1, size)
				data = data:sub(size + 1)
				return piece
			end, function(piece)
				data = data .. piece
				return #piece
			end
		end
		local from_client, to_server = queue()
		local from_server, to_client = queue()
		local client = ssl.newcontext(ssl.newconfig('tls-client'), from_server, to_server)
		local server = ssl.newcontext(ssl.newconfig('tls-server'), from_client, to_client)

		repeat
			local a, b = client:handshake(), server:handshake()
		until a and b
		client:write('hello')
		show(client:info().version .. ': ' .. server:read(100))
	`)
	if err != nil {
		fmt.Println(err)
	}
	// Output: TLS 1.3: hello
}
