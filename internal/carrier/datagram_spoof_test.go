package carrier

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// acks is the body of an ACK of the first numbers of epoch 0.
func manyACKs(n int) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(16*n))
	for i := range n {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, 0), uint64(i))
	}
	return b
}

// forge is an unprotected record with that number.
func forge(number uint64, typ record.ContentType, content []byte) []byte {
	s := &record.Clear{Version: wire.VersionDTLS12}
	s.StartAt(number)
	d, _ := s.Seal(nil, typ, content)
	return d
}

// TestForgedAndLost: a forged record together with the loss of any genuine datagram costs a
// retransmission, and no more: what anybody may have acknowledged is sent again, and what
// was forged or forgotten is not acknowledged.
func TestForgedAndLost(t *testing.T) {
	second := func(from, to int) []byte { // another second hello than the genuine one
		return fragment(true, wire.TypeClientHello, 1, 900, from, to)
	}
	for _, test := range []struct {
		name     string
		toServer bool
		record   func(number uint64) []byte
	}{
		{"an ACK to the client", false, func(n uint64) []byte { return forge(n, record.ACK, manyACKs(20)) }},
		{"an ACK to the server", true, func(n uint64) []byte { return forge(n, record.ACK, manyACKs(20)) }},
		{"a fragment to the server", true, func(n uint64) []byte { return forge(n, record.Handshake, second(0, 100)) }},
		{"another one", true, func(n uint64) []byte { return forge(n, record.Handshake, second(300, 400)) }},
		{"a fragment to the client", false, func(n uint64) []byte {
			return forge(n, record.Handshake, fragment(false, wire.TypeServerHello, 1, 100, 10, 20))
		}},
		{"the hello again, in part", true, func(n uint64) []byte {
			return forge(n, record.Handshake, fragment(false, wire.TypeClientHello, 0, 200, 0, 10))
		}},
	} {
		for number := range uint64(3) {
			for lost := range 8 {
				for point := range 8 {
					t.Run(fmt.Sprintf("%s with number %d, datagram %d is lost, before datagram %d", test.name, number, lost, point), func(t *testing.T) {
						p := newPair(t, playOptions{version: wire.VersionTLS13, retry: true}, func(client, server *DatagramOptions) {
							client.MTU, server.MTU = 200, 600
						})
						count := 0
						pass := func(from *end) (moved bool) {
							for from.HasOutput() {
								d := from.Output(p.now, nil)
								moved = true
								if count == point {
									to := p.client
									if test.toServer {
										to = p.server
									}
									p.mustInput(to, test.record(number))
								}
								if count++; count-1 != lost {
									p.mustInput(p.peer(from), d)
								}
							}
							return moved
						}
						began := p.now
						for !p.client.complete || !p.server.complete {
							if pass(p.client) || pass(p.server) {
								continue
							}
							p.now = p.now.Add(time.Second / 4)
							for _, e := range []*end{p.client, p.server} {
								if err := e.Expire(p.now); err != nil {
									t.Fatal(err)
								}
							}
							if p.now.Sub(began) > 10*time.Second {
								t.Fatalf("not complete after 10 s: the client has %v, the server %v", p.client.got, p.server.got)
							}
						}
					})
				}
			}
		}
	}
}

// TestEarlyGivesWay: records whose keys are not there take no memory that a message needs,
// and one datagram of them leaves room for others.
func TestEarlyGivesWay(t *testing.T) {
	for _, test := range []struct {
		version uint16
		junk    []byte
	}{
		{wire.VersionTLS12, append([]byte{22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0x03, 0xe8}, make([]byte, 1000)...)},
		{wire.VersionTLS13, append([]byte{0x2e, 0, 0, 0x03, 0xe8}, make([]byte, 1000)...)},
	} {
		p := newPair(t, playOptions{version: test.version, certificate: 5000}, func(client, _ *DatagramOptions) { client.Memory = 5600 })
		out := p.output(p.client)
		var all []byte
		for range 60 {
			all = append(all, test.junk...)
		}
		p.mustInput(p.client, all)
		if held := len(p.client.x.ahead.kept); held == 0 || held*len(test.junk) > maxAhead/2 {
			t.Errorf("%d records of one datagram are kept", held)
		}
		p.mustInput(p.client, test.junk)
		p.mustInput(p.server, out...)
		p.mustInput(p.client, p.output(p.server)...)
		p.settle()
		if !p.client.complete || !p.server.complete {
			t.Errorf("version %#x: not complete: %v, %v", test.version, p.client.got, p.server.got)
		}
	}
}

// TestRepeatedForever: a stranger that repeats the hello does not keep a server from giving up.
func TestRepeatedForever(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		p.mustInput(p.server, p.output(p.client)...)
		p.output(p.server)
		began := p.now
		again := fragment(false, wire.TypeClientHello, 0, 200, 0, 200)
		sent := 0
		for n := uint64(10); p.now.Sub(began) < 2*time.Hour; n++ {
			p.now = p.now.Add(time.Second / 4)
			p.mustInput(p.server, forge(n, record.Handshake, again))
			sent += len(p.output(p.server))
			if err := p.server.Expire(p.now); err == ErrTimeout {
				return
			}
		}
		t.Errorf("after two hours it still sends: %d datagrams", sent)
	})
}

// TestMarkedOnceUsed: a record under keys that is dropped may come again.
func TestMarkedOnceUsed(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	data := p.seal(c, "early")
	again := append([]byte(nil), data...)
	p.mustInput(s, data) // before the Finished
	p.mustInput(s, p.output(c)...)
	p.mustInput(s, again)
	if len(s.data) != 1 {
		t.Errorf("got %q: what was dropped is taken for a replay", s.data)
	}
	p.mustInput(s, append([]byte(nil), again...))
	if len(s.data) != 1 {
		t.Errorf("got %q", s.data)
	}
}

// TestEarlyACK: RFC 9147bis, Section 7: before the version is known "ACK records received in
// epoch 0 MUST be ignored".
func TestEarlyACK(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, func(client, _ *DatagramOptions) { client.TrustUnprotected = true })
	hello := p.output(p.client)
	p.mustInput(p.client, forge(0, record.ACK, manyACKs(1)))
	p.passTime(time.Second)
	if again := p.output(p.client); len(again) != len(hello) {
		t.Errorf("%d datagrams are sent again, want %d", len(again), len(hello))
	}
}

// TestEmptyDataResets: data without content is no progress.
func TestEmptyDataResets(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	for range 100 {
		p.server.send(wire.TypeNewSessionTicket, 5)
		if err := p.input(p.client, p.output(p.server)...); err == errIdleMessages {
			return
		}
		p.mustInput(p.client, p.seal(p.server, ""))
	}
	t.Error("100 messages were accepted")
}
