package redisstore

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// patience bounds what must not hang.
const patience = time.Minute

// fleet is three processes of examples/fleet behind a balancer.
type fleet struct {
	t        *testing.T
	client   hermetic.Config // accepts their certificate
	redis    *server
	members  []*member
	balancer net.Listener
}

// member is a server of the fleet.
type member struct {
	t         *testing.T
	tls, dtls string // its addresses
	log       chan string
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, redis: newServer(t)}
	f.redis.grow("hermetic")
	dir := t.TempDir()
	program, cert, key := filepath.Join(dir, "fleet"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "../examples/fleet"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ca := pkitest.CA(t)
	f.client = hermetic.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	chain, private := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{}))
	for name, data := range map[string][]byte{cert: append(chain, private...), key: bytes.Repeat([]byte{'k'}, 32)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		f.members = append(f.members, start(t, program, "-listen", "127.0.0.1:0", "-cert", cert, "-key", key,
			"-redis", "unix://"+f.redis.socket+"?max_retries=-1&read_timeout=1m", "-wait", "20s")) // a busy machine is not the subject
	}
	f.balance()
	return f
}

var listening = regexp.MustCompile(`listening on (\S+) for TLS and on (\S+) for DTLS`)

// start returns when the server listens.
func start(t *testing.T, program string, args ...string) *member {
	t.Helper()
	m := &member{t: t, log: make(chan string, 10_000)}
	cmd := exec.Command(program, args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			m.log <- lines.Text()
		}
		close(m.log)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range m.log {
		}
		cmd.Wait()
	})
	at := listening.FindStringSubmatch(m.await("listening on"))
	m.tls, m.dtls = at[1], at[2]
	return m
}

// await returns the next line of the server's log that has these words.
func (m *member) await(words string) string {
	m.t.Helper()
	var log strings.Builder
	for deadline := time.After(patience); ; {
		select {
		case line, ok := <-m.log:
			switch {
			case !ok:
				m.t.Fatalf("the server has ended:\n%s", &log)
			case strings.Contains(line, words):
				return line
			}
			log.WriteString(line + "\n")
		case <-deadline:
			m.t.Fatalf("the server does not say %q:\n%s", words, &log)
		}
	}
}

// balance gives one connection after the other to one member after the other.
func (f *fleet) balance() {
	var err error
	if f.balancer, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.balancer.Close() })
	go func() {
		for i := 0; ; i++ {
			front, err := f.balancer.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", f.members[i%len(f.members)].tls)
			if err != nil {
				front.Close()
				continue
			}
			go func() {
				var both sync.WaitGroup
				both.Go(func() { relay(front, back) })
				both.Go(func() { relay(back, front) })
				both.Wait()
				front.Close()
				back.Close()
			}()
		}
	}()
}

// relay moves what comes, and its end.
func relay(from, to net.Conn) {
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}

// newClient is a client that has no session yet.
func (f *fleet) newClient(version uint16) *hermetic.Config {
	cfg := f.client.Clone()
	cfg.SessionCache, cfg.EarlyData = hermetic.NewSessionCache(1), true
	cfg.MinVersion, cfg.MaxVersion = version, version
	return cfg
}

// tap is a connection of which we keep what was written.
type tap struct {
	net.Conn
	written []byte
}

func (c *tap) Write(p []byte) (int, error) {
	c.written = append(c.written, p...)
	return c.Conn.Write(p)
}

// echo sends words, as early data if that is possible, and waits for them to come
// back: once, whatever becomes of early data. It returns what the connection was,
// and which bytes have brought the early data.
func (f *fleet) echo(address string, cfg *hermetic.Config, words string) (state hermetic.ConnectionState, flight []byte) {
	f.t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	transport := &tap{Conn: raw}
	c := netconn.Client(transport, cfg)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	n, err := c.WriteEarlyData([]byte(words))
	if err != nil && !errors.Is(err, hermetic.ErrInvalidOperation) {
		f.t.Fatal(err)
	}
	flight = bytes.Clone(transport.written)
	if err := c.Handshake(); err != nil {
		f.t.Fatal(err)
	}
	if !c.State().EarlyDataAccepted {
		n = 0
	}
	if _, err := c.Write([]byte(words[n:])); err != nil {
		f.t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		f.t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != words || err != nil {
		f.t.Fatalf("%q came back, %v", got, err)
	}
	return c.State(), flight
}

// want checks what a connection was.
func (f *fleet) want(reason string, s hermetic.ConnectionState, resumed, early bool) {
	f.t.Helper()
	if s.DidResume != resumed || s.EarlyDataAccepted != early {
		f.t.Errorf("%s: resumed: %v, early data: %v", reason, s.DidResume, s.EarlyDataAccepted)
	}
}

// TestFleet is what a fleet promises, and what it does without Redis.
func TestFleet(t *testing.T) {
	f := newFleet(t)
	f.resume()
	f.replay()
	f.cookies()
	f.withoutRedis()
}

// resume: a session of each member goes on at each, and behind the balancer nobody
// notices that there are several.
func (f *fleet) resume() {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for i, from := range f.members {
			for j, to := range f.members {
				cfg := f.newClient(version)
				s, _ := f.echo(from.tls, cfg, "words")
				f.want("a first connection", s, false, false)
				s, _ = f.echo(to.tls, cfg, "words")
				if !s.DidResume {
					f.t.Errorf("%s: a session of server %d does not go on at server %d", tls.VersionName(version), i, j)
				}
			}
		}
		cfg := f.newClient(version)
		for i := range 2 * len(f.members) {
			s, _ := f.echo(f.balancer.Addr().String(), cfg, "words")
			f.want("behind the balancer", s, i > 0, i > 0 && version == tls.VersionTLS13)
		}
	}
}

