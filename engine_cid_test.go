package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"testing"
)

// cidMeeting is a connection with connection IDs of these lengths.
func cidMeeting(t *testing.T, version uint16, client, server int) (*meeting, *clock) {
	c, s, now := sessionConfigs(t, version)
	for cfg, n := range map[*Config]int{c: client, s: server} {
		cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = n >= 0, max(0, n)
	}
	m := newMeeting(t, true, c, s)
	m.finish()
	return m, now
}

func TestConnectionIDs(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, lengths := range [][2]int{{-1, 4}, {4, -1}, {0, 0}, {0, 8}, {8, 0}, {4, 8}, {255, 255}} {
			m, _ := cidMeeting(t, version, lengths[0], lengths[1])
			both := lengths[0] >= 0 && lengths[1] >= 0
			for i, e := range []*Engine{m.client, m.server} {
				local, peer := e.ConnectionIDs()
				want, wantPeer := 0, 0
				if both {
					want, wantPeer = max(0, lengths[i]), max(0, lengths[1-i])
				}
				if len(peer) != wantPeer || want > 0 && (len(local) != 1 || len(local[0]) != want) || want == 0 && len(local) > 0 {
					t.Errorf("%#x, %v, %v: ours %x, the peer's %x", version, lengths, e.mode, local, peer)
				}
				other := m.server
				if e == m.server {
					other = m.client
				}
				out, err := e.Seal(nil, []byte("words"))
				if err != nil {
					t.Fatal(err)
				}
				if wantPeer > 0 && !bytes.Contains(out, peer) {
					t.Errorf("%#x, %v: the record has no connection ID", version, lengths)
				}
				again := bytes.Clone(out)
				o, err := other.Open(out)
				kind := KindData
				if wantPeer > 0 {
					kind = KindNewPath
				}
				if err != nil || string(o.Data) != "words" || o.Kind != kind {
					t.Errorf("%#x, %v: %q, kind %v, %v", version, lengths, o.Data, o.Kind, err)
				}
				if o, err = other.Open(again); err != nil || o.Kind != KindNone {
					t.Errorf("%#x, %v: a replay is of kind %v, %v", version, lengths, o.Kind, err)
				}
			}
		}
	}
}

// TestFinishedOvertakes: a record with a connection ID may come before the hello that says
// how long that is. It is kept.
func TestFinishedOvertakes(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS12)
	client.DTLS.ConnectionIDs, client.DTLS.ConnectionIDLength = true, 8
	server.DTLS.ConnectionIDs, server.DTLS.MTU = true, minMTU
	newMeeting(t, true, client, server).finish()
	m := newMeeting(t, true, client, server)
	if _, err := m.pass(m.client, m.server); err != nil {
		t.Fatal(err)
	}
	var flight [][]byte
	for d := m.server.Output(nil); len(d) > 0; d = m.server.Output(nil) {
		flight = append(flight, d)
	}
	for _, d := range slices.Backward(flight) {
		for len(d) > 0 {
			o, err := m.client.Open(d)
			if err != nil {
				t.Fatal(err)
			}
			d = d[o.N:]
		}
	}
	if len(flight) < 2 || !m.client.HandshakeComplete() || !m.client.State().DidResume {
		t.Errorf("%d datagrams; complete %v", len(flight), m.client.HandshakeComplete())
	}
}

// TestLongConnectionIDs: a peer that wants IDs so long that no record fits in the MTU makes
// no side wait forever.
func TestLongConnectionIDs(t *testing.T) {
	for _, version := range versions {
		for _, mtu := range []int{minMTU, 256, 300, 1200} {
			for _, long := range []Mode{DTLSClient, DTLSServer} {
				n := newNetwork(t, func(client, server *Config) {
					client.MaxVersion = version
					for mode, cfg := range map[Mode]*Config{DTLSClient: client, DTLSServer: server} {
						if cfg.DTLS.ConnectionIDs = true; mode == long {
							cfg.DTLS.ConnectionIDLength = 255
						} else {
							cfg.DTLS.MTU = mtu
						}
					}
				})
				if err := n.wait(); err != nil {
					t.Errorf("%s, MTU %d, those of the %v: %v", tls.VersionName(version), mtu, long, err)
				}
			}
		}
	}
}

