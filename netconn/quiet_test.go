package netconn

import (
	"crypto/tls"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// quietListener is a listener with a clock that stands still, and a client.
func quietListener(t *testing.T, version uint16, config PacketConfig) (*clock, *hermetic.Config, *wire, *PacketListener) {
	client, server := configs(t)
	now := &clock{now: pkitest.Now}
	client.MaxVersion, client.Time, server.Time = version, now.time, now.time
	w, l := onWire(t, server, config)
	return now, client, w, l
}

// TestQuiet: a connection that is quiet is made small, and goes on as if nothing had
// been.
func TestQuiet(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		now, client, w, l := quietListener(t, version, PacketConfig{CompactAfter: 10 * time.Second})
		c := w.caller(t, "c", client)
		c.speak()
		conn := accept(t, l)
		p := conn.session.(*peer)
		small := func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.look.IsZero()
		}
		pass := func(d time.Duration, want bool) {
			t.Helper()
			now.pass(d)
			c.Expire()
			c.speak()
			l.socket.expire()
			c.speak()
			if small() != want {
				t.Errorf("%s: after %v more it is small: %v", tls.VersionName(version), d, !want)
			}
		}
		settle := func() { // two looks
			for range 2 {
				now.pass(10 * time.Second)
				l.socket.expire()
			}
		}
		for round := range 3 {
			c.say("a word")
			hears(t, conn, "a word")
			pass(9*time.Second, false)
			c.say("and another")
			hears(t, conn, "and another")
			pass(9*time.Second, false)
			settle()
			pass(time.Hour, true)
			if conn.State().Version != version {
				t.Error("it has forgotten what it is")
			}
			if round == 1 {
				// What nobody has said wakes it, and is not heard.
				w.send("c", append([]byte{0x2e, 0, 0, 0, 20}, make([]byte, 20)...))
				w.sent("")
				settle()
				pass(0, true)
			}
			if _, err := conn.Write([]byte("good morning")); err != nil {
				t.Fatal(err)
			}
			if c.listen(); string(c.got) != "good morning" || c.err != nil {
				t.Errorf("the client heard %q, %v", c.got, c.err)
			}
			c.got = nil
			if version == tls.VersionTLS13 {
				if err := conn.Control(func(e *hermetic.Engine) error { return e.KeyUpdate(hermetic.UpdateRequested) }); err != nil {
					t.Fatal(err)
				}
				c.speak()
				for range 3 { // the update, its acknowledgement, the use of the new keys
					pass(time.Second, false)
					c.say("a word")
					hears(t, conn, "a word")
				}
			}
		}
	}
}

// TestNeverQuiet: with a negative limit nothing is made small.
func TestNeverQuiet(t *testing.T) {
	_, client, w, l := quietListener(t, tls.VersionTLS13, PacketConfig{CompactAfter: -1})
	c := w.caller(t, "c", client)
	c.speak()
	c.say("a word")
	conn := accept(t, l)
	hears(t, conn, "a word")
	w.sent("")
	if p := conn.session.(*peer); !p.look.IsZero() {
		t.Errorf("it is looked at in %v", p.look)
	}
}

// TestPeerMemory: what an established connection costs a listener, its map entries
// included: in use, and idle.
func TestPeerMemory(t *testing.T) {
	const count, inUse, idle = 300, 4096, 1792
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		now, client, w, l := quietListener(t, version, PacketConfig{CompactAfter: time.Hour})
		conns := make([]*Conn, count)
		meet := func(name string) *Conn {
			c := w.caller(t, name, client)
			c.speak()
			c.say("hello")
			conn := accept(t, l)
			conn.SetDeadline(time.Time{})
			hears(t, conn, "hello")
			now.pass(time.Second)
			c.Expire()
			c.speak()
			l.socket.expire()
			return conn
		}
		meet("first") // what is made once is made
		before := heapAlloc()
		measure := func(what string, limit int) {
			t.Helper()
			w.out = map[string][][]byte{}
			n := int(heapAlloc()-before) / count
			t.Logf("%s, %s: %d bytes", tls.VersionName(version), what, n)
			if n >= limit {
				t.Errorf("%s, %s: a connection costs %d bytes of heap, want less than %d", tls.VersionName(version), what, n, limit)
			}
		}
		for i := range conns {
			conns[i] = meet(fmt.Sprintf("peer %d", i))
		}
		measure("in use", inUse)
		for range 2 {
			now.pass(2 * time.Hour)
			l.socket.expire()
		}
		measure("idle", idle)
		runtime.KeepAlive(conns)
		for _, conn := range conns {
			conn.Close()
		}
	}
}

// TestWakeAll: many quiet peers all speak at once, and each is heard. It logs what a quiet peer
// costs, and how long waking all takes: HERMETIC_PEERS=100000 is for measuring.
func TestWakeAll(t *testing.T) {
	count := 200
	if n, err := strconv.Atoi(os.Getenv("HERMETIC_PEERS")); err == nil {
		count = n
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		now, client, w, l := quietListener(t, version, PacketConfig{CompactAfter: time.Minute, MaxPeers: count + 1})
		client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		conns, words := make([]*Conn, 0, count+1), make([]parcel, 0, count+1)
		// meet keeps of a client only what it will say.
		meet := func(name string) {
			c := w.caller(t, name, client)
			c.speak()
			c.say("hello")
			conn := accept(t, l)
			conn.SetDeadline(time.Time{})
			hears(t, conn, "hello")
			now.pass(time.Second)
			c.Expire()
			c.speak()
			word, err := c.Seal(nil, []byte(name))
			if err != nil {
				t.Fatal(err)
			}
			conns, words = append(conns, conn), append(words, parcel{wireAddr(name), word})
		}
		meet("first") // what is made once is made
		heap, rss := heapAlloc(), residentSize()
		for i := range count {
			meet(fmt.Sprintf("peer %d", i))
		}
		for range 3 {
			now.pass(2 * time.Minute)
			l.socket.expire()
		}
		w.mu.Lock()
		w.out = map[string][][]byte{}
		w.mu.Unlock()
		heap, rss = heapAlloc()-heap, residentSize()-rss
		began := time.Now()
		for _, p := range words {
			w.send(string(p.peer), p.data)
		}
		for i, conn := range conns {
			hears(t, conn, string(words[i].peer))
		}
		t.Logf("%s, %d quiet peers: %d bytes of heap and %d of RSS each, with 200 of the test's own; all woken and heard in %v",
			tls.VersionName(version), count, int(heap)/count, rss/count, time.Since(began))
		for _, conn := range conns {
			conn.Close()
		}
		l.Close()
	}
}

// residentSize is the process's RSS, or 0 where /proc does not say.
func residentSize() int {
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if fields := strings.Fields(string(statm)); err == nil && len(fields) > 1 {
		pages, _ := strconv.Atoi(fields[1])
		return pages * os.Getpagesize()
	}
	return 0
}

func heapAlloc() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
