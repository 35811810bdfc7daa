package test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/lua/script"
)

// runScript, set in the environment, makes this test binary run a script with
// gopher-lua, as `hermetic lua` does.
const runScript = "HERMETIC_TEST_RUN_SCRIPT"

func runAsScript() {
	if err := script.Run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// gopherLua is gopher-lua in its own process.
var gopherLua = interpreter{name: "gopher"}

// program is a running process whose output is read line by line.
type program struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string
	stderr strings.Builder
}

// launch starts a command; it ends with the test at the latest.
func launch(t *testing.T, name string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, name: name, cmd: cmd, lines: make(chan string, 1000)}
	cmd.Stderr = &p.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, &p.stderr)
		}
	})
	return p
}

// example starts one of the examples.
func (lua interpreter) example(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return lua.start(t, name, append([]string{"../../examples/lua/" + name + ".lua"}, args...)...)
}

// start starts a script.
func (lua interpreter) start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	var cmd *exec.Cmd
	if lua.command == "" {
		cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = append(os.Environ(), runScript+"=1")
	} else {
		cmd = lua.cmd(t.Context(), "./?.lua;..", args...)
	}
	return launch(t, lua.name+" "+name, cmd)
}

// patience is how long a line may take: far longer than it does.
const patience = 5 * time.Minute

// line returns the next line of output.
func (p *program) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if ok {
			return line
		}
		p.cmd.Wait()
		p.t.Fatalf("%s ended: %s", p.name, &p.stderr)
	case <-time.After(patience):
		p.t.Fatalf("%s says nothing", p.name)
	}
	return ""
}

// want reads lines until one has the text in it.
func (p *program) want(text string) {
	p.t.Helper()
	for {
		if line := p.line(); strings.Contains(line, text) {
			return
		}
	}
}

// say writes a line to its input.
func (p *program) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// ends waits for it to end by itself, as a success.
func (p *program) ends() {
	p.t.Helper()
	p.stdin.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.cmd.Process.Kill() })
	defer stop()
	for range p.lines {
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("%s: %v: %s", p.name, err, &p.stderr)
	}
}

// port is the port of a server that has begun to listen.
func (p *program) port() string {
	p.t.Helper()
	fields := strings.Fields(p.line())
	if len(fields) != 4 || fields[0] != "listening" {
		p.t.Fatalf("%s says %q", p.name, fields)
	}
	return fields[3]
}

// everyLua is every real Lua that has LuaSocket, and gopher-lua.
func everyLua(t *testing.T) []interpreter {
	t.Helper()
	all := []interpreter{gopherLua}
	for _, lua := range known {
		if _, err := exec.LookPath(lua.command); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: scripts/test installs it", lua.command)
			}
			t.Logf("%s is missing", lua.command)
			continue
		}
		install(t, lua.abi)
		if err := lua.cmd(t.Context(), ".", "-e", "require 'socket'").Run(); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("LuaSocket for %s is missing: scripts/test installs it", lua.command)
			}
			t.Logf("LuaSocket for %s is missing", lua.command)
			continue
		}
		all = append(all, lua)
	}
	return all
}

// TestTLSExamples has the client and the echo server talk, each on its
// own Lua, and every Lua in both roles.
func TestTLSExamples(t *testing.T) {
	files := makeFiles(t)
	all := everyLua(t)
	for i, lua := range all {
		other := all[(i+1)%len(all)]
		t.Run(lua.name+" serves "+other.name, func(t *testing.T) {
			server := lua.example(t, "echo_server", "0", files+"/server.pem")
			port := server.port()
			first := other.example(t, "client", "127.0.0.1", port, files+"/ca.pem", "localhost")
			second := other.example(t, "client", "127.0.0.1", port)
			for _, client := range []*program{first, second, first} {
				client.say("hello")
				client.want("hello")
			}
			long := strings.Repeat("long line ", 5000)
			first.say(long)
			first.want(long)
			first.ends()
			second.say("still here")
			second.want("still here")
			second.ends()
		})
	}
}

// TestMissingAuthorities: the client says which file is not there, before it
// connects.
func TestMissingAuthorities(t *testing.T) {
	client := gopherLua.example(t, "client", "127.0.0.1", "1", "nowhere.pem")
	for range client.lines {
	}
	err := client.cmd.Wait()
	if err == nil || !strings.Contains(client.stderr.String(), "nowhere.pem") {
		t.Errorf("%v: %s", err, &client.stderr)
	}
}

// TestCutConnection: a connection that is cut does not look like one that the
// server has closed.
func TestCutConnection(t *testing.T) {
	files := makeFiles(t)
	cert, err := tls.LoadX509KeyPair(files+"/server.pem", files+"/server.pem")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}}).Read(make([]byte, 100))
			conn.Close()
		}
	}()
	for _, lua := range everyLua(t) {
		client := lua.example(t, "client", "127.0.0.1", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
		client.say("hello")
		for range client.lines {
		}
		err := client.cmd.Wait()
		if said := client.stderr.String(); err == nil || !strings.HasSuffix(said, "socket: closed\n") {
			t.Errorf("%s: %v, %q", lua.name, err, said)
		}
	}
}

