package carrier

import (
	"slices"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestRetransmission(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		c, s := p.client, p.server
		p.output(c) // lost
		for _, wait := range []time.Duration{1e9, 2e9, 4e9} {
			p.wantDeadline("the hello is lost", c, wait)
			p.passTime(wait - 1)
			p.want("it is early", c, p.output(c))
			p.passTime(1)
			out := p.output(c)
			p.want("the hello again", c, out, "0:ClientHello")
			if wait == 4e9 {
				p.mustInput(s, out...)
			}
		}
		lost := p.output(s)
		p.wantDeadline("the server's flight is lost", s, time.Second)
		p.passTime(time.Second)
		out := p.output(s)
		if len(out) != len(lost) {
			t.Errorf("%d datagrams again, want %d", len(out), len(lost))
		}
		p.mustInput(c, out...)
		p.mustInput(c, lost...) // the late ones do nothing
		p.settle()
		if !c.complete || !s.complete {
			t.Error("not complete")
		}
	})
}

func TestGivingUp(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name     string
			options  func(*DatagramOptions)
			schedule []time.Duration
		}{
			{"by default", nil, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 60e9}},
			{"with other values", func(o *DatagramOptions) {
				o.RetransmitTimeout, o.MaxRetransmitTimeout, o.MaxTimeouts = 400*time.Millisecond, time.Second, 4
			}, []time.Duration{4e8, 8e8, 1e9, 1e9}},
		} {
			t.Run(test.name, func(t *testing.T) {
				p := newPair(t, playOptions{version: version}, func(client, server *DatagramOptions) {
					if test.options != nil {
						test.options(client)
						test.options(server)
					}
				})
				p.mustInput(p.server, p.output(p.client)...)
				for _, e := range []*end{p.client, p.server} {
					p.output(e)
					for i, wait := range test.schedule {
						p.wantDeadline("nobody answers", e, wait)
						p.now = p.now.Add(wait)
						err := e.Expire(p.now)
						if last := i == len(test.schedule)-1; last != (err == ErrTimeout) {
							t.Fatalf("the %s: expiry %d: error %v", e.name, i, err)
						}
						p.output(e)
					}
				}
			})
		}
	})
}

// TestFlightPause: a peer that stops in the middle of its flight is not waited for
// forever, though there is nothing to send again.
func TestFlightPause(t *testing.T) {
	for _, test := range []struct {
		name  string
		pause time.Duration
		want  time.Duration
	}{
		{"by default", 0, 123 * time.Second},
		{"configured", 10 * time.Second, 10 * time.Second},
		{"without end", -1, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, func(client, _ *DatagramOptions) { client.MaxFlightPause = test.pause })
			p.mustInput(p.server, p.output(p.client)...)
			p.mustInput(p.client, p.output(p.server)[:2]...)
			p.wantDeadline("first an ACK", p.client, time.Second/4)
			p.passTime(time.Second / 4)
			p.want("ACK", p.client, p.output(p.client), "2:ACK[0.0 2.0 2.1]")
			if test.want < 0 {
				p.wantDeadline("nothing is due", p.client, -1)
				return
			}
			left := test.want - time.Second/4
			p.wantDeadline("the rest does not come", p.client, left)
			p.now = p.now.Add(left)
			if err := p.client.Expire(p.now); err != ErrTimeout {
				t.Errorf("got error %v, want %v", err, ErrTimeout)
			}
		})
	}
	t.Run("a server with half a hello", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
		p.mustInput(p.server, p.reseal(p.client, 0, record.Handshake, fragment(false, wire.TypeClientHello, 0, 200, 0, 100)))
		p.wantDeadline("the rest does not come", p.server, 123*time.Second)
	})
}

