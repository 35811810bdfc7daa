package process

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic/circlgroups"
)

const loopback = "127.0.0.1:0"

// A server is a contestant's process, which serves until stop.
type server struct {
	name    string
	cmd     *exec.Cmd
	asks    io.WriteCloser // a line asks a Go program to return memory that it does not use
	answers *bufio.Reader  // it answers with a line; the first one is its address
	address string
	pid     int // of the process that does the work
	stop    func() error
}

// serverSpec is the argument of a child that serves.
type serverSpec struct {
	Contestant string // one of those in Go
	Chain, Key string // files
	Profile    string // file for a CPU profile of the whole run; empty: none
}

// startGo starts this program again as a server.
func startGo(spec serverSpec) (*server, error) {
	s := &server{name: spec.Contestant}
	cmd, err := again(serveCommand, spec)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	s.cmd, s.stop = cmd, func() error {
		s.asks.Close()
		defer r.Close()
		return wait(cmd)
	}
	if s.asks, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.ExtraFiles = cmd.Stderr, []*os.File{w} // gnet logs to standard output
	s.answers = bufio.NewReader(r)
	if err := startOn(serverCore, cmd); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	w.Close()
	s.pid = cmd.Process.Pid
	line, err := s.answers.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not listen: %w", s.name, err), s.stop())
	}
	s.address = strings.TrimSpace(line)
	return s, nil
}

// shrink has a Go program collect its garbage and return free memory, which it does by itself
// within minutes. nginx has no such thing.
func (s *server) shrink() error {
	if s.asks == nil {
		return nil
	}
	if _, err := io.WriteString(s.asks, "\n"); err != nil {
		return err
	}
	_, err := s.answers.ReadString('\n')
	return err
}

// serve is the child of startGo. It ends when its standard input does, so it cannot outlive its
// parent.
func serve(spec serverSpec) error {
	leaf, err := tls.LoadX509KeyPair(spec.Chain, spec.Key)
	if err != nil {
		return err
	}
	if spec.Profile != "" {
		f, err := os.Create(spec.Profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	failed := make(chan error, 1)
	parent := os.NewFile(3, "parent")
	ready := func(address string) { fmt.Fprintln(parent, address) }
	go func() {
		switch spec.Contestant {
		case Gnettls:
			failed <- runGnettls(leaf, nil, ready)
		case GnettlsCircl:
			failed <- runGnettls(leaf, circlgroups.All(), ready)
		case Gnet:
			failed <- runGnet(ready)
		case NetHTTP:
			failed <- runNetHTTP(leaf, ready)
		default:
			failed <- fmt.Errorf("there is no server named %q", spec.Contestant)
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			debug.FreeOSMemory()
			fmt.Fprintln(parent)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-done:
		return nil
	}
}

// startNginx starts nginx with one worker.
func startNginx(dir, chain, key string) (*server, error) {
	program, err := findNginx()
	if err != nil {
		return nil, err
	}
	// nginx inherits the listener, as when it replaces an older nginx. So no port has to be
	// guessed, and nothing has to wait until nginx listens.
	l, err := net.Listen("tcp4", loopback)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	config := filepath.Join(dir, "nginx.conf")
	text := nginxConfig(dir, l.Addr().String(), chain, key, maxFiles)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-p", dir, "-c", config)
	cmd.Env = append(os.Environ(), "NGINX=3;")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = new(bytes.Buffer)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGTERM}
	if err := startOn(serverCore, cmd); err != nil {
		return nil, err
	}
	return &server{name: Nginx, cmd: cmd, address: l.Addr().String(), stop: func() error {
		cmd.Process.Signal(unix.SIGTERM)
		return wait(cmd)
	}}, nil
}

// findNginx is where nginx is: Debian's place is not in everybody's PATH.
func findNginx() (string, error) { return find("nginx", "/usr/sbin/nginx") }

func find(names ...string) (string, error) {
	for _, name := range names {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", &MissingError{Program: names[0], Package: "nginx-light"}
}

// MissingError says that a peer is not installed.
type MissingError struct {
	// Program is the program that was not found.
	Program string
	// Package is Debian's package with it.
	Package string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed: apt-get install %s", e.Program, e.Package)
}

// probe gets the answer once, with crypto/tls, and checks that the server is set up like the others.
func (s *server) probe(roots *x509.CertPool) error {
	scheme := "https://"
	if s.name == Gnet {
		scheme = "http://"
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: serverName}}
	answer, err := (&http.Client{Transport: transport}).Get(scheme + s.address + path)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	switch state := answer.TLS; {
	case err != nil:
		return fmt.Errorf("%s: %w", s.name, err)
	case answer.StatusCode != http.StatusOK || !bytes.Equal(got, body):
		return fmt.Errorf("%s: status %d with %d bytes, want 200 with %d", s.name, answer.StatusCode, len(got), len(body))
	case state == nil:
		return nil
	case state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519:
		return fmt.Errorf("%s: %s with %v, want TLS 1.3 with X25519", s.name, tls.VersionName(state.Version), state.CurveID)
	}
	return nil
}
