package hermetic

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// spoofed makes datagrams as anybody can, without keys.
type spoofed struct {
	name string
	// make returns a datagram for the server or the client, which comes before the genuine
	// one that is next.
	make func(toServer bool, next []byte) []byte
	// ends says that the handshake may end, or wait for a timer: docs/threat-model.md
	// lists it.
	ends bool
}

// plain is a record of epoch 0, or what looks like one.
func plain(typ byte, epoch uint16, seq uint64, body []byte) []byte {
	b := []byte{typ, 0xfe, 0xfd}
	b = binary.BigEndian.AppendUint64(b, uint64(epoch)<<48|seq)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// piece is a fragment of a message.
func piece(typ wire.Type, seq uint16, length, offset int, data []byte) []byte {
	h := wire.FragmentHeader{Type: typ, Seq: seq, Length: length, Offset: offset, FragmentLength: len(data)}
	return append(h.Append(nil), data...)
}

// repeated is many records, with the numbers that the genuine ones will have.
func repeated(count int, f func(i int) []byte) (d []byte) {
	for i := range count {
		d = append(d, f(i)...)
	}
	return d
}

func same(d []byte) func(bool, []byte) []byte {
	return func(bool, []byte) []byte { return d }
}

// expected is what a side waits for first.
func expected(toServer bool) wire.Type {
	if toServer {
		return wire.TypeClientHello
	}
	return wire.TypeServerHello
}

// spoofs is every kind of datagram.
func spoofs() []spoofed {
	junk := bytes.Repeat([]byte{0x5a}, 1000)
	ack := func(epochs ...uint64) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(16*8*len(epochs)))
		for _, e := range epochs {
			for n := range uint64(8) {
				b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, e), n)
			}
		}
		return b
	}
	list := []spoofed{
		{name: "one byte", make: same([]byte{22})},
		{name: "noise", make: same(junk)},
		{name: "an unknown type", make: same(plain(99, 0, 0, junk))},
		{name: "another major version", make: same(append([]byte{22, 3, 3}, plain(22, 0, 0, junk)[3:]...))},
		{name: "DTLS 1.0 in its header", make: same(append([]byte{23, 0xfe, 0xff}, plain(22, 0, 0, junk)[3:]...))},
		{name: "a record cut short", make: same(plain(22, 0, 0, junk)[:500])},
		{name: "a record longer than any", make: same(plain(22, 0, 0, make([]byte, 20000)))},
		{name: "the largest number", make: same(plain(22, 0, 1<<48-1, nil))},
		{name: "the largest epoch", make: same(plain(22, 1<<16-1, 1<<48-1, junk))},
		{name: "empty records of data", make: same(repeated(100, func(i int) []byte { return plain(23, 0, uint64(i), nil) }))},
		{name: "empty handshake records", make: same(repeated(100, func(i int) []byte { return plain(22, 0, uint64(i), nil) }))},
		{name: "empty alerts", make: same(repeated(100, func(i int) []byte { return plain(21, 0, uint64(i), nil) }))},
		{name: "data", make: same(repeated(20, func(i int) []byte { return plain(23, 0, uint64(i), junk[:50]) }))},
		{name: "a ChangeCipherSpec", make: same(plain(20, 0, 0, []byte{1}))},
		{name: "a malformed ChangeCipherSpec", make: same(plain(20, 0, 0, []byte{7, 7}))},
		{name: "close_notify", make: same(plain(21, 0, 0, []byte{1, 0}))},
		{name: "a fatal close_notify", make: same(plain(21, 0, 0, []byte{2, 0})), ends: true},
		{name: "a warning", make: same(repeated(40, func(i int) []byte { return plain(21, 0, uint64(i), []byte{1, 90}) }))},
		{name: "a malformed alert", make: same(plain(21, 0, 0, []byte{3, 40, 1}))},
		{name: "a fatal alert", make: same(plain(21, 0, 0, []byte{2, 40})), ends: true},
		{name: "an empty ACK", make: same(plain(26, 0, 0, []byte{0, 0}))},
		{name: "an ACK of everything in epoch 0", make: same(plain(26, 0, 0, ack(0)))},
		{name: "an ACK of everything", make: same(plain(26, 0, 0, ack(0, 1, 2, 3)))},
		{name: "a malformed ACK", make: same(plain(26, 0, 0, []byte{0, 16, 1}))},
		{name: "half a fragment header", make: same(plain(22, 0, 0, []byte{1, 0, 0}))},
		{name: "a fragment beyond its message", make: same(plain(22, 0, 0, append(piece(1, 0, 10, 8, junk[:4]), 1)))},
		{name: "a connection ID that is not ours", make: same(append(plain(25, 1, 0, nil)[:11], junk[:100]...))},
		{name: "a unified header with a connection ID", make: same(append([]byte{0x3e}, junk...))},
		{name: "a Finished under no keys", make: same(plain(22, 1, 0, junk[:60]))},
		{name: "data under no keys", make: same(plain(23, 1, 0, junk[:60]))},
	}
	for bits := range byte(4) {
		list = append(list,
			spoofed{name: fmt.Sprintf("a unified record, epoch bits %d", bits), make: same(append([]byte{0x2c | bits, 0, 0, 0, 100}, junk[:100]...))},
			spoofed{name: fmt.Sprintf("many unified records, epoch bits %d", bits), make: same(repeated(500, func(i int) []byte {
				return append([]byte{0x2c | bits, 0, byte(i), 0, 100}, junk[:100]...)
			}))})
	}
	list = append(list, spoofed{name: "many records under no keys", make: same(repeated(500, func(i int) []byte { return plain(22, 1, uint64(i), junk[:100]) }))})
	for _, ahead := range []int{0, 1, 2, 6, 7, 1000} {
		seq := func(n int) uint16 { return uint16(n + ahead) }
		// A fragment at each of the numbers that may be expected now.
		each := func(f func(n int, toServer bool) []byte) func(bool, []byte) []byte {
			return func(toServer bool, _ []byte) (d []byte) {
				for n := range 8 {
					d = append(d, plain(22, 0, uint64(n), f(n, toServer))...)
				}
				return d
			}
		}
		for name, f := range map[string]func(n int, toServer bool) []byte{
			"a fragment of another type":   func(n int, _ bool) []byte { return piece(wire.TypeFinished, seq(n), 100, 10, junk[:20]) },
			"a fragment of another length": func(n int, s bool) []byte { return piece(expected(s), seq(n), 60000, 30000, junk[:20]) },
			"a large fragment": func(n int, _ bool) []byte {
				return piece(wire.TypeCertificate, seq(n), 60000, 30000, make([]byte, 7000))
			},
			"a fragment without content":     func(n int, s bool) []byte { return piece(expected(s), seq(n), 300, 100, nil) },
			"a fragment larger than allowed": func(n int, s bool) []byte { return piece(expected(s), seq(n), 1<<24-1, 0, junk[:20]) },
		} {
			list = append(list, spoofed{name: fmt.Sprintf("%s, %d ahead", name, ahead), make: each(f)})
		}
	}
	list = append(list,
		spoofed{name: "what fills the memory for messages", make: func(bool, []byte) []byte {
			return repeated(60, func(i int) []byte {
				return plain(22, 0, uint64(i), piece(wire.TypeCertificate, uint16(1+i%7), 60000, 1000*i, junk))
			})
		}},
		spoofed{name: "a whole message that is none", ends: true, make: func(bool, []byte) []byte {
			return repeated(8, func(i int) []byte {
				return plain(22, 0, uint64(i), piece(wire.TypeServerHello, uint16(i), 40, 0, junk[:40]))
			})
		}},
	)
	for _, part := range [][2]int{{0, 10}, {20, 30}, {50, 1}} {
		list = append(list, spoofed{name: fmt.Sprintf("%d other bytes of what comes next", part[1]), make: func(_ bool, next []byte) []byte {
			return overlapping(next, part[0], part[1])
		}})
	}
	return list
}