// TestDTLSExamples is the same for datagrams.
func TestDTLSExamples(t *testing.T) {
	files := makeFiles(t)
	all := everyLua(t)
	for i, lua := range all {
		other := all[(i+1)%len(all)]
		t.Run(lua.name+" serves "+other.name, func(t *testing.T) {
			port := lua.example(t, "dtls_echo_server", "0", files+"/server.pem").port()
			first := other.example(t, "dtls_client", "127.0.0.1", port, files+"/ca.pem", "localhost")
			second := lua.example(t, "dtls_client", "127.0.0.1", port)
			for _, client := range []*program{first, second, first} {
				client.say("hello")
				client.want("hello")
			}
			first.ends()
			second.ends()
		})
	}
}

// TestCoroutines runs the example on every Lua, with more clients than wait at a
// listening socket.
func TestCoroutines(t *testing.T) {
	for _, lua := range everyLua(t) {
		t.Run(lua.name, func(t *testing.T) {
			lua.example(t, "coroutines", "100").want("100 of 100 clients")
		})
	}
}

// TestCompat has the environment ask for the later name of an error.
func TestCompat(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "compat.lua", []byte(`
		package.path = 'suite/?.lua;' .. package.path
		local c, s = require 'transport'.established()
		c:close()
		print(select(2, s:read(1)))`))
	for release, want := range map[string]string{"": "closed", "0.1": "closed", "0.2": "close-notify"} {
		t.Setenv("HERMETIC_LUA_COMPAT", release)
		for _, lua := range everyLua(t) {
			if got := lua.start(t, "compat", dir+"/compat.lua").line(); got != want {
				t.Errorf("%s, %q: %s, want %s", lua.name, release, got, want)
			}
		}
	}
}

// TestOpenSSL has both TLS examples talk to OpenSSL.
func TestOpenSSL(t *testing.T) {
	need(t, "openssl")
	files := makeFiles(t)
	for _, lua := range everyLua(t) {
		t.Run(lua.name, func(t *testing.T) {
			for _, version := range []string{"-tls1_2", "-tls1_3"} {
				port := lua.example(t, "echo_server", "0", files+"/server.pem").port()
				client := launch(t, "s_client", exec.CommandContext(t.Context(), "openssl", "s_client", "-connect",
					"127.0.0.1:"+port, "-CAfile", files+"/ca.pem", "-verify_return_error", "-quiet", "-no_ign_eof", version))
				client.say("hello from OpenSSL")
				client.want("hello from OpenSSL")
				client.ends()
			}
			for _, version := range []string{"-tls1_2", "-tls1_3"} {
				port, server := openSSLServer(t, files, version, "-rev")
				_ = server
				client := lua.example(t, "client", "127.0.0.1", port, files+"/ca.pem", "localhost")
				client.say("olleh")
				client.want("hello")
				client.ends()
			}
		})
	}
}

// TestOpenSSLDatagrams is the same over DTLS 1.2, all that OpenSSL has.
func TestOpenSSLDatagrams(t *testing.T) {
	need(t, "openssl")
	files := makeFiles(t)
	for _, lua := range everyLua(t) {
		t.Run(lua.name, func(t *testing.T) {
			port := lua.example(t, "dtls_echo_server", "0", files+"/server.pem").port()
			for _, version := range []string{"-dtls", "-dtls1_2"} {
				client := launch(t, "s_client "+version, exec.CommandContext(t.Context(), "openssl", "s_client", "-connect",
					"127.0.0.1:"+port, "-CAfile", files+"/ca.pem", "-verify_return_error", "-quiet", version))
				client.say("hello from OpenSSL")
				client.want("hello from OpenSSL")
			}

			for _, extra := range [][]string{{"-dtls"}, {"-dtls", "-listen"}} {
				port, server := openSSLServer(t, files, extra...)
				mine := lua.example(t, "dtls_client", "127.0.0.1", port, files+"/ca.pem", "localhost")
				mine.say("hello from Lua")
				server.want("hello from Lua")
				server.say("hello from OpenSSL")
				mine.want("hello from OpenSSL")
			}
		})
	}
}

// openSSLServer starts openssl s_server on a port that it chooses.
func openSSLServer(t *testing.T, files string, args ...string) (port string, server *program) {
	t.Helper()
	args = append([]string{"s_server", "-accept", "127.0.0.1:0", "-cert", files + "/server.pem"}, args...)
	server = launch(t, "s_server", exec.CommandContext(t.Context(), "openssl", args...))
	for {
		if port, ok := strings.CutPrefix(server.line(), "ACCEPT 127.0.0.1:"); ok {
			return port, server
		}
	}
}