func TestSetTimeout(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.output(p.client)
	p.client.SetTimeout(400 * time.Millisecond)
	p.wantDeadline("shorter", p.client, 400*time.Millisecond)
	p.passTime(400 * time.Millisecond)
	p.output(p.client)
	p.client.SetTimeout(time.Second)
	p.wantDeadline("longer, and once expired", p.client, 2*time.Second)
}

func TestLoweringMTU(t *testing.T) {
	for _, keep := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, func(_, server *DatagramOptions) { server.FixedMTU = keep })
		p.mustInput(p.server, p.output(p.client)...)
		var got []int
		for _, wait := range []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9} {
			largest := 0
			for _, d := range p.output(p.server) {
				largest = max(largest, len(d))
			}
			got = append(got, largest)
			p.now = p.now.Add(wait)
			if err := p.server.Expire(p.now); err != nil {
				t.Fatal(err)
			}
		}
		want := []int{1200, 1200, 600, 600, 300, 300}
		if keep {
			want = []int{1200, 1200, 1200, 1200, 1200, 1200}
		}
		if !slices.Equal(got, want) {
			t.Errorf("keep is %v: the largest datagrams are %v, want %v", keep, got, want)
		}
		p.mustInput(p.client, p.output(p.server)...)
		p.settle()
		if !p.client.complete || !p.server.complete {
			t.Error("not complete")
		}
	}
}

// TestRepeatedFlight: a flight that comes again asks for the answer to it,
// unless the network has just duplicated it.
func TestRepeatedFlight(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		c, s := p.client, p.server
		hello := p.output(c)
		p.mustInput(s, hello...)
		first := p.output(s)
		p.mustInput(s, hello...)
		p.want("a duplicate", s, p.output(s))
		p.mustInput(s, p.reseal(c, 0, record.Handshake, fragment(false, wire.TypeClientHello, 0, 200, 0, 200)))
		p.want("it is too early to be sent again", s, p.output(s))
		p.now = p.now.Add(time.Second / 2)
		p.mustInput(s, hello...) // its number says nothing: anybody may have used it
		if again := p.output(s); len(again) != len(first) {
			t.Errorf("%d datagrams answer it, want %d", len(again), len(first))
		}
		p.now = p.now.Add(time.Second / 2)
		if err := c.Expire(p.now); err != nil {
			t.Fatal(err)
		}
		p.mustInput(s, p.output(c)...)
		again := p.output(s)
		if len(again) != len(first) {
			t.Errorf("%d datagrams answer it, want %d", len(again), len(first))
		}
		p.wantDeadline("the timer starts again", s, time.Second)
		p.mustInput(c, again...)
		p.settle()
	})
}

// TestFinalFlight12: the sender of the last flight of DTLS 1.2 answers the
// peer's, when that comes again.
func TestFinalFlight12(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	p.mustInput(s, p.output(c)...)
	p.output(s) // the Finished is lost
	p.mustInput(c, p.seal(s, "early"))
	if len(c.data) != 0 {
		t.Error("data comes before the Finished")
	}
	for _, wait := range []time.Duration{1e9, 2e9} {
		p.passTime(wait)
		again := p.output(c)
		p.want("the client's flight again", c, again, "0:ClientKeyExchange 0:CCS 1:Finished")
		p.mustInput(s, again...)
		out := p.output(s)
		p.want("the server's again", s, out, "0:CCS 1:Finished")
		if wait == 2e9 {
			p.mustInput(c, out...)
		}
	}
	if !c.complete {
		t.Fatal("the client is not complete")
	}
	p.want("nothing answers the last one", c, p.output(c))
	p.now = p.now.Add(flight.TwiceMSL + 1)
	p.mustInput(s, p.reseal(c, 1, record.Handshake, fragment(false, wire.TypeFinished, 2, 12, 0, 12)))
	p.want("not after a while", s, p.output(s))
}

