package carrier

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestHandshakeFlights(t *testing.T) {
	t.Run("DTLS 1.3", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS13, retry: true, clientAuth: true, ticket: true}, nil)
		c, s := p.client, p.server
		out := p.output(c)
		p.want("first hello", c, out, "0:ClientHello")
		if out[0][1] != 0xfe || out[0][2] != 0xff {
			t.Errorf("the first hello's record says %x, want feff", out[0][1:3])
		}
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("retry", s, out, "0:ServerHello")
		p.mustInput(c, out...)
		out = p.output(c)
		p.want("second hello", c, out, "0:ClientHello")
		if out[0][1] != 0xfe || out[0][2] != 0xfd {
			t.Errorf("the second hello's record says %x, want fefd", out[0][1:3])
		}
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("server's flight", s, out, "0:ServerHello 2:EncryptedExtensions,Certificate,CertificateVerify,Finished")
		p.mustInput(c, out...)
		if !c.complete || c.Acknowledged() {
			t.Errorf("the client is complete: %v, acknowledged: %v", c.complete, c.Acknowledged())
		}
		out = p.output(c)
		p.want("client's flight", c, out, "2:Certificate,CertificateVerify,Finished")
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("ACK and ticket", s, out, "3:ACK[2.0] 3:NewSessionTicket")
		p.mustInput(c, out...)
		if !c.Acknowledged() {
			t.Error("the client's Finished is not acknowledged")
		}
		p.wantDeadline("the ticket is to be acknowledged", c, time.Second/4)
		p.passTime(time.Second / 4)
		out = p.output(c)
		p.want("ACK of the ticket", c, out, "3:ACK[3.1]")
		p.mustInput(s, out...)
		p.wantDeadline("all is acknowledged", s, -1)
		p.wantDeadline("all is acknowledged", c, -1)
	})
	t.Run("DTLS 1.2", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS12, retry: true, clientAuth: true}, nil)
		c, s := p.client, p.server
		p.mustInput(s, p.output(c)...)
		p.mustInput(c, p.output(s)...)
		p.mustInput(s, p.output(c)...)
		out := p.output(s)
		p.want("server's flight", s, out, "0:ServerHello 0:Certificate 0:ServerKeyExchange 0:ServerHelloDone")
		p.mustInput(c, out...)
		out = p.output(c)
		p.want("client's flight", c, out, "0:Certificate 0:ClientKeyExchange 0:CertificateVerify 0:CCS 1:Finished")
		p.wantDeadline("it waits for the Finished", c, time.Second)
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("server's Finished", s, out, "0:CCS 1:Finished")
		p.wantDeadline("nobody will answer it", s, -1)
		p.mustInput(c, out...)
		p.wantDeadline("all is done", c, -1)
		if !c.complete || !s.complete || !c.Acknowledged() || !s.Acknowledged() {
			t.Error("not complete")
		}
	})
}

func TestApplicationData(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		if _, err := p.client.Seal(nil, nil); err != ErrNotReady {
			t.Errorf("before the handshake: got error %v, want %v", err, ErrNotReady)
		}
		p.connect()
		for i, e := range []*end{p.client, p.server} {
			first, second, third := p.seal(e, "first"), p.seal(e, ""), p.seal(e, strings.Repeat("x", record.MaxPlaintext))
			peer := p.peer(e)
			p.mustInput(peer, third, first, second, first, third, append(p.seal(e, "a"), p.seal(e, "b")...))
			want := []string{strings.Repeat("x", record.MaxPlaintext), "first", "", "a", "b"}
			if !reflect.DeepEqual(peer.data, want) {
				t.Errorf("end %d: the peer got %.50q", i, peer.data)
			}
			if peer.drops() != 2 {
				t.Errorf("end %d: %d records were dropped, want the 2 duplicates", i, peer.drops())
			}
		}
		dst := []byte("kept")
		if got, err := p.client.Seal(dst, make([]byte, record.MaxPlaintext+1)); err != ErrDataSize || string(got) != "kept" {
			t.Errorf("too much data: got %q, error %v", got, err)
		}
	})
}

func TestBoundData(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, func(client, _ *DatagramOptions) { client.BoundData = true })
	p.connect()
	n := p.client.MaxData()
	if d := p.seal(p.client, strings.Repeat("x", n)); len(d) != defaultMTU {
		t.Errorf("the largest datagram has %d bytes, want %d", len(d), defaultMTU)
	}
	if _, err := p.client.Seal(nil, make([]byte, n+1)); err != ErrDataSize {
		t.Errorf("got error %v, want %v", err, ErrDataSize)
	}
}

