package hermetic

import (
	"crypto/tls"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
)

// updates is a DTLS 1.3 connection whose KeyUpdates are watched.
type updates struct{ *meeting }

func newUpdates(t *testing.T) updates {
	n := newNetwork(t, func(c, s *Config) { c.MinVersion = tls.VersionTLS13 })
	if err := n.wait(); err != nil {
		t.Fatal(err)
	}
	return updates{n}
}

func (u updates) update(e *Engine, request bool) {
	u.t.Helper()
	if err := e.KeyUpdate(KeyUpdateRequest(request)); err != nil {
		u.t.Fatal(err)
	}
}

// settle delivers, with time for ACKs, until nothing moves any more.
func (u updates) settle() {
	u.t.Helper()
	for quiet := 0; quiet < 5; quiet++ {
		moved, err := u.deliver()
		if err != nil {
			u.t.Fatal(err)
		}
		if moved {
			quiet = 0
		}
		u.now = u.now.Add(300 * time.Millisecond)
		for _, e := range []*Engine{u.client, u.server} {
			if err := e.Expire(); err != nil {
				u.t.Fatal(err)
			}
		}
	}
}

// epoch is the number of updates that e has made, modulo 4: the last two bits of its
// sending epoch, which begins with 3.
func (u updates) made(e *Engine) int {
	u.t.Helper()
	d, err := e.Seal(nil, []byte("x"))
	if err != nil || !record.IsUnified(d[0]) {
		u.t.Fatalf("no record: %v", err)
	}
	return (int(d[0]&3) + 1) & 3
}

// TestKeyUpdatesMeet: RFC 9147bis, Section 8, and RFC 9846, Section 4.7.3: each request is
// answered, whatever else is on its way.
func TestKeyUpdatesMeet(t *testing.T) {
	for name, test := range map[string]struct {
		do             func(u updates)
		client, server int // updates
	}{
		"a request": {func(u updates) { u.update(u.client, true) }, 1, 1},
		"requests that cross": {func(u updates) {
			u.update(u.client, true)
			u.update(u.server, true)
		}, 2, 2},
		"a request crosses an update": {func(u updates) {
			u.update(u.client, true)
			u.update(u.server, false)
		}, 1, 2},
		"a request after an update": {func(u updates) {
			u.update(u.client, false)
			u.update(u.client, true)
		}, 2, 1},
		"an update after a request": {func(u updates) {
			u.update(u.client, true)
			u.update(u.client, false)
		}, 1, 1},
		"requests at once": {func(u updates) {
			u.update(u.client, true)
			u.update(u.client, true)
		}, 1, 1},
		"a request after an update, and one of the peer's": {func(u updates) {
			u.update(u.client, false)
			u.update(u.server, true)
			u.update(u.client, true)
		}, 3, 2},
		"a request after the answer to another": {func(u updates) {
			u.update(u.client, true)
			if _, err := u.deliver(); err != nil {
				u.t.Fatal(err)
			}
			u.update(u.client, true) // before its ACK has left
		}, 2, 2},
		"a request that is lost": {func(u updates) {
			u.update(u.client, true)
			u.client.Output(nil)
			u.now = u.now.Add(time.Second)
			u.client.Expire()
		}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpdates(t)
			test.do(u)
			u.settle()
			if c, s := u.made(u.client), u.made(u.server); c != test.client || s != test.server {
				t.Errorf("the client has updated its keys %d times, the server %d; want %d and %d", c, s, test.client, test.server)
			}
			u.exchangeDatagrams()
		})
	}
}

// TestKeyUpdateRequestedOnce: no second request before the answer to the first has come,
// even if the first is acknowledged.
func TestKeyUpdateRequestedOnce(t *testing.T) {
	u := newUpdates(t)
	u.update(u.client, true)
	if err := u.give(u.server, u.client.Output(nil)); err != nil {
		t.Fatal(err)
	}
	u.now = u.now.Add(300 * time.Millisecond)
	u.server.Expire()
	d := u.server.Output(nil) // an ACK, and the KeyUpdate that answers
	if o, err := u.client.Open(d); err != nil || o.N == len(d) {
		t.Fatalf("one record of %d bytes: %v", o.N, err)
	}
	if u.client.carrier.KeyUpdatePending() {
		t.Fatal("the KeyUpdate is not acknowledged")
	}
	u.update(u.client, true)
	out := u.client.Output(nil)
	if err := u.give(u.server, out); err != nil {
		t.Fatal(err)
	}
	u.settle()
	if c, s := u.made(u.client), u.made(u.server); c != 2 || s != 1 {
		t.Errorf("the client has updated its keys %d times, the server %d; want 2 and 1", c, s)
	}
	u.update(u.client, true) // the answer is there
	u.settle()
	if c, s := u.made(u.client), u.made(u.server); c != 3 || s != 2 {
		t.Errorf("then: the client has updated its keys %d times, the server %d; want 3 and 2", c, s)
	}
	u.exchangeDatagrams()
}

// TestKeyUpdateRequestedOnceStream is the same over a stream.
func TestKeyUpdateRequestedOnceStream(t *testing.T) {
	p := versionPair(t, tls.VersionTLS13)
	p.handshake()
	p.exchange(1)
	sealed, err := p.server.Seal(nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.Open(sealed); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := p.client.KeyUpdate(UpdateRequested); err != nil {
			t.Fatal(err)
		}
		p.toServer = p.client.Output(nil)
		if err := p.open(p.server, &p.toServer); err != nil {
			t.Fatal(err)
		}
		out, err := p.server.Seal(nil, []byte("x")) // the client does not see it yet
		if err != nil {
			t.Fatal(err)
		}
		if answered := len(out) > len(sealed); answered != (i == 0) {
			t.Errorf("request %d is answered: %v", i, answered)
		}
		p.toClient = append(p.toClient, out...)
	}
	if err := p.open(p.client, &p.toClient); err != nil {
		t.Fatal(err)
	}
	p.exchange(1)
}

// TestKeyUpdatesAtRandom: whatever both sides do, and whatever is lost, in the end each has
// answered the other's requests.
func TestKeyUpdatesAtRandom(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		u := newUpdates(t)
		u.lose = func() bool { return random.IntN(4) == 0 }
		for range 6 {
			e := u.client
			if random.IntN(2) == 0 {
				e = u.server
			}
			u.update(e, random.IntN(2) == 0)
			if random.IntN(2) == 0 {
				if _, err := u.deliver(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			u.now = u.now.Add(time.Duration(random.IntN(400)) * time.Millisecond)
			u.client.Expire()
			u.server.Expire()
		}
		u.lose = func() bool { return false }
		for range 100 {
			u.settle()
		}
		before := [2]int{u.made(u.client), u.made(u.server)}
		u.update(u.client, true)
		u.settle()
		if now := [2]int{u.made(u.client), u.made(u.server)}; now[0] != (before[0]+1)&3 || now[1] != (before[1]+1)&3 {
			t.Errorf("seed %d: a request at the end: updates %v, then %v", seed, before, now)
		}
		u.exchangeDatagrams()
	}
}
