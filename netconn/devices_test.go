package netconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// deviceConfigs are those of devices with a PSK, whose handshakes cost little.
func deviceConfigs(version uint16) (client, server *hermetic.Config) {
	keys := []hermetic.PSK{{Identity: []byte("device"), Key: []byte("sixteen random b")}}
	client = &hermetic.Config{PSKs: keys, MaxVersion: version, CurvePreferences: []tls.CurveID{tls.X25519}}
	if version == tls.VersionTLS12 {
		client.CipherSuites = []uint16{0x00A8} // TLS_PSK_WITH_AES_128_GCM_SHA256
	}
	return client, &hermetic.Config{PSKs: keys}
}

// exchange sends what all callers have to say, and gives them the answers.
func (w *wire) exchange(callers []*caller) (sent int) {
	for _, c := range callers {
		for c.HasOutput() {
			w.send(c.addr, c.Output(nil))
			sent++
		}
	}
	w.sent("nobody") // waits until all is sent
	w.mu.Lock()
	out := w.out
	w.out = map[string][][]byte{}
	w.mu.Unlock()
	for _, c := range callers {
		for _, d := range out[c.addr] {
			for len(d) > 0 && c.err == nil {
				var o hermetic.Opened
				o, c.err = c.Open(d)
				c.got = append(c.got, o.Data...)
				d = d[max(o.N, 1):]
			}
		}
	}
	return sent
}

// TestPowerCut: all devices start at once, thousands of them or HERMETIC_PEERS. The handshakes under
// way stay within Backlog, each ClientHello beyond it is counted, nobody who is connected waits, and
// in the end all are connected.
func TestPowerCut(t *testing.T) {
	count, backlog := 2000, 100
	if n, err := strconv.Atoi(os.Getenv("HERMETIC_PEERS")); err == nil {
		count = n
	}
	now := &clock{now: time.Now()}
	client, server := deviceConfigs(tls.VersionTLS12)
	client.Time = now.time
	w, l := onWire(t, server, PacketConfig{Backlog: backlog})
	early := w.caller(t, "early", client)
	early.speak()
	conn := accept(t, l)

	devices := make([]*caller, count)
	for i := range devices {
		devices[i] = w.caller(t, fmt.Sprint("device ", i), client)
	}
	if w.exchange(devices); len(l.socket.all()) != 1 {
		t.Fatalf("%d peers before any cookie has come back", len(l.socket.all())-1)
	}
	if d := l.Drops(); d.NoCookie < uint64(count) {
		t.Errorf("%d ClientHellos are counted", d.NoCookie)
	}
	connected, waiting := 0, devices
	for round := 0; len(waiting) > 0; round++ {
		if round > 3*count {
			t.Fatalf("%d devices are connected, and no more", connected)
		}
		w.exchange(waiting)
		l.socket.mu.Lock()
		under := l.socket.waiting
		l.socket.mu.Unlock()
		if under > backlog {
			t.Fatalf("%d handshakes are under way", under)
		}
		early.say("still here")
		hears(t, conn, "still here")
		var rest []*caller
		for _, c := range waiting {
			switch {
			case c.err != nil:
				t.Fatal(c.err)
			case c.HandshakeComplete():
				connected++
				c := accept(t, l)
				c.SetDeadline(time.Time{})
			default:
				rest = append(rest, c)
			}
		}
		waiting = rest
		now.pass(time.Second)
		for _, c := range waiting {
			if at, ok := c.Deadline(); ok && !now.time().Before(at) {
				if err := c.Expire(); err != nil { // it gives up, and starts again
					c.err = nil
					c.Reset()
				}
			}
		}
	}
	if d := l.Drops(); count > 2*backlog && d.BacklogFull == 0 {
		t.Errorf("no ClientHello beyond the backlog is counted: %+v", d)
	}
	if n := len(l.socket.all()); n != count+1 {
		t.Errorf("%d connections, not %d", n, count+1)
	}
}

// TestVanished: devices that vanish in the middle of their handshakes take room until their time
// is over, are reported, and leave nothing.
func TestVanished(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		now := &clock{now: time.Now()}
		client, server := deviceConfigs(version)
		server.Time = now.time
		var failed atomic.Int64
		w, l := onWire(t, server, PacketConfig{Backlog: 10, OnFailure: func(net.Addr, error) { failed.Add(1) }})
		for i := range 10 {
			c := w.caller(t, fmt.Sprint("device ", i), client)
			w.exchange([]*caller{c}) // the cookie
			w.send(c.addr, c.Output(nil))
		}
		late := w.caller(t, "late", client)
		w.exchange([]*caller{late})
		w.send("late", late.Output(nil))
		w.sent("")
		if d := l.Drops(); d.BacklogFull != 1 {
			t.Errorf("%#x: %d ClientHellos beyond the backlog", version, d.BacklogFull)
		}
		for range 200 {
			now.pass(time.Second)
			l.socket.expire()
		}
		w.sent("")
		if failed.Load() != 10 || len(l.socket.all()) != 0 {
			t.Errorf("%#x: %d have failed, %d are left", version, failed.Load(), len(l.socket.all()))
		}
		last := w.caller(t, "last", client)
		last.speak()
		accept(t, l)
	}
}

// TestReboot: a device that comes back with the old keys, and with numbers that it has used before,
// is not heard twice. What it sends under old keys after a new handshake is counted, and ends nothing.
func TestReboot(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := deviceConfigs(version)
		w, l := onWire(t, server, PacketConfig{})
		c := w.caller(t, "device", client)
		c.speak()
		conn := accept(t, l)
		record, err := c.Seal(nil, []byte("open the valve"))
		if err != nil {
			t.Fatal(err)
		}
		w.send("device", bytes.Clone(record))
		hears(t, conn, "open the valve")
		for range 5 {
			w.send("device", bytes.Clone(record))
		}
		w.sent("")
		if d := l.Drops().Records; d.Replayed != 5 {
			t.Errorf("%#x: %+v", version, d)
		}
		c.say("and close it")
		hears(t, conn, "and close it")

		again := w.caller(t, "device", client)
		again.speak()
		fresh := accept(t, l)
		if _, err := conn.Read(make([]byte, 10)); !errors.Is(err, ErrReplaced) {
			t.Errorf("%#x: the old connection: %v", version, err)
		}
		before := l.Drops().Records.Total()
		w.send("device", bytes.Clone(record))
		c.say("with the old keys")
		again.say("with the new ones")
		hears(t, fresh, "with the new ones")
		if n := l.Drops().Records.Total() - before; n != 2 {
			t.Errorf("%#x: %d records under old keys are counted", version, n)
		}
	}
}
