package carrier

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestKeyUpdate(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	c, s := p.client, p.server
	for round := range 12 {
		e, peer := c, s
		if round%3 == 2 {
			e, peer = s, c
		}
		epoch := e.sending.Next().Epoch
		e.updateKeys()
		if !e.KeyUpdatePending() {
			t.Fatal("no key update is pending")
		}
		out := p.output(e)
		p.mustInput(peer, p.seal(e, "old keys"))
		if e.sending.Next().Epoch != epoch {
			t.Fatal("the new keys are in use before the peer has them")
		}
		p.mustInput(peer, out...)
		p.mustInput(peer, p.seal(e, "still"))
		p.passTime(time.Second / 4)
		ack := p.output(peer)
		late := p.seal(e, "late")
		p.mustInput(e, ack...)
		if e.sending.Next().Epoch != epoch+1 || e.KeyUpdatePending() {
			t.Fatal("the new keys are not in use")
		}
		p.mustInput(peer, p.seal(e, "new keys"), late)
		if !slices.Equal(peer.data, []string{"old keys", "still", "new keys", "late"}) {
			t.Fatalf("round %d: the %s got %q", round, peer.name, peer.data)
		}
		peer.data = nil
		if n := len(peer.protocol.(*dtls13).generations); n > 2 {
			t.Errorf("%d epochs are kept, want the new one and the one before", n)
		}
	}
	p.wantDeadline("all is acknowledged", c, -1)
	p.wantDeadline("all is acknowledged", s, -1)
}

// TestKeyUpdateOrder: a KeyUpdate waits until all before it is acknowledged, and
// everything after it waits for it.
func TestKeyUpdateOrder(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.output(p.server)...)
	c, s := p.client, p.server
	c.updateKeys()
	c.updateKeys()
	c.send(wire.TypeNewSessionTicket, 10) // never mind that clients do not
	finished := p.output(c)
	p.want("only the Finished", c, finished, "2:Finished")
	p.mustInput(s, finished...)
	p.mustInput(c, p.output(s)...)
	for _, want := range []string{"3:KeyUpdate", "4:KeyUpdate", "5:NewSessionTicket"} {
		out := p.output(c)
		p.want("in turn", c, out, want)
		p.mustInput(s, out...)
		p.passTime(time.Second / 4)
		p.mustInput(c, p.output(s)...)
	}
	if !c.Acknowledged() {
		t.Error("not all is acknowledged")
	}
}

func TestKeyUpdateViolations(t *testing.T) {
	update := func(seq int) []byte { return fragment(true, wire.TypeKeyUpdate, seq, 1, 0, 1) }
	ticket := func(seq int) []byte { return fragment(true, wire.TypeNewSessionTicket, seq, 5, 0, 5) }
	for _, test := range []struct {
		name    string
		records [][]byte // content of records of epoch 3
	}{
		{"a message after it", [][]byte{update(5), ticket(6)}},
		{"a message after it that came first", [][]byte{ticket(6), update(5)}},
		{"a message after it in the same record", [][]byte{append(update(5), ticket(6)...)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
			p.connect()
			out := record.NewWriter13(3, keys(wire.VersionTLS13, true, 3), nil)
			for range 10 {
				out.Seal(nil, record.Handshake, nil)
			}
			var err error
			for _, content := range test.records {
				d, _ := out.Seal(nil, record.Handshake, content)
				err = p.input(p.client, d)
			}
			roomtest.WantAlert(t, err, alert.UnexpectedMessage)
		})
	}
}

func TestExhaustedKeys(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	s := *suite.ByID(0x1301)
	s.SealLimit = 4
	k := keys(wire.VersionTLS13, false, 9)
	k.Suite = &s
	p.client.sending = record.NewWriter13(9, k, nil)
	for range 5 {
		p.seal(p.client, "x")
	}
	if p.client.exhaust != 1 {
		t.Errorf("the handler was told %d times, want once", p.client.exhaust)
	}
	_, err := p.client.Seal(nil, []byte("x"))
	roomtest.WantAlert(t, err, alert.InternalError)
}

