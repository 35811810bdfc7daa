package hermetic

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
)

// TestMakeConnectionID: each ID that a peer gets is of our making, in both roles, from the
// hello to the last spare one.
func TestMakeConnectionID(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			client, server, _ := sessionConfigs(t, version)
			sizes := map[*Config]int{client: 3, server: 8}
			for cfg, n := range sizes {
				cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, n
				cfg.DTLS.MakeConnectionID = func(cid []byte) {
					if len(cid) != n || bytes.Equal(cid, make([]byte, n)) {
						t.Errorf("asked to change %x", cid)
					}
					cid[0] = byte(n)
				}
			}
			m := newMeeting(t, true, client, server)
			m.finish()
			if version == tls.VersionTLS13 {
				if err := m.server.OfferConnectionIDs(3, ConnectionIDImmediate); err != nil {
					t.Fatal(err)
				}
				m.pump()
				if err := m.client.RequestConnectionIDs(2); err != nil {
					t.Fatal(err)
				}
				m.pump()
				m.client.ChangeConnectionID()
			}
			local, _ := m.server.ConnectionIDs()
			if want := map[uint16]int{tls.VersionTLS12: 1, tls.VersionTLS13: 6}[version]; len(local) != want {
				t.Errorf("the server has %d IDs, not %d", len(local), want)
			}
			for _, cid := range local {
				if cid[0] != 8 {
					t.Errorf("ID %x", cid)
				}
			}
			if local, _ := m.client.ConnectionIDs(); local[0][0] != 3 {
				t.Errorf("the client's ID %x", local[0])
			}
			out, err := m.client.Seal(nil, []byte("words"))
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := PeekDatagram(out, 8); !ok || len(p.ConnectionID) != 8 || p.ConnectionID[0] != 8 {
				t.Errorf("a balancer sees %x, %v", p.ConnectionID, ok)
			}
		})
	}
}

// TestMadeConnectionIDsDiffer: within a connection no ID is given twice, and one that has no
// other to give gives fewer.
func TestMadeConnectionIDsDiffer(t *testing.T) {
	for possible := 1; possible <= 8; possible++ {
		t.Run(fmt.Sprint(possible), func(t *testing.T) {
			client, server, _ := sessionConfigs(t, tls.VersionTLS13)
			client.DTLS.ConnectionIDs = true
			n := 0
			server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, 4
			server.DTLS.MakeConnectionID = func(cid []byte) {
				copy(cid, []byte{7, 7, 7, byte(n % possible)})
				n++
			}
			m := newMeeting(t, true, client, server)
			m.finish()
			if err := m.client.RequestConnectionIDs(255); err != nil {
				t.Fatal(err)
			}
			m.pump()
			local, _ := m.server.ConnectionIDs()
			if len(local) != possible {
				t.Errorf("%d IDs", len(local))
			}
			seen := make(map[string]bool)
			for _, cid := range local {
				if seen[string(cid)] {
					t.Errorf("%x twice", cid)
				}
				seen[string(cid)] = true
			}
			if possible < 8 {
				if err := m.server.OfferConnectionIDs(1, ConnectionIDSpare); err == nil || !strings.Contains(err.Error(), "MakeConnectionID") {
					t.Errorf("one more: %v", err)
				}
			}
			m.exchangeDatagrams()
		})
	}
}

func TestMakeConnectionIDNeedsALength(t *testing.T) {
	for _, d := range []DTLSConfig{{}, {ConnectionIDs: true}} {
		d.MakeConnectionID = func([]byte) {}
		if _, err := NewEngine(DTLSServer, &Config{DTLS: d}); err == nil || !strings.Contains(err.Error(), "DTLS.MakeConnectionID") {
			t.Errorf("%v", err)
		}
	}
}
