package carrier

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

// lossy is a network between the two ends of a pair: it loses, repeats and
// reorders, as its seed says.
type lossy struct {
	*pair
	rng     *rand.Rand
	loss    float64
	flying  []flying
	damaged bool // it also changes bits
}

type flying struct {
	to *end
	at time.Time
	d  []byte
}

// send takes all that e sends now.
func (l *lossy) send(e *end) {
	for _, d := range l.output(e) {
		l.fly(e, d)
	}
}

// fly lets a datagram of e take off, as often as the network likes.
func (l *lossy) fly(e *end, d []byte) {
	for n := 0; l.rng.Float64() < 0.1 || n == 0; n++ {
		if l.rng.Float64() < l.loss {
			continue
		}
		delay := 10 + l.rng.IntN(40)
		if l.rng.IntN(10) == 0 {
			delay += l.rng.IntN(400)
		}
		copied := bytes.Clone(d)
		if l.damaged && l.rng.IntN(20) == 0 {
			copied[l.rng.IntN(len(copied))] ^= 1 << l.rng.IntN(8)
		}
		l.flying = append(l.flying, flying{l.peer(e), l.now.Add(time.Duration(delay) * time.Millisecond), copied})
	}
}

// next lets the next thing happen: a datagram arrives, or a deadline passes. It
// is false when nothing is left to happen.
func (l *lossy) next() (more bool, err error) {
	first, which := time.Time{}, -1
	for i, f := range l.flying {
		if which < 0 || f.at.Before(first) {
			first, which = f.at, i
		}
	}
	var due *end
	for _, e := range []*end{l.client, l.server} {
		if u, ok := e.Deadline(); ok && (which < 0 && due == nil || u.Before(first)) {
			first, due = u, e
		}
	}
	if first.After(l.now) {
		l.now = first
	}
	switch {
	case due != nil:
		err = due.Expire(l.now)
		l.send(due)
	case which >= 0:
		f := l.flying[which]
		l.flying = append(l.flying[:which], l.flying[which+1:]...)
		for in := f.d; len(in) > 0 && err == nil; {
			var o Opened
			var n int
			if o, n, err = f.to.open(l.now, in); err == nil && f.to.waiting {
				err = f.to.answer(l.now)
			}
			if o.Data != nil {
				f.to.data = append(f.to.data, string(o.Data))
			}
			in = in[n:]
		}
		l.send(f.to)
	default:
		return false, nil
	}
	return true, err
}

func TestLoss(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		failed := 0
		const seeds = 400
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, uint64(version)))
			coin := func() bool { return rng.IntN(2) == 0 }
			po := playOptions{
				version: version, retry: coin(), clientAuth: coin(), ticket: coin() && version == wire.VersionTLS13,
				certificate: 100 + rng.IntN(6000), slowClient: coin(), slowServer: coin(),
			}
			if coin() {
				po.localCID = [2][]byte{{1, 2}, {3, 4, 5, 6}}
			}
			mtu := 256 + rng.IntN(1300)
			l := &lossy{rng: rng, loss: 0.2}
			l.pair = newPair(t, po, func(client, server *DatagramOptions) { client.MTU, server.MTU = mtu, mtu })
			end := l.now.Add(10 * time.Minute)
			name := fmt.Sprintf("seed %d, %+v, MTU %d", seed, po, mtu)
			l.send(l.client)
			more, err := true, error(nil)
			for more && err == nil {
				if more, err = l.next(); l.now.After(end) {
					t.Fatalf("%s: it does not end", name)
				}
			}
			switch {
			case err == ErrTimeout:
				failed++
			case err != nil:
				t.Fatalf("%s: %v", name, err)
			case !l.client.complete || !l.server.complete || !l.client.Acknowledged() || !l.server.Acknowledged():
				t.Errorf("%s: it has ended without an error: the client got %v, the server %v", name, l.client.got, l.server.got)
			default:
				l.server.data = nil
				l.mustInput(l.server, l.seal(l.client, "hello"))
				if len(l.server.data) != 1 {
					t.Errorf("%s: the server got %q", name, l.server.data)
				}
			}
		}
		t.Logf("%d of %d handshakes timed out", failed, seeds)
		// A flight of several datagrams fails seven times at 20 % only seldom.
		if failed > seeds/50 {
			t.Errorf("%d of %d handshakes timed out", failed, seeds)
		}
	})
}