// TestIntegrityLimit: RFC 9147bis, Section 4.5.3.
func TestIntegrityLimit(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	s := *suite.ByID(0x1301)
	s.IntegrityLimit = 5
	k := keys(wire.VersionTLS13, true, 3)
	k.Suite = &s
	r := p.client.protocol.(*dtls13)
	r.generations = []generation{{Reader13: record.NewReader13(3, k)}}
	forged := p.seal(p.server, "x")
	forged[len(forged)-1]++
	for range 5 {
		p.mustInput(p.client, forged)
	}
	if p.client.forged != 1 {
		t.Errorf("the handler was told %d times, want once", p.client.forged)
	}
	roomtest.WantAlert(t, p.input(p.client, forged), alert.BadRecordMAC)
}

// TestForgeriesOutrun: when the peer has changed its keys in time, forgeries under
// the old ones end them alone.
func TestForgeriesOutrun(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	s := *suite.ByID(0x1301)
	s.IntegrityLimit = 5
	k := keys(wire.VersionTLS13, true, 3)
	k.Suite = &s
	r := p.client.protocol.(*dtls13)
	r.generations = []generation{{Reader13: record.NewReader13(3, k), used: true}}
	forged := p.seal(p.server, "x")
	forged[len(forged)-1]++
	p.server.updateKeys()
	p.mustInput(p.client, p.output(p.server)...)
	for range 20 {
		p.mustInput(p.client, forged)
	}
	if len(r.generations) != 1 || r.generations[0].Epoch() != 4 {
		t.Errorf("%d generations of keys are left", len(r.generations))
	}
	p.passTime(time.Second / 4)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.seal(p.server, "under new keys"))
	if !slices.Equal(p.client.data, []string{"under new keys"}) {
		t.Errorf("got %q", p.client.data)
	}
}

func TestLastEpoch(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	r := p.client.protocol.(*dtls13)
	k := keys(wire.VersionTLS13, true, 1)
	r.generations = []generation{{Reader13: record.NewReader13(maxEpoch-1, k)}}
	if err := p.client.InstallRead(handshake.Application, k); err != nil {
		t.Error(err)
	}
	roomtest.WantAlert(t, p.client.InstallRead(handshake.Application, k), alert.UnexpectedMessage)
	p.client.sending = record.NewWriter13(maxEpoch, k, nil)
	p.client.InstallWrite(handshake.Application, k)
	roomtest.WantAlert(t, p.client.Expire(p.now), alert.InternalError)
}

func TestMessageNumbersEnd(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	p.client.nextOut = 0xffff
	p.client.Send(message(false, wire.TypeNewSessionTicket, 0xffff, 5))
	if err := p.client.Expire(p.now); err != nil {
		t.Error(err)
	}
	p.client.Send(message(false, wire.TypeNewSessionTicket, 0x10000, 5))
	roomtest.WantAlert(t, p.client.Expire(p.now), alert.InternalError)
	_, _, err := p.client.open(p.now, nil)
	roomtest.WantAlert(t, err, alert.InternalError)
}

// TestConnectionIDs: RFC 9146 and RFC 9147bis, Section 9.
func TestConnectionIDs(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name string
			cids [2][]byte // the client's, the server's
		}{
			{"both", [2][]byte{{1, 2, 3}, {9}}},
			{"only the client's", [2][]byte{{1, 2, 3}, nil}},
			{"only the server's", [2][]byte{nil, {4, 5}}},
		} {
			t.Run(test.name, func(t *testing.T) {
				p := newPair(t, playOptions{version: version, localCID: test.cids, retry: true, ticket: true, certificate: 2000}, nil)
				p.mustInput(p.server, p.output(p.client)...)
				p.mustInput(p.client, p.output(p.server)...)
				p.mustInput(p.server, p.output(p.client)...)
				out := p.output(p.server)
				slices.Reverse(out) // what comes before its keys has CIDs too
				p.mustInput(p.client, out...)
				p.connect()
				for i, e := range []*end{p.server, p.client} {
					a, b := p.seal(e, "a"), p.seal(e, "b")
					peer := p.peer(e)
					p.mustInput(peer, b, a)
					want := []Kind{NewPath, Data}
					if len(test.cids[i]) == 0 {
						want = []Kind{Data, Data}
					}
					if !slices.Equal(peer.kinds, want) {
						t.Errorf("to the %s: kinds %v, want %v", peer.name, peer.kinds, want)
					}
					if !bytes.Contains(a[:20], test.cids[i]) {
						t.Errorf("a record to the %s has no CID: %x", peer.name, a[:20])
					}
					wrong := bytes.Clone(p.seal(e, "wrong"))
					if at := bytes.Index(wrong, test.cids[i]); len(test.cids[i]) > 0 && at > 0 {
						wrong[at]++
						dropped := peer.drops()
						p.mustInput(peer, append(wrong, p.seal(e, "after it")...))
						if len(peer.data) != 2 || peer.drops() != dropped+1 {
							t.Error("a record under another CID is opened")
						}
					}
				}
			})
		}
	})
}

