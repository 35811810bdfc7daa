package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// luaSecFolder is where require finds the module ssl of this checkout, and harness.lua.
const luaSecFolder = "luasec/?.lua;suite/?.lua;.."

// eachLuaSocket is eachLua for those that have LuaSocket.
func eachLuaSocket(t *testing.T, f func(t *testing.T, lua interpreter)) {
	eachLua(t, func(t *testing.T, lua interpreter) {
		if err := lua.cmd(t.Context(), ".", "-e", "require 'socket'").Run(); err != nil {
			missing(t, "LuaSocket for "+lua.command)
		}
		f(t, lua)
	})
}

// luaSecScripts are the scripts of luasec/ that are tests.
func luaSecScripts(t *testing.T) []string {
	t.Helper()
	scripts, err := filepath.Glob("luasec/*.lua")
	if err != nil || len(scripts) < 4 {
		t.Fatal(scripts, err)
	}
	var tests []string
	for _, script := range scripts {
		if filepath.Base(script) != "sockets.lua" {
			tests = append(tests, script)
		}
	}
	return tests
}

// TestLuaSec runs luasec/*.lua over the module ssl, on every Lua.
func TestLuaSec(t *testing.T) {
	files := makeFiles(t)
	t.Setenv("HERMETIC_TEST_FILES", files)
	serveHTTPS(t, files)
	eachLuaSocket(t, func(t *testing.T, lua interpreter) {
		for _, script := range luaSecScripts(t) {
			t.Run(strings.TrimSuffix(filepath.Base(script), ".lua"), func(t *testing.T) {
				report(t, lua.run(t, luaSecFolder, script))
			})
		}
	})
}

// TestLuaSecItself runs the same tests over LuaSec, with OpenSSL: what they expect is what it does.
func TestLuaSecItself(t *testing.T) {
	real := known[3]
	need(t, real.command)
	find := exec.CommandContext(t.Context(), real.command, "-e", "assert(require 'ssl'._VERSION >= '1.2')")
	find.Env = append(os.Environ(), "LUA_PATH=;;", "LUA_CPATH=;;")
	if find.Run() != nil {
		missing(t, "LuaSec")
	}
	files := makeFiles(t)
	t.Setenv("HERMETIC_TEST_FILES", files)
	serveHTTPS(t, files)
	t.Setenv("HERMETIC_TEST_LUASEC", "original")
	for _, script := range luaSecScripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".lua"), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), real.command, script)
			cmd.Env = append(os.Environ(), "LUA_PATH=luasec/?.lua;suite/?.lua;;")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			report(t, string(out))
		})
	}
}

// serveHTTPS starts a server for luasec/https.lua, and one without TLS.
func serveHTTPS(t *testing.T, files string) {
	t.Helper()
	hello := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, text)
		}
	}
	plain := httptest.NewServer(hello("plain hello"))
	t.Cleanup(plain.Close)
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	pair, err := tls.LoadX509KeyPair(files+"/server.pem", files+"/server.pem")
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the clients that refuse it
	server.StartTLS()
	t.Cleanup(server.Close)

	mux.HandleFunc("/hello", hello("hello"))
	mux.HandleFunc("/long", hello(strings.Repeat("x", 1e6)))
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("Content-Type"), body)
	})
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, _ *http.Request) {
		for _, word := range []string{"one ", "two ", "three "} {
			io.WriteString(w, word)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("X-Other"))
	})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for from, to := range map[string]struct {
		code     int
		to, says string
	}{
		"/relative":  {302, "/hello", "elsewhere"},
		"/absolute":  {302, server.URL + "/hello", "elsewhere"},
		"/permanent": {308, server.URL + "/hello", "elsewhere"},
		"/down":      {302, plain.URL + "/hello", "elsewhere"},
		"/loop":      {302, server.URL + "/loop", "again"},
		"/same":      {302, server.URL + "/headers", "elsewhere"},
		"/other":     {302, "https://localhost:" + port + "/headers", "elsewhere"},
	} {
		mux.HandleFunc(from, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to.to)
			w.WriteHeader(to.code)
			io.WriteString(w, to.says)
		})
	}
	t.Setenv("HERMETIC_TEST_URL", server.URL)
	t.Setenv("HERMETIC_TEST_PLAIN_URL", plain.URL)
}

// TestLuaSecPeers: the module ssl talks to OpenSSL, in both roles and versions.
func TestLuaSecPeers(t *testing.T) {
	need(t, "openssl")
	files := makeFiles(t)
	eachLuaSocket(t, func(t *testing.T, lua interpreter) {
		for protocol, flag := range map[string]string{"tlsv1_2": "-tls1_2", "tlsv1_3": "-tls1_3", "any": "-4"} {
			port, _ := openSSLServer(t, files, flag, "-rev")
			client := launch(t, "client", lua.cmd(t.Context(), luaSecFolder, "luasec/peers/client.lua", port, files+"/ca.pem", protocol))
			client.want("true")
			client.say("olleh")
			client.want("hello")
			client.ends()

			server := launch(t, "server", lua.cmd(t.Context(), luaSecFolder, "luasec/peers/server.lua", files+"/server.pem", protocol))
			mine := launch(t, "s_client", exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", "127.0.0.1:"+server.port(),
				"-CAfile", files+"/ca.pem", "-verify_return_error", "-quiet", "-no_ign_eof", flag))
			mine.say("hello from OpenSSL")
			mine.want("hello from OpenSSL")
			mine.ends()
			server.ends()
		}
	})
}