// TestOvertakingData: data that comes before what completes the handshake is lost,
// and counted.
func TestOvertakingData(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	p.mustInput(s, p.seal(c, "early"))
	p.mustInput(s, p.output(c)...)
	if !s.complete || len(s.data) != 0 || s.drops() != 1 {
		t.Errorf("complete: %v; of the early data %q has come, %d records were dropped", s.complete, s.data, s.drops())
	}
}

// TestStrayFinished12: a peer that did not send the last flight has nothing to
// answer with.
func TestStrayFinished12(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	p.connect()
	p.mustInput(p.client, p.reseal(p.server, 1, record.Handshake, fragment(true, wire.TypeFinished, 4, 12, 0, 12)))
	p.want("it has been answered", p.client, p.output(p.client))
}

// TestFinalFlight13: the client's Finished is sent until it is acknowledged,
// and acknowledged each time that it comes, for a while.
func TestFinalFlight13(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	p.output(c) // the Finished is lost
	p.passTime(time.Second)
	out := p.output(c)
	p.want("the Finished again", c, out, "2:Finished")
	p.mustInput(s, out...)
	p.want("its ACK, which is lost", s, p.output(s), "3:ACK[2.1]")
	p.mustInput(s, p.seal(c, "data"))
	p.passTime(2 * time.Second)
	out = p.output(c)
	p.want("the Finished once more", c, out, "2:Finished")
	p.mustInput(s, out...)
	p.passTime(time.Second / 4)
	out = p.output(s)
	p.want("the ACK again", s, out, "3:ACK[2.1 2.2]")
	p.mustInput(c, out...)
	if !c.Acknowledged() {
		t.Error("the Finished is not acknowledged")
	}
	p.now = p.now.Add(flight.TwiceMSL + 1)
	p.mustInput(s, p.reseal(c, 2, record.Handshake, fragment(false, wire.TypeFinished, 1, 32, 0, 32)))
	p.wantDeadline("the handshake's keys are gone", s, -1)
}

func TestUnacknowledgedTicket(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, ticket: true}, nil)
	p.settle()
	for _, wait := range []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9} {
		p.wantDeadline("the ticket is not acknowledged", p.server, wait)
		p.now = p.now.Add(wait)
		if err := p.server.Expire(p.now); err != nil {
			t.Fatal(err)
		}
		p.want("the ticket again", p.server, p.output(p.server), "3:NewSessionTicket")
	}
	p.now = p.now.Add(time.Minute)
	if err := p.server.Expire(p.now); err != ErrTimeout {
		t.Errorf("got error %v, want %v", err, ErrTimeout)
	}
}

// TestPartialACK: what has been acknowledged is not sent again, and what has
// not is sent at once, but not while it may still be on its way.
func TestPartialACK(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	out := p.output(s)
	p.want("server's flight", s, out,
		"0:ServerHello 2:EncryptedExtensions,Certificate[0-1019]",
		"2:Certificate[1019-2185]",
		"2:Certificate[2185-3000],CertificateVerify,Finished")
	p.mustInput(c, out[0], out[2])
	p.passTime(time.Second / 4)
	ack := p.output(c)
	p.want("ACK", c, ack, "2:ACK[0.0 2.0 2.2]")
	p.mustInput(s, ack...)
	again := p.output(s)
	p.want("only what is missing", s, again, "2:Certificate[1019-2185]")
	p.wantDeadline("the timer starts again", s, time.Second)
	c.x.acks.due = true
	p.mustInput(s, p.output(c)...)
	p.want("it may still be on its way", s, p.output(s))
	p.mustInput(c, again...)
	p.settle()
	if !c.complete || !s.complete {
		t.Error("not complete")
	}
}

