package carrier

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestAlerts(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		t.Run("close_notify", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			before := p.seal(p.client, "before")
			p.client.SendAlert(alert.CloseNotify)
			out := p.output(p.client)
			if len(out) != 1 {
				t.Fatalf("%d datagrams", len(out))
			}
			if err := p.input(p.server, out...); err != ErrClosed {
				t.Fatalf("got error %v, want %v", err, ErrClosed)
			}
			p.mustInput(p.server, before)
			if !slices.Equal(p.server.data, []string{"before"}) {
				t.Errorf("data that was overtaken: got %q", p.server.data)
			}
			if err := p.input(p.server, p.seal(p.client, "after it")); err != ErrClosed || len(p.server.data) != 1 {
				t.Errorf("data after it: got %q, error %v", p.server.data, err)
			}
		})
		t.Run("fatal, under the current keys", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			p.server.send(wire.TypeNewSessionTicket, 10)
			p.server.SendAlert(alert.InternalError)
			out := p.output(p.server)
			epoch := 1
			if version == wire.VersionTLS13 {
				epoch = 3
			}
			p.want("nothing but the alert", p.server, out, fmt.Sprintf("%d:alert(2,internal_error)", epoch))
			var fatal *PeerAlert
			if err := p.input(p.client, out...); !errors.As(err, &fatal) || fatal.Description != alert.InternalError {
				t.Errorf("got error %v", err)
			}
			p.wantDeadline("it is over", p.server, -1)
		})
		t.Run("a warning that is none", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			epoch := uint64(1)
			if version == wire.VersionTLS13 {
				epoch = 3
			}
			err := p.input(p.client, p.reseal(p.server, epoch, record.Alert, []byte{1, byte(alert.HandshakeFailure)}))
			if version == wire.VersionTLS13 {
				roomtest.WantAlert(t, err, alert.DecodeError) // as BoringSSL's runner wants it
			} else if err != nil {
				t.Errorf("DTLS 1.2 has warnings: %v", err)
			}
		})
		t.Run("fatal, unencrypted, about the hello", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.output(p.client)
			p.server.SendAlert(alert.ProtocolVersion)
			var fatal *PeerAlert
			if err := p.input(p.client, p.output(p.server)...); !errors.As(err, &fatal) || fatal.Description != alert.ProtocolVersion {
				t.Errorf("got error %v", err)
			}
		})
		t.Run("unencrypted, when there are keys", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			for _, e := range []*end{p.client, p.server} {
				p.mustInput(e, p.reseal(p.peer(e), 0, record.Alert, []byte{2, 40}))
			}
		})
		t.Run("a warning unencrypted", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.mustInput(p.client, p.reseal(p.server, 0, record.Alert, []byte{1, 100}), p.reseal(p.server, 0, record.Alert, []byte{7, 7, 7}))
		})
		t.Run("close_notify unencrypted", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.mustInput(p.client, p.reseal(p.server, 0, record.Alert, []byte{1, 0}))
			p.connect()
			p.mustInput(p.client, p.seal(p.server, "after it"))
			if !slices.Equal(p.client.data, []string{"after it"}) {
				t.Errorf("data after it: got %q", p.client.data)
			}
		})
	})
}

// TestAlertInClear: once a record has authenticated, also in the middle of a handshake,
// what comes unencrypted is no alert.
func TestAlertInClear(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	flight := p.output(p.server)
	p.mustInput(p.client, flight[0])
	p.mustInput(p.client, p.reseal(p.server, 0, record.Alert, []byte{2, 40}))
	p.mustInput(p.client, flight[1:]...)
	p.connect()
}

