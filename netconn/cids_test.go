package netconn

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestMoves: a peer with our connection ID that does not take part in checks is followed to
// a new address, by what is authentic and new, and by nothing else.
func TestMoves(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{4, 200} {
			client, server := configs(t)
			client.MaxVersion = version
			client.DTLS.ConnectionIDs, client.DTLS.PathValidation = true, hermetic.PathValidationNone
			server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, size
			w, l := onWire(t, server, PacketConfig{})
			c, other := w.caller(t, "home", client), w.caller(t, "other", client)
			c.speak()
			conn := accept(t, l)
			other.speak()
			accept(t, l)

			where := func(want string) {
				t.Helper()
				if got := conn.RemoteAddr().String(); got != want {
					t.Errorf("%#x: the peer is at %q, not %q", version, got, want)
				}
				if _, err := conn.Write([]byte("to " + want)); err != nil {
					t.Fatal(err)
				}
				c.addr, c.got = want, nil
				if c.listen(); string(c.got) != "to "+want {
					t.Errorf("%#x: at %q came %q", version, want, c.got)
				}
			}
			move := func(to, words string) {
				t.Helper()
				c.addr = to
				c.say(words)
				hears(t, conn, words)
			}
			where("home")
			old, err := c.Seal(nil, []byte("on the way for long"))
			if err != nil {
				t.Fatal(err)
			}
			move("away", "I have moved")
			where("away")
			// The old record is authentic, and new, but not newer than all.
			w.send("home", bytes.Clone(old))
			hears(t, conn, "on the way for long")
			where("away")
			// A repetition and a forgery move nobody.
			again, err := c.Seal(nil, []byte("once"))
			if err != nil {
				t.Fatal(err)
			}
			w.send("away", bytes.Clone(again))
			hears(t, conn, "once")
			w.send("thief", bytes.Clone(again))
			forged := bytes.Clone(again)
			forged[len(forged)-1] ^= 1
			w.send("thief", forged)
			w.sent("")
			where("away")
			// To an address that another peer has, and back.
			move("other", "two at one address")
			where("other")
			other.say("I am still here")
			w.sent("")
			move("home", "back")
			where("home")
			if version == tls.VersionTLS13 {
				// Another connection ID, against observers.
				if err := c.RequestConnectionIDs(1); err != nil {
					t.Fatal(err)
				}
				c.speak()
				if !c.ChangeConnectionID() {
					t.Fatal("no spare connection ID")
				}
				move("abroad", "under another ID")
				where("abroad")
			}
			conn.Close()
			if s := l.socket; len(s.live) != 1 || len(s.peers) != 1 || len(s.cids) != 1 {
				t.Errorf("%d peers, %d addresses, %d connection IDs after Close", len(s.live), len(s.peers), len(s.cids))
			}
		}
	}
}

// TestChecks: a peer that takes part in checks is followed once it has answered from its new
// address; until then its address gets nothing but challenges, and Write waits.
func TestChecks(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, policy := range []hermetic.PathValidation{hermetic.PathValidationBasic, hermetic.PathValidationEnhanced} {
			t.Run(tls.VersionName(version)+", "+policy.String(), func(t *testing.T) { checks(t, version, policy) })
		}
	}
}

