package redisstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/crypto/chacha20poly1305"
)

func TestMain(m *testing.M) {
	logging.Disable() // that Redis is away is often the subject
	os.Exit(m.Run())
}

// server is a real Redis on a new socket, which keeps nothing.
type server struct {
	t      testing.TB
	path   string // of the program
	socket string
	args   []string
	env    []string
	cmd    *exec.Cmd
}

// newServer starts Redis, or Valkey, with further arguments. Without either the test is
// skipped; under CI it fails.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	return newServerWith(t, nil, args...)
}

func newServerWith(t testing.TB, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, args: args, env: env}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if p, err := exec.LookPath(name); err == nil {
			s.path = p
			break
		}
	}
	if s.path == "" {
		missing(t, "redis-server")
	}
	dir, err := os.MkdirTemp("", "redis") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	s.socket = filepath.Join(dir, "socket")
	t.Cleanup(func() {
		s.kill()
		os.RemoveAll(dir)
	})
	s.start()
	return s
}

// missing skips a test that needs what is not installed; under CI it fails.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what + " is not installed")
	}
	t.Skip(what + " is not installed")
}

// start returns when Redis answers.
func (s *server) start() {
	s.t.Helper()
	args := []string{"--port", "0", "--unixsocket", s.socket, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(s.socket)}
	s.cmd = exec.Command(s.path, append(args, s.args...)...)
	s.cmd.Env = append(os.Environ(), s.env...)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	var log strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&log, lines.Text())
		if strings.Contains(strings.ToLower(lines.Text()), "ready to accept connections") {
			go io.Copy(io.Discard, out)
			return
		}
	}
	s.t.Fatalf("Redis does not start:\n%s", &log)
}

// kill ends Redis like a lost machine.
func (s *server) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// client is a connection like those of users.
func (s *server) client() *redis.Client { return s.clientAs("", "") }

func (s *server) clientAs(user, password string) *redis.Client {
	c := redis.NewClient(socketOptions(s.socket, user, password))
	s.t.Cleanup(func() { c.Close() })
	return c
}

func socketOptions(socket, user, password string) *redis.Options {
	return &redis.Options{
		Network: "unix", Addr: socket, Username: user, Password: password,
		ContextTimeoutEnabled: true,
		DialTimeout:           patience, ReadTimeout: patience, WriteTimeout: patience, // a busy machine is not the subject
	}
}

// store is a process's part in the fleet, as if it were one: it has its own
// client.
func (s *server) store(opt Options) *Store {
	s.t.Helper()
	if opt.Timeout == 0 {
		opt.Timeout = time.Minute // a busy machine is not the subject
	}
	store, err := New(s.client(), &opt)
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}

// do gives Redis a command.
func (s *server) do(args ...any) any {
	s.t.Helper()
	c := s.client()
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// grow makes Redis remember for longer than it has: the minute after its start
// is over.
func (s *server) grow(prefix string) {
	s.t.Helper()
	store := s.store(Options{Prefix: prefix})
	if err := store.touch(context.Background()); err != nil && !errors.Is(err, ErrForgetful) {
		s.t.Fatal(err)
	}
	age(s.t, store)
}

// age lets the memory of a store's Redis have begun a minute earlier.
func age(t testing.TB, store *Store) {
	t.Helper()
	long := time.Now().Add(-memory - time.Second).UnixMilli()
	if err := store.client.HSet(context.Background(), store.name("guard"), "since", long).Err(); err != nil {
		t.Fatal(err)
	}
}

// clock is a time that a test sets.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// noon is in the middle of a period of a day.
func noon() *clock { return &clock{time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

// keyEncryption is the AEAD of these keys.
func keyEncryption(b byte) Options {
	aead, err := chacha20poly1305.NewX([]byte(strings.Repeat(string(rune(b)), chacha20poly1305.KeySize)))
	if err != nil {
		panic(err)
	}
	return Options{AEAD: aead}
}

// cookieSecret returns a copy of the first cookie secret, without using it.
func (s *Store) cookieSecret() []byte { return bytes.Clone(s.loaded.Load().cookies[0]) }
