package test

import (
	"context"
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
	"time"
)

// hostsFolder is where require finds fetch.lua.
const hostsFolder = "../../examples/lua/hosts"

// answering starts the HTTPS server that the examples in examples/lua/hosts ask.
func answering(t *testing.T, files string) (port string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "answer to %s, %s", r.URL.Path, strings.Repeat("x", 40000))
	}))
	pair, err := tls.LoadX509KeyPair(files+"/server.pem", files+"/server.pem")
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the clients that refuse it
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err = net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(t.Context(), name, args...)
}

// output runs a command and returns what it prints.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestHosts runs the examples in the loops of others: a client that verifies, and one that must not
// accept the server.
func TestHosts(t *testing.T) {
	files := makeFiles(t)
	port := answering(t, files)
	tests := []struct {
		host, program string
		luas          []interpreter
	}{
		{"copas", "copas_client.lua", known[:2]}, // Debian has it for these
		{"cqueues", "cqueues_client.lua", known[:4]},
		{"luv", "luv_client.lua", known},
	}
	for _, test := range tests {
		for _, lua := range test.luas {
			t.Run(test.host+" with "+lua.name, func(t *testing.T) {
				lua.need(t)
				if lua.cmd(t.Context(), ".", "-e", "require '"+test.host+"'").Run() != nil {
					missing(t, "lua-"+test.host+" for "+lua.command)
				}
				run := func(ca string) string {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					return output(t, lua.cmd(ctx, hostsFolder, hostsFolder+"/"+test.program, "127.0.0.1", port, files+"/"+ca, "localhost"))
				}
				wantAnswers(t, run)
			})
		}
	}
	t.Run("neovim", func(t *testing.T) {
		nvim := need(t, "nvim")
		lua := known[4]
		install(t, lua.abi)
		wantAnswers(t, func(ca string) string {
			lua := interpreter{name: "neovim", command: nvim, abi: lua.abi}
			arguments := fmt.Sprintf("lua arg = { '127.0.0.1', '%s', '%s/%s', 'localhost' }", port, files, ca)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return output(t, lua.cmd(ctx, hostsFolder, "--headless", "-u", "NONE", "-i", "NONE", "--cmd", arguments,
				"-c", "luafile "+hostsFolder+"/luv_client.lua", "-c", "qa!"))
		})
	})
}

// wantAnswers has a program ask a server that it trusts, and one that it does not.
func wantAnswers(t *testing.T, run func(ca string) string) {
	t.Helper()
	good := run("ca.pem")
	for _, path := range []string{"/1", "/2", "/3"} {
		if !strings.Contains(good, "answer to "+path+", "+strings.Repeat("x", 40000)) {
			t.Errorf("%s: no answer: %.500q", path, good)
		}
	}
	if bad := run("otherca.pem"); strings.Contains(bad, "answer to") || strings.Count(bad, "unknown authority") != 3 {
		t.Errorf("an untrusted server: %.500q", bad)
	}
}

// TestNginx runs examples/lua/hosts/nginx.conf: two workers of a master that has required the module.
func TestNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if nginx, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			missing(t, "nginx")
		}
	}
	root := os.Getenv("HERMETIC_NGINX_LUA") // scripts/test unpacks it there
	if _, err := os.Stat(root + "/usr/lib/nginx/modules/ngx_http_lua_module.so"); err != nil {
		missing(t, "nginx's Lua module")
	}
	files := makeFiles(t)
	install(t, "5.1")
	port := answering(t, files)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	text, err := os.ReadFile(hostsFolder + "/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("127.0.0.1:8080", address, "127.0.0.1', 443", "127.0.0.1', "+port,
		"/usr/lib/nginx/modules", root+"/usr/lib/nginx/modules", "/etc/ssl/certs/ca-certificates.crt", files+"/ca.pem", "example.com", "localhost").Replace(string(text))
	if os.Getuid() == 0 {
		conf = "user root;\n" + conf // which may read the files of the test
	}
	dir := t.TempDir()
	writeFile(t, dir, "nginx.conf", []byte(conf))
	hosts, err := filepath.Abs(hostsFolder)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), nginx, "-p", dir, "-c", "nginx.conf")
	cmd.Env = append(os.Environ(), "LUA_PATH="+hosts+"/?.lua;"+root+"/usr/share/lua/5.1/?.lua;;", "LUA_CPATH="+filepath.Join(installed.prefix, "lib/lua/5.1")+"/?.so;;")
	if libraries, _ := filepath.Glob(root + "/usr/lib/*/libluajit-5.1.so.2"); len(libraries) > 0 {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+filepath.Dir(libraries[0]))
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // the workers end, too
	server := launch(t, "nginx", cmd)
	t.Cleanup(func() { server.cmd.Process.Signal(os.Interrupt); server.cmd.Wait() })
	for end := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case _, running := <-server.lines:
			if !running {
				t.Fatal("nginx has ended")
			}
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	for i := range 20 { // more than enough to reach both workers
		path := fmt.Sprintf("/%d", i)
		response, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(body), "answer to "+path+", "+strings.Repeat("x", 40000)) {
			t.Errorf("%s: %v, %.500q", path, err, body)
		}
	}
}
