package redisstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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

// server is a real Redis on a socket of its own, which keeps nothing.
type server struct {
	t      testing.TB
	path   string // of the program
	socket string
	cmd    *exec.Cmd
}

// newServer starts Redis, or Valkey. Without either the test is skipped; under CI
// it fails.
func newServer(t testing.TB) *server {
	t.Helper()
	var path string
	for _, name := range []string{"redis-server", "valkey-server"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "redis") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, path: path, socket: filepath.Join(dir, "socket")}
	t.Cleanup(func() {
		s.kill()
		os.RemoveAll(dir)
	})
	s.start()
	return s
}

// start returns when Redis answers.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.path, "--port", "0", "--unixsocket", s.socket, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(s.socket))
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

// store is a process's part in the fleet, as if it were one: it has a client of
// its own.
func (s *server) store(opt Options) *Store {
	s.t.Helper()
	if opt.Timeout == 0 {
		opt.Timeout = time.Minute // a busy machine is not the subject
	}
	store, err := New(s.client(), opt)
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
	c := s.client()
	defer c.Close()
	ctx := context.Background()
	store := &Store{client: c, opt: Options{Prefix: prefix, Time: time.Now, Timeout: time.Minute}}
	store.ask([]byte("an id of sixteen"), time.Now().Add(maxAhead))
	value, err := c.Get(ctx, store.name("since")).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	who, _, _ := strings.Cut(value, " ")
	long := fmt.Sprintf("%s %d", who, time.Now().Add(-memory-time.Second).UnixMilli())
	if err := c.Set(ctx, store.name("since"), long, 0).Err(); err != nil {
		s.t.Fatal(err)
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