func checks(t *testing.T, version uint16, policy hermetic.PathValidation) {
	client, server := configs(t)
	client.MaxVersion, client.DTLS.ConnectionIDs = version, true
	server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, 4
	server.DTLS.PathValidation = policy
	now := &clock{now: pkitest.Now}
	client.Time, server.Time = now.time, now.time
	w, l := onWire(t, server, PacketConfig{})
	c := w.caller(t, "home", client)
	c.speak()
	conn := accept(t, l)
	say := func(from, words string) {
		t.Helper()
		c.addr = from
		c.say(words)
		hears(t, conn, words)
	}
	at := func(why, want string) {
		t.Helper()
		if got := conn.RemoteAddr().String(); got != want {
			t.Errorf("%s: the peer is at %q, not %q", why, got, want)
		}
	}
	later := func(d time.Duration) {
		now.pass(d)
		l.socket.expire()
	}
	say("away", "I have moved")
	at("nothing is proved", "home")
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte("where are you"))
		written <- err
	}()
	if policy == hermetic.PathValidationEnhanced {
		if d := w.sent("away"); len(d) > 0 {
			t.Errorf("%d datagrams go to the new address before its turn", len(d))
		}
		if len(w.sent("home")) != 1 { // which is dead
			t.Error("no challenge goes to the current address")
		}
		for range 3 {
			later(time.Second / 3)
			w.sent("home")
		}
		later(time.Millisecond)
	}
	select {
	case err := <-written:
		t.Errorf("Write does not wait: %v", err)
	default:
	}
	c.speak()
	if c.listen(); c.err != nil {
		t.Fatal(c.err)
	}
	for c.HasOutput() { // the answer
		c.w.send(c.addr, c.Output(nil))
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	c.got = nil
	if c.listen(); string(c.got) != "where are you" {
		t.Errorf("at the new address came %q", c.got)
	}
	at("it has answered", "away")

	// A thief's copies cost a few challenges, and delay Write until the check has failed.
	before := l.Drops()
	words, err := c.Seal(nil, []byte("copied"))
	if err != nil {
		t.Fatal(err)
	}
	w.send("thief", bytes.Clone(words))
	hears(t, conn, "copied")
	for range 20 {
		w.send("thief", bytes.Clone(words))
	}
	go func() {
		_, err := conn.Write([]byte("still there"))
		written <- err
	}()
	if policy == hermetic.PathValidationEnhanced {
		c.speak() // the answer from where it is ends the check
		c.listen()
		for c.HasOutput() {
			c.w.send(c.addr, c.Output(nil))
		}
	} else {
		stolen := 0
		for range 3 {
			for _, d := range w.sent("thief") {
				stolen += len(d)
			}
			later(time.Second / 3)
		}
		later(time.Millisecond)
		if stolen == 0 || stolen > 3*len(words) {
			t.Errorf("the thief got %d bytes for one new record of %d", stolen, len(words))
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	c.got = nil
	if c.listen(); string(c.got) != "still there" {
		t.Errorf("came %q", c.got)
	}
	at("a thief", "away")
	if got := l.Drops().Records.Replayed - before.Records.Replayed; got != 20 {
		t.Errorf("%d replays", got)
	}
	// To an address that another peer has.
	other := w.caller(t, "other", client)
	other.speak()
	neighbor := accept(t, l)
	now.pass(time.Second)
	if policy == hermetic.PathValidationBasic {
		say("other", "two at one address")
		c.listen()
		for c.HasOutput() {
			c.w.send(c.addr, c.Output(nil))
		}
		w.sent("")
		at("the answer", "other")
		other.say("I am still here")
		hears(t, neighbor, "I am still here")
	}
	// Close does not wait for a check.
	now.pass(2 * time.Second)
	say("abroad", "I am leaving")
	go func() {
		_, err := conn.Write([]byte("too late"))
		written <- err
	}()
	conn.Close()
	if err := <-written; err == nil {
		t.Error("Write succeeds after Close, to an address that is not proved")
	}
}

// TestFollow: a peer that may not be followed is heard, and answered where it was.
func TestFollow(t *testing.T) {
	client, server := configs(t)
	client.DTLS.ConnectionIDs = true
	server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, 4
	asked := make(chan string, 10)
	w, l := onWire(t, server, PacketConfig{AcceptNewPath: func(from, to net.Addr) bool {
		asked <- from.String() + " to " + to.String()
		return to.String() == "near"
	}})
	c := w.caller(t, "home", client)
	c.speak()
	conn := accept(t, l)
	for _, step := range []struct{ to, asked, there string }{
		{"home", "", "home"}, {"far", "home to far", "home"}, {"near", "home to near", "near"}, {"near", "", "near"}, {"far", "near to far", "near"},
	} {
		c.addr = step.to
		c.say("I am " + step.to)
		hears(t, conn, "I am "+step.to)
		if got := conn.RemoteAddr().String(); got != step.there {
			t.Errorf("%s: the peer is at %q, not %q", step.to, got, step.there)
		}
		got := ""
		if len(asked) > 0 {
			got = <-asked
		}
		if got != step.asked || len(asked) > 0 {
			t.Errorf("%s: asked %q, not %q", step.to, got, step.asked)
		}
	}
}

// TestControl: what Conn does not offer, with the engine.
func TestControl(t *testing.T) {
	everywhere(t, func(t *testing.T, c, s *Conn) {
		err := c.Control(func(e *hermetic.Engine) error { return e.KeyUpdate(hermetic.UpdateRequested) })
		if (err == nil) != (c.State().Version == tls.VersionTLS13) {
			t.Errorf("KeyUpdate: %v", err)
		}
		for _, pair := range [][2]*Conn{{c, s}, {s, c}} {
			if _, err := pair[0].Write([]byte("under new keys")); err != nil {
				t.Fatal(err)
			}
			hears(t, pair[1], "under new keys")
		}
		c.Close()
		if err := c.Control(nil); err == nil {
			t.Error("Control after Close")
		}
	})
}

// TestConnectionIDsAreDistinct: IDs of the caller's making are given to one peer each while
// there are enough, and then every peer is still served.
func TestConnectionIDsAreDistinct(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, made := range []bool{false, true} {
			client, server := configs(t)
			client.MaxVersion = version
			client.DTLS.ConnectionIDs = true
			server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, 1
			const possible = 4
			if made {
				server.DTLS.MakeConnectionID = func(cid []byte) { cid[0] %= possible }
			}
			w, l := onWire(t, server, PacketConfig{})
			seen := make(map[byte]int)
			for i := range possible + 2 {
				c := w.caller(t, fmt.Sprint("peer ", i), client)
				c.speak()
				conn := accept(t, l)
				_, cid := c.ConnectionIDs()
				seen[cid[0]]++
				c.say("words")
				hears(t, conn, "words")
			}
			if n := len(seen); made && (n > possible || n < possible-1) || !made && n != possible+2 {
				t.Errorf("%#x, made %v: IDs %v", version, made, seen)
			}
		}
	}
}