// TestOneAtATime: messages about connection IDs wait until the last one of their
// type is acknowledged, and what is after them waits with them.
func TestOneAtATime(t *testing.T) {
	for _, typ := range []wire.Type{wire.TypeNewConnectionID, wire.TypeRequestConnectionID} {
		p := newPair(t, playOptions{version: wire.VersionTLS13, localCID: [2][]byte{{1}, {2}}}, nil)
		p.connect()
		c, s := p.client, p.server
		s.send(typ, 10)
		s.send(wire.TypeNewSessionTicket, 10)
		s.send(typ, 11)
		s.send(wire.TypeNewSessionTicket, 10)
		if s.KeyUpdatePending() {
			t.Error("what waits is no KeyUpdate")
		}
		s.updateKeys()
		for _, want := range []string{
			"3:%v,NewSessionTicket", "3:%v,NewSessionTicket", "3:KeyUpdate",
		} {
			if strings.Contains(want, "%v") {
				want = fmt.Sprintf(want, typ)
			}
			out := p.output(s)
			p.want("in turn", s, out, want)
			p.mustInput(c, out...)
			p.passTime(time.Second / 4)
			p.mustInput(s, p.output(c)...)
		}
		if !s.Acknowledged() || s.KeyUpdatePending() {
			t.Error("not all is acknowledged")
		}
	}
}

// TestQueueIsBounded: a peer that acknowledges nothing cannot make us keep more and more
// answers.
func TestQueueIsBounded(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, localCID: [2][]byte{{1}, {2}}}, nil)
	p.connect()
	for range 1 + maxQueued { // one is on its way
		p.server.send(wire.TypeNewConnectionID, 1)
	}
	if err := p.server.Expire(p.now); err != nil {
		t.Fatal(err)
	}
	p.server.send(wire.TypeNewConnectionID, 1)
	if p.server.x.out.Queued() != maxQueued {
		t.Errorf("%d messages wait", p.server.x.out.Queued())
	}
	roomtest.WantAlert(t, p.server.Expire(p.now), alert.UnexpectedMessage)
}

func TestCIDNotNegotiated(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		p.connect()
		before := p.server.drops()
		d := p.seal(p.client, "x")
		if version == wire.VersionTLS13 {
			d[0] |= 0x10
		} else {
			d[0] = byte(record.TLS12CID)
		}
		p.mustInput(p.server, append(d, p.seal(p.client, "y")...))
		if len(p.server.data) != 0 || p.server.drops() != before+1 {
			t.Errorf("got %q, dropped %d", p.server.data, p.server.drops()-before)
		}
	})
}

func TestNewCIDs(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, localCID: [2][]byte{{1}, {2}}}, nil)
	p.connect()
	p.server.AddLocalCID([]byte{7})
	old := p.seal(p.client, "old")
	p.client.SetPeerCID([]byte{7})
	next := p.seal(p.client, "next")
	if next[1] != 7 {
		t.Errorf("the record's CID is %d, want 7", next[1])
	}
	p.mustInput(p.server, next, old)
	if !slices.Equal(p.server.data, []string{"next", "old"}) {
		t.Errorf("the server got %q", p.server.data)
	}
	p.client.SetPeerCID([]byte{8})
	p.mustInput(p.server, p.seal(p.client, "never offered"))
	if len(p.server.data) != 2 {
		t.Error("a connection ID that was never offered is taken")
	}
}