// TestFaults: under keys a fault is fatal; unencrypted it is dropped, unless TrustUnprotected.
func TestFaults(t *testing.T) {
	hello := func(size, from, to int) []byte {
		return fragment(true, wire.TypeServerHello, 0, size, from, to)
	}
	certificate := func(from, to int) []byte { return fragment(true, wire.TypeCertificate, 2, 700, from, to) }
	huge := wire.FragmentHeader{Type: wire.TypeCertificate, Length: 1<<24 - 1, Seq: 2, FragmentLength: 1}
	for _, test := range []struct {
		name  string
		epoch uint64 // 2: after the server's flight but for its end
		typ   record.ContentType
		in    [][]byte
		want  alert.Description
	}{
		{"half a fragment header", 0, record.Handshake, [][]byte{{2, 0, 0}}, alert.DecodeError},
		{"half a fragment header", 2, record.Handshake, [][]byte{{2, 0, 0}}, alert.DecodeError},
		{"an empty handshake record", 0, record.Handshake, [][]byte{{}}, alert.UnexpectedMessage},
		{"an empty handshake record", 2, record.Handshake, [][]byte{{}}, alert.UnexpectedMessage},
		{"fragments of two lengths", 0, record.Handshake, [][]byte{hello(100, 0, 50), hello(101, 50, 101)}, alert.IllegalParameter},
		{"fragments of two lengths", 2, record.Handshake, [][]byte{certificate(0, 10), fragment(true, wire.TypeCertificate, 2, 701, 10, 20)}, alert.IllegalParameter},
		{"a message of 16 MB", 2, record.Handshake, [][]byte{append(huge.Append(nil), 0)}, alert.IllegalParameter},
		{"application data", 0, record.ApplicationData, [][]byte{{1}}, alert.UnexpectedMessage},
		{"application data", 2, record.ApplicationData, [][]byte{{1}}, alert.UnexpectedMessage},
		{"a ChangeCipherSpec in DTLS 1.3", 2, record.ChangeCipherSpec, [][]byte{{1}}, alert.UnexpectedMessage},
		{"an unknown type", 2, 42, [][]byte{{1}}, alert.UnexpectedMessage},
		{"an alert of three bytes", 0, record.Alert, [][]byte{{2, 40, 1}}, alert.DecodeError},
		{"an alert of three bytes", 2, record.Alert, [][]byte{{2, 40, 1}}, alert.DecodeError},
		{"an alert of level 3", 2, record.Alert, [][]byte{{3, 40}}, alert.IllegalParameter},
		{"an ACK cut short", 2, record.ACK, [][]byte{{0, 16, 1}}, alert.DecodeError},
		{"an ACK of a later epoch", 2, record.ACK, [][]byte{append([]byte{0, 16, 0, 0, 0, 0, 0, 0, 0, 3}, make([]byte, 8)...)}, alert.IllegalParameter},
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, epoch %d, strict %v", test.name, test.epoch, strict), func(t *testing.T) {
				p := newPair(t, playOptions{version: wire.VersionTLS13}, func(client, _ *DatagramOptions) { client.TrustUnprotected, client.MTU = strict, 1500 })
				out := p.output(p.client)
				if test.epoch > 0 {
					p.server.SetMTU(150)
					p.mustInput(p.server, out...)
					p.mustInput(p.client, p.output(p.server)[:2]...)
				}
				s := record.Sealer(&record.Clear{Version: wire.VersionDTLS12})
				if test.epoch > 0 {
					s = record.NewWriter13(2, keys(wire.VersionTLS13, true, 2), nil)
				}
				for range 100 {
					s.Seal(nil, record.Handshake, nil)
				}
				var err error
				for _, content := range test.in {
					d, _ := s.Seal(nil, test.typ, content)
					if err = p.input(p.client, d); err != nil {
						break
					}
				}
				if strict || test.epoch > 0 {
					roomtest.WantAlert(t, err, test.want)
				} else if err != nil {
					t.Errorf("got error %v", err)
				}
			})
		}
	}
}

