package hermetic

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestTicketOnce: a DTLS 1.3 client that is idle does not get its tickets again: its deadline says
// when it acknowledges them, which is before the server's timer, even if its own is slow.
func TestTicketOnce(t *testing.T) {
	for _, test := range []struct {
		name           string
		client, server time.Duration // of the retransmission timers; 0: 1 s
		tickets        int
		mtu            int
		most           int // how many datagrams the server sends after the handshake
	}{
		{"a ticket", 0, 0, 1, 0, 1},
		{"a slow client", 10 * time.Second, 0, 1, 0, 1},
		{"a fast client and a slow server", 40 * time.Millisecond, 10 * time.Second, 1, 0, 1},
		{"a fast client and a fast server", 400 * time.Millisecond, 400 * time.Millisecond, 1, 0, 1},
		{"several tickets", 0, 0, 3, 0, 1},
		{"tickets in several datagrams", 0, 0, 2, 256, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newNetwork(t, func(client, server *Config) {
				client.MinVersion = tls.VersionTLS13
				client.SessionCache = NewSessionCache(4)
				client.DTLS.RetransmitTimeout, server.DTLS.RetransmitTimeout = test.client, test.server
				server.DTLS.MTU = test.mtu
				server.Tickets = test.tickets
			})
			obey := func(e *Engine) {
				t.Helper()
				if at, ok := e.Deadline(); ok && !at.After(m.now) {
					if err := e.Expire(); err != nil {
						t.Fatal(err)
					}
				}
			}
			sent := 0 // by the server, after the handshake
			for m.now.Sub(pkitest.Now) < 3*time.Minute {
				complete := m.server.HandshakeComplete()
				if _, err := m.pass(m.client, m.server); err != nil {
					t.Fatal(err)
				}
				for m.server.HasOutput() {
					if complete = complete || m.server.HandshakeComplete(); complete {
						sent++
					}
					if err := m.give(m.client, m.server.Output(nil)); err != nil {
						t.Fatal(err)
					}
				}
				m.now = m.now.Add(50 * time.Millisecond)
				obey(m.client)
				obey(m.server)
			}
			// The first has the ACK of the client's Finished, too.
			if sent == 0 || sent > test.most {
				t.Errorf("the server sends %d datagrams, want %d at most", sent, test.most)
			}
			if _, ok := m.server.Deadline(); ok {
				t.Error("the server still waits")
			}
			if _, ok := m.client.Deadline(); ok {
				t.Error("the client still waits")
			}
		})
	}
}

// TestTicketInPart: a client that has only a part of a ticket waits for the rest, and says so by
// its deadline: then it asks for the rest.
func TestTicketInPart(t *testing.T) {
	m := newNetwork(t, func(client, server *Config) {
		client.MinVersion = tls.VersionTLS13
		client.SessionCache = NewSessionCache(4)
		server.DTLS.MTU = 200
	})
	for !m.server.HandshakeComplete() {
		if _, err := m.pass(m.client, m.server); err != nil {
			t.Fatal(err)
		}
		if m.server.HandshakeComplete() {
			break
		}
		if _, err := m.pass(m.server, m.client); err != nil {
			t.Fatal(err)
		}
	}
	flight := outputs(m.server)
	if len(flight) < 2 {
		t.Fatalf("the ticket comes in %d datagrams", len(flight))
	}
	if err := m.give(m.client, flight[0]); err != nil {
		t.Fatal(err)
	}
	if m.client.HasOutput() {
		t.Error("the client does not wait for the rest")
	}
	at, ok := m.client.Deadline()
	if !ok || at.Sub(m.now) != time.Second/4 {
		t.Fatalf("its deadline is in %v, %v", at.Sub(m.now), ok)
	}
	m.now = at
	if err := m.client.Expire(); err != nil {
		t.Fatal(err)
	}
	if moved, err := m.pass(m.client, m.server); !moved || err != nil {
		t.Fatalf("no ACK: %v", err)
	}
	again := outputs(m.server)
	if len(again) != len(flight)-1 {
		t.Errorf("%d datagrams come again, want the %d that are missing", len(again), len(flight)-1)
	}
	for _, d := range again {
		if err := m.give(m.client, d); err != nil {
			t.Fatal(err)
		}
	}
	if at, ok = m.client.Deadline(); !ok || at.Sub(m.now) != time.Second/4 {
		t.Fatalf("with the whole ticket its deadline is in %v, %v", at.Sub(m.now), ok)
	}
	m.now = at
	if err := m.client.Expire(); err != nil {
		t.Fatal(err)
	}
	if err := m.run(); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.server.Deadline(); ok {
		t.Error("the server still waits")
	}
}

// outputs returns the datagrams that an engine has to send.
func outputs(e *Engine) (list [][]byte) {
	for e.HasOutput() {
		list = append(list, e.Output(nil))
	}
	return list
}
