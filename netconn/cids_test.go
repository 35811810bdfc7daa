package netconn

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// TestMoves: a peer with our connection ID is followed to a new address, by what is
// authentic and new, and by nothing else.
func TestMoves(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{4, 200} {
			client, server := configs(t)
			client.MaxVersion = version
			client.DTLS.ConnectionIDs = true
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