// TestConnectionIDsChange: DTLS 1.3, RFC 9147bis, Section 9.
func TestConnectionIDsChange(t *testing.T) {
	m, now := cidMeeting(t, tls.VersionTLS13, 4, 4)
	locals, first := func() ([][]byte, []byte) {
		l, _ := m.server.ConnectionIDs()
		_, p := m.client.ConnectionIDs()
		return l, p
	}()
	if !bytes.Equal(locals[0], first) {
		t.Fatalf("%x, %x", locals, first)
	}
	if err := m.server.OfferConnectionIDs(1, ConnectionIDImmediate); err != nil {
		t.Fatal(err)
	}
	m.settle(now)
	if _, peer := m.client.ConnectionIDs(); bytes.Equal(peer, first) {
		t.Error("the client continues with the old one")
	}
	if m.client.ChangeConnectionID() {
		t.Error("there is a spare one")
	}
	if err := m.client.RequestConnectionIDs(3); err != nil {
		t.Fatal(err)
	}
	if err := m.client.RequestConnectionIDs(3); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("a second request before the answer: %v", err)
	}
	m.settle(now)
	// What is to be used at once comes before the spare ones.
	if err := m.server.OfferConnectionIDs(1, ConnectionIDImmediate); err != nil {
		t.Fatal(err)
	}
	m.settle(now)
	locals, _ = m.server.ConnectionIDs()
	if _, peer := m.client.ConnectionIDs(); !bytes.Equal(peer, locals[len(locals)-1]) {
		t.Errorf("the client uses %x, not the newest of %x", peer, locals)
	}
	seen := map[string]bool{}
	for m.client.ChangeConnectionID() {
		_, peer := m.client.ConnectionIDs()
		seen[string(peer)] = true
		m.settle(now)
	}
	if len(seen) != 3 {
		t.Errorf("%d spare ones", len(seen))
	}
	if err := m.client.RequestConnectionIDs(200); err != nil {
		t.Fatal(err)
	}
	m.settle(now)
	if local, _ := m.server.ConnectionIDs(); len(local) != 8 {
		t.Errorf("the server has given away %d", len(local))
	}
	// Without negotiation such messages are errors.
	m, _ = cidMeeting(t, tls.VersionTLS13, -1, -1)
	if err := m.client.RequestConnectionIDs(1); err == nil {
		t.Error("RequestConnectionIDs without connection IDs")
	}
	m.client.conn.RequestCIDs(m.client.carrier, 1)
	if err := m.run(); err == nil {
		t.Error("a RequestConnectionId without connection IDs is accepted")
	}
	wantAlert := m.server.err.(*AlertError).Alert
	if wantAlert != AlertUnexpectedMessage {
		t.Errorf("alert %v", wantAlert)
	}
}

// TestNewPathWithoutData: a client that moves before it has seen the server's last
// flight, or its ACK, can only send its own again.
func TestNewPathWithoutData(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			n := newNetwork(t, func(client, server *Config) {
				client.MaxVersion = version
				for _, cfg := range []*Config{client, server} {
					cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, 4
				}
			})
			n.lose = func() bool { return n.server.HandshakeComplete() }
			for !n.server.HandshakeComplete() {
				if _, err := n.deliver(); err != nil {
					t.Fatal(err)
				}
			}
			n.now, _ = n.client.Deadline()
			if err := n.client.Expire(); err != nil {
				t.Fatal(err)
			}
			paths := 0
			for out := n.client.Output(nil); len(out) > 0; out = n.client.Output(nil) {
				for len(out) > 0 {
					o, err := n.server.Open(out)
					if err != nil || o.Data != nil {
						t.Fatalf("%q, %v", o.Data, err)
					}
					if o.Kind == KindNewPath {
						paths++
					}
					out = out[o.N:]
				}
			}
			if paths == 0 {
				t.Error("the server does not hear that the client may have moved")
			}
		})
	}
}