// TestDamage: a network that changes bits as well may end a handshake, but nothing that
// it has changed is taken for the peer's once there are keys, and no data comes twice.
func TestDamage(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		const seeds, words = 200, 20
		completed, arrived := 0, 0
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, uint64(version)+1))
			l := &lossy{rng: rng, loss: 0.1, damaged: true}
			l.pair = newPair(t, playOptions{version: version, clientAuth: true, certificate: 2000, damaged: true}, nil)
			l.send(l.client)
			if l.play(3000) != nil || !l.client.complete || !l.server.complete {
				continue
			}
			completed++
			for i := range words {
				for _, e := range []*end{l.client, l.server} {
					l.fly(e, l.seal(e, fmt.Sprintf("%s %d", e.name, i)))
				}
			}
			if err := l.play(3000); err != nil {
				t.Errorf("seed %d: damage after the handshake ends the connection: %v", seed, err)
			}
			for _, e := range []*end{l.client, l.server} {
				arrived += len(e.data)
				l.wantWords(seed, e, words)
			}
		}
		if completed < seeds*9/10 {
			t.Errorf("%d of %d handshakes are completed", completed, seeds)
		}
		if sent := 2 * words * completed; arrived < sent*8/10 || arrived == sent {
			t.Errorf("%d of %d datagrams of data have arrived", arrived, sent)
		}
	})
}

// play lets so many things happen at most, until nothing is left to happen.
func (l *lossy) play(most int) error {
	for range most {
		if more, err := l.next(); err != nil || !more {
			return err
		}
	}
	return nil
}

// wantWords wants each of the data that e has got to be one that its peer has sent, and
// none to have come twice.
func (l *lossy) wantWords(seed uint64, e *end, words int) {
	l.t.Helper()
	sent := make(map[string]bool)
	for i := range words {
		sent[fmt.Sprintf("%s %d", l.peer(e).name, i)] = true
	}
	for _, d := range e.data {
		if !sent[d] {
			l.t.Errorf("seed %d: the %s got %q, which was not sent, or twice", seed, e.name, d)
		}
		delete(sent, d)
	}
}

// FuzzDatagramOpen: an end in any state survives any datagram.
func FuzzDatagramOpen(f *testing.F) {
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(0), uint16(wire.VersionTLS12))
	f.Add([]byte{0x2e, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(3), uint16(wire.VersionTLS13))
	for _, content := range [][]byte{fragment(false, wire.TypeClientHello, 0, 200, 0, 100), fragment(true, wire.TypeServerHello, 0, 100, 0, 100)} {
		header := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, byte(len(content))}
		f.Add(append(header, content...), uint8(1), uint16(wire.VersionTLS12))
	}
	f.Fuzz(func(t *testing.T, in []byte, state uint8, version uint16) {
		if version != wire.VersionTLS12 {
			version = wire.VersionTLS13
		}
		p := newPair(t, playOptions{version: version, localCID: [2][]byte{{1}, nil}, damaged: true}, nil)
		for i := range int(state % 8) {
			e := p.client
			if i%2 == 1 {
				e = p.server
			}
			for e.HasOutput() {
				p.input(p.peer(e), e.Output(p.now, nil))
			}
		}
		for _, e := range []*end{p.client, p.server} {
			rest := bytes.Clone(in)
			for len(rest) > 0 {
				_, n, err := e.open(p.now, rest)
				if err != nil {
					break
				}
				if n <= 0 || n > len(rest) {
					t.Fatalf("%d of %d bytes are used", n, len(rest))
				}
				rest = rest[n:]
			}
			for range 100 {
				if !e.HasOutput() {
					break
				}
				e.Output(p.now, nil)
			}
			e.Deadline()
			e.Expire(p.now.Add(time.Hour))
		}
	})
}

// TestAllocations: a record of data costs none, in either direction.
func TestDatagramAllocations(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, localCID: [2][]byte{{1}, {2}}}, nil)
		p.connect()
		data, buf := make([]byte, 1000), make([]byte, 0, 2000)
		n := testing.AllocsPerRun(100, func() {
			d, err := p.client.Seal(buf, data)
			if err != nil {
				t.Fatal(err)
			}
			if o, _, err := p.server.open(p.now, d); err != nil || len(o.Data) != len(data) {
				t.Fatal(o, err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations a record", n)
		}
	})
}