// TestLargestData: RFC 9146, Section 5: with its type, the content of a record with a
// connection ID "MUST NOT exceed 2^14".
func TestLargestData(t *testing.T) {
	for _, cid := range [][]byte{nil, {1, 2, 3}} {
		versions(t, func(t *testing.T, version uint16) {
			p := newPair(t, playOptions{version: version, localCID: [2][]byte{cid, cid}}, nil)
			p.connect()
			want := record.MaxPlaintext
			if version == wire.VersionTLS12 && cid != nil {
				want--
			}
			if n := p.client.MaxData(); n != want {
				t.Errorf("with CID %x: %d bytes, want %d", cid, n, want)
			}
			p.mustInput(p.server, p.seal(p.client, strings.Repeat("x", want)))
			if len(p.server.data) != 1 || len(p.server.data[0]) != want {
				t.Errorf("with CID %x: they do not come", cid)
			}
			if _, err := p.client.Seal(nil, make([]byte, want+1)); err != ErrDataSize {
				t.Errorf("with CID %x: a byte more: error %v, want %v", cid, err, ErrDataSize)
			}
		})
	}
}

// TestMajorVersion: RFC 9147bis, Section 4.5.2, and RFC 6347, Section 4.1: a record whose
// major version is not that of DTLS is invalid, and dropped.
func TestMajorVersion(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, major := range []byte{0, 3, 0xfd, 0xff} {
			p := newPair(t, playOptions{version: version}, func(_, server *DatagramOptions) { server.TrustUnprotected = true })
			hello := p.output(p.client)[0]
			wrong := bytes.Clone(hello)
			wrong[1] = major
			p.mustInput(p.server, wrong)
			if p.server.HasOutput() || p.server.Dropped()[record.Malformed] != 1 {
				t.Errorf("major version %#x is accepted: %v", major, p.server.Dropped())
			}
			p.mustInput(p.server, hello)
			p.connect()
		}
		if version == wire.VersionTLS12 {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			d := p.seal(p.client, "x")
			d[1] = 3
			if p.mustInput(p.server, d); len(p.server.data) > 0 {
				t.Error("it is accepted under keys")
			}
		}
	})
}

// TestEarlyDataLimit: RFC 9846, Section 5.5: "implementations MUST NOT exceed the limits when
// sending early data."
func TestEarlyDataLimit(t *testing.T) {
	limited := *suite.ByID(0x1301)
	limited.SealLimit = 8
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	d := p.client.Datagram
	d.InstallWrite(handshake.EarlyData, limited.TrafficKeys(suite.DTLS, make([]byte, 32)))
	d.LimitEarlyData(1 << 20)
	for n := range 100 {
		out, err := d.SealEarly([]byte("kept"), []byte("x"))
		if err == nil {
			continue
		}
		if n != 8 || err != error(ErrSpent) || string(out) != "kept" {
			t.Errorf("record %d: %q, error %v", n, out, err)
		}
		return
	}
	t.Error("100 records under keys that may seal 8")
}

func TestHelloRoom(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.client.x.out.Clear()
	p.client.send(wire.TypeClientHello, p.client.HelloRoom()-4)
	if out := p.output(p.client); len(out) != 1 || len(out[0]) != defaultMTU {
		t.Errorf("the largest hello takes %d datagrams", len(out))
	}
}

// TestSmallDatagrams completes handshakes at any MTU.
func TestSmallDatagrams(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for mtu := 100; mtu < 1500; mtu += 97 {
			p := newPair(t, playOptions{version: version, retry: true, clientAuth: true, certificate: 5000, ticket: true}, func(client, server *DatagramOptions) {
				client.MTU, server.MTU = mtu, mtu
			})
			p.settle()
			p.passTime(time.Second / 4)
			p.settle()
			if !p.client.complete || !p.server.complete {
				t.Errorf("MTU %d: not complete", mtu)
			}
		}
	})
}

// TestReorder gives each flight in reverse.
func TestReorder(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, retry: true, clientAuth: true, certificate: 3000, ticket: true}, func(client, server *DatagramOptions) {
			client.MTU, server.MTU = 300, 300
		})
		for p.client.HasOutput() || p.server.HasOutput() {
			for _, e := range []*end{p.client, p.server} {
				out := p.output(e)
				slices.Reverse(out)
				p.mustInput(p.peer(e), out...)
			}
		}
		if !p.client.complete || !p.server.complete {
			t.Fatalf("not complete: %v, %v", p.client.got, p.server.got)
		}
		p.passTime(time.Second / 4)
		p.settle()
		if !p.client.Acknowledged() || !p.server.Acknowledged() {
			t.Error("not acknowledged")
		}
	})
}