// overlapping is a piece of the genuine fragment in d with other bytes, if d has one that
// is unprotected.
func overlapping(d []byte, from, n int) []byte {
	r, _, ok := record.ParseClassic(d, 0)
	if !ok || r.Type != record.Handshake || r.Number.Epoch != 0 {
		return nil
	}
	var h wire.FragmentHeader
	body, _, ok := h.Parse(r.Body)
	if !ok || len(body) <= from+n {
		return nil
	}
	wrong := bytes.Repeat([]byte{0xa5}, n)
	return plain(22, 0, r.Number.Sequence, piece(h.Type, h.Seq, h.Length, h.Offset+from, wrong))
}

// spoofRun is a handshake in which one datagram is forged, before the nth genuine one.
type spoofRun struct {
	client, server *Engine
	cfg            *Config // the server's
	cookies        bool
	welcome        bool // the server has its engine
	forge          func(next []byte) []byte
	point          int
	toServer       bool
	count          int // datagrams that have passed
}

// spoofPlace is where datagrams are forged.
type spoofPlace struct {
	version        uint16
	cookies        bool
	mtu            int
	client, server *Config
}

func (p *spoofPlace) String() string {
	return fmt.Sprintf("%s, cookies %v, MTU %d", tls.VersionName(p.version), p.cookies, p.mtu)
}