// again sends a flight to the fleet many times at once, and returns how often its
// early data was taken.
func (f *fleet) again(flight []byte) (taken int) {
	const each = 10
	var wg sync.WaitGroup
	for range each * len(f.members) {
		wg.Go(func() {
			raw, err := net.Dial("tcp", f.balancer.Addr().String())
			if err != nil {
				f.t.Error(err)
				return
			}
			defer raw.Close()
			raw.Write(flight)
			raw.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, raw)
		})
	}
	wg.Wait()
	for _, m := range f.members {
		for range each {
			if !strings.Contains(m.await("unexpected EOF"), "early data: 0 bytes") {
				taken++
			}
		}
	}
	return taken
}

// replay: early data that was recorded is taken once in the whole fleet.
func (f *fleet) replay() {
	cfg := f.newClient(tls.VersionTLS13)
	f.echo(f.balancer.Addr().String(), cfg, "words")
	s, flight := f.echo(f.balancer.Addr().String(), cfg, "pay once")
	f.want("the original", s, true, true)
	if n := f.again(flight); n != 0 {
		f.t.Errorf("what was taken already was taken %d times more", n)
	}

	engine, err := hermetic.NewEngine(hermetic.TLSClient, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	if flight, err = engine.SealEarlyData(nil, []byte("pay once")); err != nil {
		f.t.Fatal(err)
	}
	if n := f.again(flight); n != 1 {
		f.t.Errorf("what came many times at once was taken %d times", n)
	}
}

// cookies: one member asks a DTLS client for a cookie, and another takes it.
func (f *fleet) cookies() {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			f.t.Fatal(err)
		}
		defer socket.Close()
		socket.SetDeadline(time.Now().Add(patience))
		engine, err := hermetic.NewEngine(hermetic.DTLSClient, f.newClient(version))
		if err != nil {
			f.t.Fatal(err)
		}
		exchange := func(m *member) {
			f.t.Helper()
			to, err := net.ResolveUDPAddr("udp", m.dtls)
			if err != nil {
				f.t.Fatal(err)
			}
			for engine.HasOutput() {
				if _, err := socket.WriteTo(engine.Output(nil), to); err != nil {
					f.t.Fatal(err)
				}
			}
			buf := make([]byte, 1<<14)
			n, from, err := socket.ReadFrom(buf)
			if err != nil {
				f.t.Fatal(err)
			}
			if from.String() != m.dtls {
				f.t.Errorf("%v answers in place of %v", from, to)
			}
			for in := buf[:n]; len(in) > 0; {
				o, err := engine.Open(in)
				if err != nil {
					f.t.Fatal(err)
				}
				in = in[o.N:]
			}
		}
		exchange(f.members[0]) // a HelloVerifyRequest, or a HelloRetryRequest
		for !engine.HandshakeComplete() {
			exchange(f.members[1])
		}
	}
}

// withoutRedis: no early data, and all else goes on; with Redis back it returns,
// but not before what was forgotten has lost its worth.
func (f *fleet) withoutRedis() {
	var clients []*hermetic.Config
	for _, m := range f.members {
		cfg := f.newClient(tls.VersionTLS13)
		f.echo(m.tls, cfg, "words")
		clients = append(clients, cfg)
	}
	f.redis.kill()
	for i, m := range f.members {
		s, _ := f.echo(m.tls, clients[i], "words")
		f.want("Redis is away", s, true, false)
		m.await("cannot ask Redis about early data")
		s, _ = f.echo(m.tls, f.newClient(tls.VersionTLS13), "words")
		f.want("Redis is away, a new client", s, false, false)
		s, _ = f.echo(f.members[(i+1)%len(f.members)].tls, clients[i], "words")
		f.want("Redis is away, at another server", s, true, false)
	}

	f.redis.start()
	for i, m := range f.members {
		f.untilForgetful(m, clients[i])
	}
	f.redis.grow("hermetic")
	for i, m := range f.members {
		s, _ := f.echo(m.tls, clients[i], "words")
		f.want("Redis remembers", s, true, true)
	}
}

// untilForgetful repeats connections until the server's Redis has said that it may
// have forgotten something: a client of Redis needs a while to notice that it is back.
func (f *fleet) untilForgetful(m *member, cfg *hermetic.Config) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		s, _ := f.echo(m.tls, cfg, "words")
		f.want("Redis is new", s, true, false)
		for len(m.log) > 0 {
			if strings.Contains(<-m.log, ErrForgetful.Error()) {
				return
			}
		}
	}
	f.t.Fatal("the server does not notice that Redis is back")
}
