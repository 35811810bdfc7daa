package process

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"runtime"
	"slices"
	"time"
)

// A PKI is what servers and clients need, in PEM.
type PKI struct {
	// Chain is the servers' certificate chain.
	Chain []byte
	// Key is its private key.
	Key []byte
	// Roots is the clients' root.
	Roots []byte
}

// A Server is a contestant's process and all that it needs.
type Server struct {
	server *server
	dir    string
	roots  string
}

// Start starts a contestant. profile is a file for a CPU profile of a Go server; empty means none.
func Start(name string, pki PKI, profile string) (_ *Server, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, roots: filepath.Join(dir, "roots.pem")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	chain, key := filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{chain: pki.Chain, key: pki.Key, s.roots: pki.Roots} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
	}
	if name == Nginx {
		s.server, err = startNginx(dir, chain, key)
	} else {
		s.server, err = startGo(serverSpec{Contestant: name, Chain: chain, Key: key, Profile: profile})
	}
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pki.Roots)
	if err := s.server.probe(roots); err != nil {
		return nil, err
	}
	if s.server.pid == 0 { // it has a worker, which has answered
		s.server.pid, err = child(s.server.cmd.Process.Pid)
	}
	return s, err
}

// Stop ends the process.
func (s *Server) Stop() error {
	var err error
	if s.server != nil {
		err = s.server.stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Handshakes returns the number of full handshakes per second of the server's CPU. So many at a
// time, connections are opened, get a ticket, and are closed by both sides with close_notify.
func (s *Server) Handshakes(ctx context.Context, conns int, window time.Duration) (float64, error) {
	return s.perCPUSecond(ctx, loadSpec{Load: handshakes, Conns: conns, Window: window})
}

// Answers returns the number of answers per second of the server's CPU, on connections that
// stay open. Each has one request under way.
func (s *Server) Answers(ctx context.Context, conns int, window time.Duration) (float64, error) {
	return s.perCPUSecond(ctx, loadSpec{Load: requests, Conns: conns, Window: window})
}

func (s *Server) perCPUSecond(ctx context.Context, spec loadSpec) (float64, error) {
	r, err := s.load(ctx, spec)
	if err != nil {
		return 0, err
	}
	return float64(r.Done) / r.CPU.Seconds(), nil
}

// Latency is how long answers take.
type Latency struct {
	// P50 is the median.
	P50 time.Duration
	// P99 is longer than 99 % take.
	P99 time.Duration
	// P999 is longer than 99.9 % take.
	P999 time.Duration
}

// Latency sends requests at a fixed rate, per second. The time of an answer counts from when
// its request was due, whether or not a connection was free then. So a server that stalls is not
// asked less often, and the wait counts.
func (s *Server) Latency(ctx context.Context, conns, rate int, window time.Duration) (Latency, error) {
	// Waking up would add to the times.
	r, err := s.load(ctx, loadSpec{Load: paced, Conns: conns, Rate: rate, Window: window, Spin: runtime.NumCPU() > 1})
	if err != nil {
		return Latency{}, err
	}
	return newLatency(r.Latency), nil
}

func newLatency(times []time.Duration) Latency {
	slices.Sort(times)
	return Latency{P50: rank(times, 0.5), P99: rank(times, 0.99), P999: rank(times, 0.999)}
}

// rank is the least of the sorted times that at least the fraction q of all do not exceed.
func rank(sorted []time.Duration, q float64) time.Duration {
	n := len(sorted)
	at := int(float64(n)*q+0.9999999) - 1 // rounded up, but for what floating point adds
	return sorted[min(max(at, 0), n-1)]
}

// Idle returns the memory of the process for each of n idle connections, in bytes. Each has
// answered a request.
func (s *Server) Idle(ctx context.Context, n int) (_ float64, err error) {
	if n > MaxConns {
		return 0, fmt.Errorf("%d connections are too many: the limit is %d", n, MaxConns)
	}
	// Buffers that all connections share are part of the process.
	if _, err := s.Answers(ctx, min(n, 64), 50*time.Millisecond); err != nil {
		return 0, err
	}
	before, err := s.memory()
	if err != nil {
		return 0, err
	}
	cmd, err := again(loadCommand, s.spec(loadSpec{Load: idle, Conns: n}))
	if err != nil {
		return 0, err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := startOn(loadCore, cmd); err != nil {
		return 0, err
	}
	defer func() {
		stdin.Close()
		_, copyErr := io.Copy(io.Discard, stdout)
		err = errors.Join(err, copyErr, wait(cmd))
	}()
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return 0, fmt.Errorf("the connections are not open: %w", err)
	}
	after, err := s.memory()
	return float64(after-before) / float64(n), err
}

func (s *Server) memory() (int, error) {
	if err := s.server.shrink(); err != nil {
		return 0, err
	}
	return memory(s.server.pid)
}

func (s *Server) spec(spec loadSpec) loadSpec {
	spec.Address, spec.Roots, spec.PID, spec.Plain = s.server.address, s.roots, s.server.pid, s.server.name == Gnet
	return spec
}

// load runs the generator.
func (s *Server) load(ctx context.Context, spec loadSpec) (*loadResult, error) {
	cmd, err := again(loadCommand, s.spec(spec))
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(loadCore, cmd); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	r := new(loadResult)
	err = json.NewDecoder(stdout).Decode(r)
	if waited := wait(cmd); waited != nil {
		return nil, fmt.Errorf("%s: the generator of %s fails: %w", s.server.name, spec.Load, waited)
	}
	return r, err
}
