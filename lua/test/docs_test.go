package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// luaBlocks are the Lua programs in docs/lua.md, in order.
func luaBlocks(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(text), "```lua\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

const luaSecBlock = "in the place of LuaSec"

// TestDocs runs every Lua program of docs/lua.md, with names of files and hosts
// that are there. A program that is new there needs a line here.
func TestDocs(t *testing.T) {
	files := makeFiles(t)
	blocks := luaBlocks(t)
	over := func(before, after string) func(string) string {
		return func(block string) string { return before + block + after }
	}
	use := []struct {
		name  string
		whole func(block string) string
		says  string
	}{
		{"a first program", over("", ""), "GET / HTTP/1.0"},
		{"a table", over("local ssl = require 'mbedtls.ssl'\n", "\nprint(config)"), "mbedtls.ssl.config"},
		{"early data", over("local ssl = require 'mbedtls.ssl'\n", `
			local server = ssl.newconfig { mode = 'tls-server', cert = CERT, earlydata = 1000 }
			for _ = 1, 2 do
				local up, down, got = '', '', ''
				local s = ssl.newcontext(server, function(size)
					local data = up:sub(1, size)
					up = up:sub(size + 1)
					return data
				end, function(data)
					down = down .. data
					return #data
				end)
				local ctx = ssl.newcontext(config, function(size)
					if down == '' then got = got .. (s:readearly(100) or '') end
					local data = down:sub(1, size)
					down = down:sub(size + 1)
					return data
				end, function(data)
					up = up .. data
					return #data
				end)
				request(ctx, 'hello')
				print('early: "' .. got .. '"')
				assert(s:write('after the ticket'))
				assert(ctx:read(100))
			end`), `early: "hello"`},
		{"an engine", over(`
			local socket, ssl = require 'socket', require 'mbedtls.ssl'
			local sock = assert(socket.connect('127.0.0.1', PORT))
			local conn = {
				send = function(_, data) assert(sock:send(data)) end,
				receive = function()
					sock:settimeout(0)
					local data, err, part
					repeat
						socket.select({ sock })
						data, err, part = sock:receive(16384)
						data = data or part
					until data ~= '' or err == 'closed'
					sock:settimeout()
					return data ~= '' and data or nil
				end,
			}
		`, ""), "hello"},
		{luaSecBlock, over("", ""), "GET / HTTP/1.0"},
		{"callbacks of a socket that does not block", over("", `
			local socket, ssl = require 'socket', require 'mbedtls.ssl'
			local sock = assert(socket.connect('127.0.0.1', PORT))
			sock:settimeout(0)
			local ctx = ssl.newcontext(ssl.newconfig('tls-client'), rcb, wcb, sock)
			local function await(f, ...)
				local result, err = f(ctx, ...)
				while err == 'want-read' or err == 'want-write' do
					socket.select({ sock }, nil, 0.1)
					result, err = f(ctx, ...)
				end
				return assert(result, err)
			end
			await(ctx.write, 'hello')
			print(await(ctx.read, 100))`), "hello"},
	}
	if len(use) != len(blocks) {
		t.Fatalf("docs/lua.md has %d programs, %d are run", len(blocks), len(use))
	}
	for _, lua := range everyLua(t) {
		t.Run(lua.name, func(t *testing.T) {
			server := lua.example(t, "echo_server", "0", files+"/server.pem")
			port := server.port()
			there := strings.NewReplacer("'example.com', 443", "'127.0.0.1', "+port, "PORT", port, "example.com", "localhost",
				"CERT", "'"+files+"/server.pem'", "'session.bin'", "'"+t.TempDir()+"/session.bin'",
				"/etc/ssl/certs/ca-certificates.crt", files+"/ca.pem", "'ca.pem'", "'"+files+"/ca.pem'")
			for i, block := range blocks {
				if use[i].name == luaSecBlock && lua.command == "" {
					continue // it is over the real LuaSocket
				}
				t.Run(use[i].name, func(t *testing.T) {
					script := filepath.Join(t.TempDir(), "program.lua")
					writeFile(t, filepath.Dir(script), "program.lua", []byte(there.Replace(use[i].whole(block))))
					program := lua.start(t, use[i].name, script)
					program.want(use[i].says)
					program.ends()
				})
			}
		})
	}
}

// TestLuaRocks installs the module as a rock.
func TestLuaRocks(t *testing.T) {
	luarocks := need(t, "luarocks")
	real := known[3]
	real.need(t)
	tree := t.TempDir()
	cmd := exec.CommandContext(t.Context(), luarocks, "--lua-version", real.abi, "--tree", tree, "make", "hermetic-scm-1.rockspec")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd = exec.CommandContext(t.Context(), real.command, "-e", "print(require 'mbedtls.ssl'.version, require 'ssl'.config.protocols.tlsv1_3)")
	cmd.Env = append(os.Environ(), "LUA_CPATH="+tree+"/lib/lua/"+real.abi+"/?.so;;", "LUA_PATH="+tree+"/share/lua/"+real.abi+"/?.lua;;")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