// TestFullACK: a flight that is acknowledged as a whole is not sent again.
func TestFullACK(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, clientAuth: true, slowClient: true}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	if !c.waiting {
		t.Fatal("the client does not wait for its signature")
	}
	if _, _, err := c.open(p.now, make([]byte, 20)); err != errPending {
		t.Errorf("got error %v, want %v", err, errPending)
	}
	p.want("the flight is not whole", c, p.output(c))
	p.wantDeadline("the answer takes a while: an ACK is due", c, time.Second/4)
	p.passTime(time.Second / 4)
	ack := p.output(c)
	p.want("ACK", c, ack, "2:ACK[0.0 2.0]")
	p.mustInput(s, ack...)
	p.wantDeadline("the server only waits", s, 123*time.Second)
	p.passTime(100 * time.Second)
	p.want("nothing is sent again", s, p.output(s))
	p.wantDeadline("a question takes what it takes", c, -1)
	if err := c.answer(p.now); err != nil {
		t.Fatal(err)
	}
	p.connect()
}

// TestLost CCS: the epochs say it all.
func TestLostChangeCipherSpec(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.output(p.server)...)
	d := p.output(p.client)[0]
	var kept []byte
	for in := d; len(in) > 0; {
		c, n, _ := record.ParseClassic(in, 0)
		if c.Type != record.ChangeCipherSpec {
			kept = append(kept, in[:n]...)
		}
		in = in[n:]
	}
	p.mustInput(p.server, kept)
	if !p.server.complete {
		t.Error("the server is not complete")
	}
}

// TestRepeatedHelloVerifyRequest: so it is before the version is known.
func TestRepeatedHelloVerifyRequest(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12, retry: true}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.output(p.server)...)
	p.output(p.client) // lost
	for i, want := range [][]string{nil, {"0:ClientHello"}} {
		again := record.Clear{}
		again.StartAt(uint64(10 + i))
		d, _ := again.Seal(nil, record.Handshake, fragment(true, wire.TypeHelloVerifyRequest, 0, 20, 0, 20))
		p.mustInput(p.client, d)
		p.want("the request again", p.client, p.output(p.client), want...)
		p.now = p.now.Add(time.Second / 2)
	}
}

// TestNotAcknowledged: a record of which something was not kept must come again
// as a whole.
func TestNotAcknowledged(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.output(p.server)[0])
	p.passTime(time.Second / 4)
	p.output(p.client)
	ahead := fragment(true, wire.TypeFinished, 60, 32, 0, 32)
	p.mustInput(p.client, p.reseal(p.server, 2, record.Handshake, append(fragment(true, wire.TypeCertificate, 2, 3000, 1100, 1200), ahead...)))
	p.wantDeadline("nothing to acknowledge", p.client, 123*time.Second-time.Second/4)
}

// TestQuestionWithinFlight: the timer stands still while a question is open, and
// begins again with the answer.
func TestQuestionWithinFlight(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12, slowVerdict: true, certificate: 2000}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	out := p.output(p.server)
	if err := p.input(p.client, out[:2]...); err != errPending || !p.client.waiting {
		t.Fatalf("the client has no question: %v, error %v", p.client.got, err)
	}
	p.wantDeadline("while it is open", p.client, -1)
	p.passTime(time.Hour)
	p.want("nothing is sent", p.client, p.output(p.client))
	if err := p.client.answer(p.now); err != nil {
		t.Fatal(err)
	}
	p.wantDeadline("the rest is missing", p.client, time.Second)
	p.mustInput(p.client, out...)
	p.connect()
}

// TestTicketIsNoACK: what a server sends on its own does not acknowledge the
// client's Finished; it may have been sent before.
func TestTicketIsNoACK(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, ticket: true}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	p.output(c) // lost
	ticket, _ := s.sending.Seal(nil, record.Handshake, fragment(true, wire.TypeNewSessionTicket, 5, 50, 0, 50))
	p.mustInput(c, ticket)
	c.send(wire.TypeNewConnectionID, 10)
	c.updateKeys()
	p.want("the KeyUpdate must wait", c, p.output(c), "3:NewConnectionId")
	p.passTime(time.Second)
	p.want("the Finished again, and the ticket's ACK", c, p.output(c), "3:ACK[3.0] 2:Finished 3:NewConnectionId")
}