// TestEarlyIsBounded: what has no keys yet is kept within limits, and by a
// server only when it knows whom for.
func TestEarlyIsBounded(t *testing.T) {
	junk := append([]byte{0x2e, 0, 0, 0x03, 0xe8}, make([]byte, 1000)...)
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.mustInput(p.server, junk)
	if len(p.server.x.ahead.kept) != 0 {
		t.Error("a server keeps something of a stranger")
	}
	p.output(p.client)
	for range 1000 {
		p.mustInput(p.client, junk)
	}
	held := 0
	for _, in := range p.client.x.ahead.kept {
		held += len(in) + aheadCost
	}
	if lent := p.client.x.in.Lent(); held > maxAhead || lent != held {
		t.Errorf("a client keeps %d bytes, and counts %d", held, lent)
	}
	if p.client.drops() < 900 {
		t.Errorf("only %d are dropped", p.client.drops())
	}
	tiny := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	tiny.output(tiny.client)
	for range 10_000 {
		tiny.mustInput(tiny.client, []byte{0x2e, 0})
	}
	if n := len(tiny.client.x.ahead.kept); n > maxAhead/aheadCost {
		t.Errorf("a client keeps %d tiny datagrams", n)
	}
	p.passTime(time.Second)
	p.settle()
	if !p.client.complete || p.client.x != nil {
		t.Error("the handshake does not get over it")
	}
}

// TestStateless: a server whose first answer kept no state continues with the
// second hello's numbers.
func TestStateless(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, retry: true}, func(_, server *DatagramOptions) { server.FirstMessage = 1 })
		c, s := p.client, p.server
		first := p.output(c)
		p.mustInput(s, first...)
		p.want("an old hello", s, p.output(s))
		typ := wire.TypeServerHello
		if version == wire.VersionTLS12 {
			typ = wire.TypeHelloVerifyRequest
		}
		answer, _ := new(record.Clear).Seal(nil, record.Handshake, fragment(true, typ, 0, 50, 0, 50))
		p.mustInput(c, answer)
		second := p.output(c)
		p.mustInput(s, second...)
		out := p.output(s)
		if got, want := out[0][3:11], second[0][3:11]; !bytes.Equal(got, want) {
			t.Errorf("the server begins with record number %x, want %x", got, want)
		}
		p.mustInput(c, out...)
		p.connect()
	})
}

// TestUnproved: never more than three times the bytes that have come.
func TestUnproved(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, certificate: 2500}, func(_, server *DatagramOptions) { server.Unproved = true })
		c, s := p.client, p.server
		received, sent := 0, 0
		check := func(in, out [][]byte) {
			t.Helper()
			for _, d := range in {
				received += len(d)
			}
			for _, d := range out {
				sent += len(d)
			}
			if !s.path.proved && sent > 3*received {
				t.Errorf("%d bytes are sent for %d", sent, received)
			}
		}
		for range 20 {
			in := p.output(c)
			p.mustInput(s, in...)
			out := p.output(s)
			check(in, out)
			if s.HasOutput() {
				t.Error("there is output, but none comes")
			}
			p.mustInput(c, out...)
			if c.complete && s.complete {
				break
			}
			p.passTime(time.Second)
			check(nil, p.output(s))
		}
		if !c.complete || !s.complete || !s.path.proved {
			t.Errorf("complete: %v, %v; proved: %v", c.complete, s.complete, s.path.proved)
		}
	})
}

func TestUnprovedHalfRTT(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 100}, func(_, server *DatagramOptions) { server.Unproved = true })
	p.mustInput(p.server, p.output(p.client)...)
	p.output(p.server)
	if _, err := p.server.Seal(nil, make([]byte, 1000)); err != errUnproved {
		t.Errorf("got error %v, want %v", err, errUnproved)
	}
	p.server.path.proved = true
	if _, err := p.server.Seal(nil, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
}

func TestSlowServer(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, slowServer: true, clientAuth: true, slowClient: true}, nil)
		c, s := p.client, p.server
		p.mustInput(s, p.output(c)...)
		p.want("the flight is not whole", s, p.output(s))
		p.wantDeadline("the client has been heard", s, -1)
		if err := s.answer(p.now); err != nil {
			t.Fatal(err)
		}
		p.mustInput(c, p.output(s)...)
		p.now = p.now.Add(time.Hour)
		if err := c.Expire(p.now); err != nil {
			t.Errorf("while a question is open: %v", err)
		}
		p.output(c)
		if err := c.answer(p.now); err != nil {
			t.Fatal(err)
		}
		p.connect()
	})
}