// TestForgedACK: anybody can send an ACK unencrypted for records under keys, and
// NSS does as long as it has no keys.
func TestForgedACK(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict %v", strict), func(t *testing.T) {
			p := newPair(t, playOptions{version: wire.VersionTLS13}, func(_, server *DatagramOptions) { server.TrustUnprotected = strict })
			p.mustInput(p.server, p.output(p.client)...)
			answer := p.output(p.server)
			ack := append([]byte{0, 16, 0, 0, 0, 0, 0, 0, 0, 2}, make([]byte, 8)...)
			err := p.input(p.server, p.reseal(p.client, 0, record.ACK, ack))
			if strict {
				roomtest.WantAlert(t, err, alert.IllegalParameter)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p.mustInput(p.client, answer...)
			p.settle()
			if !p.client.complete || !p.server.complete {
				t.Error("not complete")
			}
		})
	}
}

// TestForgedClear: a forged piece of a message unencrypted costs a
// retransmission, no more.
func TestForgedClear(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name  string
			forge []byte
		}{
			{"another length", fragment(true, wire.TypeServerHello, 0, 300, 0, 20)},
			{"other bytes", fragment(false, wire.TypeServerHello, 0, 100, 0, 20)},
			{"of the next message", fragment(false, wire.TypeFinished, 1, 100, 0, 20)},
			{"of a later one", fragment(false, wire.TypeFinished, 6, 100, 0, 20)},
			{"far ahead", fragment(false, wire.TypeFinished, 60000, 100, 0, 20)},
		} {
			t.Run(test.name, func(t *testing.T) {
				p := newPair(t, playOptions{version: version}, nil)
				p.mustInput(p.server, p.output(p.client)...)
				p.mustInput(p.client, p.reseal(p.server, 0, record.Handshake, test.forge))
				p.mustInput(p.client, p.output(p.server)...)
				p.settle()
				if !p.client.complete || !p.server.complete {
					t.Errorf("not complete: the client got %v, the server %v", p.client.got, p.server.got)
				}
			})
		}
	})
}

// TestMessageInClear: when there are keys, a message unencrypted is no message.
func TestMessageInClear(t *testing.T) {
	for _, strict := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS13}, func(client, _ *DatagramOptions) { client.TrustUnprotected = strict })
		p.mustInput(p.server, p.output(p.client)...)
		flight := p.output(p.server)[0]
		_, hello, _ := record.ParseClassic(flight, 0)
		p.mustInput(p.client, flight[:hello])
		clear := p.reseal(p.server, 0, record.Handshake, fragment(true, wire.TypeEncryptedExtensions, 1, 10, 0, 10))
		err := p.input(p.client, clear)
		if strict {
			roomtest.WantAlert(t, err, alert.UnexpectedMessage)
		} else if err != nil || !slices.Equal(p.client.got, []string{"ServerHello"}) {
			t.Errorf("got %v, error %v", p.client.got, err)
		}
		part := fragment(true, wire.TypeEncryptedExtensions, 1, 10, 0, 5)
		p.mustInput(p.client, p.reseal(p.server, 2, record.Handshake, part))
		other := &record.Clear{}
		other.StartAt(300)
		forged, _ := other.Seal(nil, record.Handshake, fragment(true, wire.TypeEncryptedExtensions, 1, 10, 0, 10))
		p.mustInput(p.client, forged) // that it is forged is plain now
		p.mustInput(p.client, flight[hello:])
		if !p.client.complete {
			t.Errorf("strict %v: the client is not complete", strict)
		}
	}
}

// TestFinishedInClear12: a Finished that is not protected is none.
func TestFinishedInClear12(t *testing.T) {
	for _, strict := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS12}, func(_, server *DatagramOptions) { server.TrustUnprotected = strict })
		p.mustInput(p.server, p.output(p.client)...)
		p.mustInput(p.client, p.output(p.server)...)
		exchange := p.reseal(p.client, 0, record.Handshake, fragment(false, wire.TypeClientKeyExchange, 1, 66, 0, 66))
		finished := new(record.Clear)
		finished.StartAt(2000)
		clear, _ := finished.Seal(nil, record.Handshake, fragment(false, wire.TypeFinished, 2, 12, 0, 12))
		err := p.input(p.server, clear, exchange)
		if strict {
			roomtest.WantAlert(t, err, alert.UnexpectedMessage)
		} else if err != nil {
			t.Error(err)
		}
		if p.server.complete {
			t.Error("a Finished unencrypted completes the handshake")
		}
	}
}