// TestForgedAnswer: a forged part of the answer to a hello does not keep it from
// being sent again.
func TestForgedAnswer(t *testing.T) {
	t.Run("to the client", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS13, retry: true}, nil)
		p.mustInput(p.server, p.output(p.client)...)
		p.mustInput(p.client, p.output(p.server)...)
		p.output(p.client) // the second hello is lost
		p.mustInput(p.client, p.reseal(p.server, 0, record.Handshake, fragment(true, wire.TypeServerHello, 1, 100, 0, 10)))
		p.passTime(time.Second)
		p.settle()
		if !p.client.complete || !p.server.complete {
			t.Error("not complete")
		}
	})
	t.Run("to the server", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS13, retry: true}, nil)
		p.mustInput(p.server, p.output(p.client)...)
		p.output(p.server) // the HelloRetryRequest is lost
		p.mustInput(p.server, p.reseal(p.client, 0, record.Handshake, fragment(false, wire.TypeClientHello, 1, 100, 0, 10)))
		p.passTime(time.Second)
		p.settle()
		if !p.client.complete || !p.server.complete {
			t.Error("not complete")
		}
	})
}

// TestRepeatedServerFlight13: the server's flight again says that the client's
// was lost.
func TestRepeatedServerFlight13(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	p.output(c) // lost
	p.now = p.now.Add(time.Second / 2)
	p.mustInput(c, p.reseal(s, 2, record.Handshake, fragment(true, wire.TypeFinished, 4, 32, 0, 32)))
	p.want("the Finished again", c, p.output(c), "2:Finished")
}

// TestLostServerHello: a client that knows the version but cannot read what has
// come says so with an empty ACK, long before the server's timer.
func TestLostServerHello(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, retry: true, certificate: 1500}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.output(p.server)...)
	p.mustInput(p.server, p.output(p.client)...)
	flight := p.output(p.server)
	p.mustInput(p.client, flight[1:]...) // without the ServerHello
	p.want("it may be on its way", p.client, p.output(p.client))
	p.passTime(time.Second / 4)
	ack := p.output(p.client)
	p.want("it is late", p.client, ack, "0:ACK[]")
	p.mustInput(p.server, ack...)
	again := p.output(p.server)
	if len(again) != len(flight) {
		t.Fatalf("%d datagrams come again, of %d", len(again), len(flight))
	}
	p.mustInput(p.client, again[0])
	if !p.client.complete {
		t.Error("the client does not continue with the ServerHello")
	}
	// Before the version is known nothing is acknowledged.
	q := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 1500}, nil)
	q.mustInput(q.server, q.output(q.client)...)
	q.mustInput(q.client, q.output(q.server)[1:]...)
	q.passTime(time.Second / 4)
	q.want("the server may be one of DTLS 1.2", q.client, q.output(q.client))
}

// TestNoACKOfAnsweredFlights: RFC 9147bis, Section 7: "During the handshake, ACKs only
// cover the current outstanding flight". A server that has kept nothing of its
// HelloRetryRequests may give the number of one to its ServerHello.
func TestNoACKOfAnsweredFlights(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, retry: true}, nil)
	hello := p.output(p.client)
	p.mustInput(p.server, hello...)
	p.mustInput(p.client, p.output(p.server)...)
	p.want("the answer", p.client, p.output(p.client), "0:ClientHello") // lost
	for range 2 {
		p.mustInput(p.client, p.reseal(p.server, 0, record.Handshake, fragment(true, wire.TypeServerHello, 0, 80, 0, 80)))
		p.mustInput(p.server, p.reseal(p.client, 0, record.Handshake, fragment(false, wire.TypeClientHello, 0, 200, 0, 200)))
	}
	p.wantDeadline("a HelloRetryRequest again", p.client, time.Second)
	p.wantDeadline("a hello again", p.server, time.Second)
}