func spoofPlaces(t *testing.T) (list []*spoofPlace) {
	for _, version := range versions {
		for _, cookies := range []bool{false, true} {
			for _, mtu := range []int{0, 300} {
				p := &spoofPlace{version: version, cookies: cookies, mtu: mtu}
				p.client, p.server = configs(t)
				p.client.MinVersion, p.client.MaxVersion = version, version
				p.client.DTLS.MTU, p.server.DTLS.MTU = mtu, mtu
				if mtu > 0 {
					p.client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
					p.client.KeyShares = []tls.CurveID{tls.X25519}
				}
				if mtu > 0 && cookies {
					p.client.DTLS.MTU = 600 // the first hello must be whole, see pass
				} else if mtu > 0 {
					p.client.NextProtos = []string{strings.Repeat("p", 200)}
				}
				p.server.DTLS.TrustAddress = true
				list = append(list, p)
			}
		}
	}
	return list
}

func (p *spoofPlace) run(t *testing.T) *spoofRun {
	s := &spoofRun{cfg: p.server, cookies: p.cookies, point: -1}
	var err error
	if s.client, err = NewEngine(DTLSClient, p.client); err != nil {
		t.Fatal(err)
	}
	if s.server, err = NewEngine(DTLSServer, p.server); err != nil {
		t.Fatal(err)
	}
	return s
}

// pass hands a datagram on, after the forged one when it is its turn.
func (s *spoofRun) pass(d []byte, toServer bool) error {
	if s.cookies && s.count == 0 && s.cfg.DTLS.MTU > 0 {
		if err := s.client.SetMTU(s.cfg.DTLS.MTU); err != nil {
			return err
		}
	}
	if s.count++; s.count-1 == s.point {
		if err := s.give(s.forge(d), s.toServer); err != nil {
			return err
		}
	}
	return s.give(d, toServer)
}

func (s *spoofRun) give(d []byte, toServer bool) error {
	d = bytes.Clone(d)
	e := s.client
	if toServer {
		e = s.server
	}
	if toServer && s.cookies && !s.welcome {
		answer, ok := s.cfg.AnswerHello(nil, []byte("peer"), d)
		if !ok {
			return s.give(answer, false)
		}
		s.welcome = true
		if err := e.SetPeerID([]byte("peer")); err != nil {
			return err
		}
	}
	for len(d) > 0 {
		o, err := e.Open(d)
		if err != nil {
			return err
		}
		d = d[o.N:]
	}
	return nil
}

// play runs the handshake, without any time passing.
func (s *spoofRun) play() error {
	for moved := true; moved; {
		moved = false
		for _, e := range []*Engine{s.client, s.server} {
			for d := e.Output(nil); len(d) > 0; d = e.Output(nil) {
				moved = true
				if err := s.pass(d, e == s.client); err != nil {
					return err
				}
			}
		}
	}
	if !s.client.HandshakeComplete() || !s.server.HandshakeComplete() {
		return fmt.Errorf("without a timer: complete is the client %v, the server %v", s.client.HandshakeComplete(), s.server.HandshakeComplete())
	}
	return nil
}

// TestSpoofed: a single datagram of somebody who has no keys, before any datagram of the
// handshake and to either side, neither ends nor delays it, except for what
// docs/threat-model.md lists.
func TestSpoofed(t *testing.T) {
	kinds := spoofs()
	for _, p := range spoofPlaces(t) {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			plain := p.run(t)
			if err := plain.play(); err != nil {
				t.Fatal(err)
			}
			ended := map[string]bool{}
			for _, kind := range kinds {
				for point := range plain.count {
					for _, toServer := range []bool{false, true} {
						s := p.run(t)
						s.point, s.toServer = point, toServer
						s.forge = func(next []byte) []byte { return kind.make(toServer, next) }
						err := s.play()
						if err != nil && !kind.ends {
							t.Errorf("%s, before datagram %d of %d, to the server %v: %v", kind.name, point, plain.count, toServer, err)
						}
						ended[kind.name] = ended[kind.name] || err != nil
					}
				}
				if kind.ends && !ended[kind.name] {
					t.Errorf("%s: it is listed, and harms nothing", kind.name)
				}
			}
		})
	}
}