func TestChangeCipherSpec12(t *testing.T) {
	for _, test := range []struct {
		name   string
		body   []byte
		strict bool
		want   bool // an error
	}{
		{"a stray one", []byte{1}, true, false},
		{"another byte", []byte{2}, true, true},
		{"two bytes", []byte{1, 1}, true, true},
		{"another byte, from anybody", []byte{2}, false, false},
	} {
		p := newPair(t, playOptions{version: wire.VersionTLS12}, func(client, _ *DatagramOptions) { client.TrustUnprotected = test.strict })
		p.mustInput(p.server, p.output(p.client)...)
		p.mustInput(p.client, p.output(p.server)...)
		if err := p.input(p.client, p.reseal(p.server, 0, record.ChangeCipherSpec, test.body)); (err != nil) != test.want {
			t.Errorf("%s: got error %v", test.name, err)
		}
	}
}

func TestExtraFinished(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		epoch, size, seq := uint64(2), 32, 5
		if version == wire.VersionTLS12 {
			epoch, size, seq = 1, 12, 5
		}
		extra := fragment(true, wire.TypeFinished, seq, size, 0, size)
		t.Run("afterwards", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.settle()
			var fault *alert.Error
			if err := p.input(p.client, p.reseal(p.server, epoch, record.Handshake, extra)); err == nil || !errors.As(err, &fault) {
				// The client forgets the handshake's keys once its Finished is
				// acknowledged, which it is here.
				if version == wire.VersionTLS12 || len(p.client.protocol.(*dtls13).generations) > 1 {
					t.Errorf("got error %v", err)
				}
			}
		})
		t.Run("before", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.mustInput(p.server, p.output(p.client)...)
			out := p.output(p.server)
			if version == wire.VersionTLS12 {
				p.mustInput(p.client, out...)
				p.mustInput(p.server, p.output(p.client)...)
				out = p.output(p.server)
			}
			// Only the clear part, then the extra message, then all.
			_, hello, _ := record.ParseClassic(out[0], 0)
			p.mustInput(p.client, out[0][:hello])
			p.mustInput(p.client, p.reseal(p.server, epoch, record.Handshake, extra))
			var fault *alert.Error
			if err := p.input(p.client, out[0][hello:]); !errors.As(err, &fault) {
				t.Errorf("got error %v", err)
			}
		})
	})
}

func TestRenegotiation12(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	p.connect()
	request := p.reseal(p.server, 1, record.Handshake, fragment(true, wire.TypeHelloRequest, 0, 0, 0, 0))
	p.mustInput(p.client, request)
	p.want("refused", p.client, p.output(p.client), "1:alert(1,no_renegotiation)")
	p.mustInput(p.client, request)
	p.want("a duplicate", p.client, p.output(p.client))
	roomtest.WantAlert(t, p.input(p.server, p.reseal(p.client, 1, record.Handshake, fragment(false, wire.TypeClientHello, 0, 50, 0, 50))), errPlay.Description)
}

// TestIdleMessages: messages after the handshake are bounded, unless there is
// data between them.
func TestIdleMessages(t *testing.T) {
	for _, data := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
		p.connect()
		var err error
		for range 100 {
			p.server.send(wire.TypeNewSessionTicket, 5)
			if err = p.input(p.client, p.output(p.server)...); err != nil {
				break
			}
			if data {
				p.mustInput(p.client, p.seal(p.server, "x"))
			}
		}
		if data && err != nil || !data && err != errIdleMessages {
			t.Errorf("with data %v: got error %v", data, err)
		}
	}
}
