package handshake

import (
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestKeyUpdateRequests: RFC 9846, Section 4.7.3: "Until receiving a subsequent KeyUpdate
// from the peer, the sender MUST NOT send another KeyUpdate with request_update set to
// update_requested", and a request is answered. None is lost because another KeyUpdate is
// on its way (RFC 9147bis, Section 8).
func TestKeyUpdateRequests(t *testing.T) {
	// In a script U and u are our own KeyUpdate, with a request and without; P and p the
	// peer's; d is data of ours, before which the peer is answered; a is an acknowledgment
	// of our KeyUpdate; m moves the connection. What is sent is 1 for a KeyUpdate with a
	// request, and 0 for one without.
	for _, test := range []struct {
		name, script, want string
		slow               bool
	}{
		{"one", "U", "1", false},
		{"two", "UU", "10", false},
		{"two after the answer to the first", "UpU", "11", false},
		{"three, and one answer", "UUUpU", "1001", false},
		{"one after one without", "uU", "01", false},
		{"the peer's, and data", "Pdd", "0", false},
		{"several of the peer's, and data", "PPPdd", "0", false},
		{"the peer's, and our own", "PUd", "1", false},
		{"the peer's that crosses ours", "UPd", "10", false},
		{"the peer's that crosses ours, and another of ours", "UPUd", "11", false},
		{"the peer's, without a request", "pdd", "", false},
		{"two of a connection that moves", "UmU", "10", false},
		{"the peer's to a connection that moves", "Pmd", "0", false},
		{"both, and it moves", "UPmUd", "11", false},

		{"datagrams: while one is pending", "uUa", "01", true},
		{"datagrams: two while one is pending", "uUUa", "01", true},
		{"datagrams: while a request is pending", "UUa", "1", true},
		{"datagrams: without a request while one is pending", "uua", "0", true},
		{"datagrams: the peer's again while the answer is pending", "PdPa", "0", true},
		{"datagrams: the peer's while one is pending", "uPa", "00", true},
		{"datagrams: the peer's that crosses ours", "UPa", "10", true},
		{"datagrams: the peer's and another of ours while one is pending", "uPUa", "01", true},
		{"datagrams: the peer's while a request is pending, and another", "UPUa", "11", true},
		{"datagrams: data does not overtake it", "uPdda", "00", true},
		{"datagrams: after the answer", "UapU", "11", true},
		{"datagrams: before the answer", "UaU", "10", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, server := hello13.ends(t, identity(t), new(pki.Cache))
			if _, c, s := play(client, server, unchanged); c != nil || s != nil {
				t.Fatal(c, s)
			}
			out, conn, params := &client.out, client.machine.Connection(), client.machine.params
			out.slow = test.slow
			for _, step := range test.script {
				switch step {
				case 'U', 'u':
					conn.UpdateKeys(out, step == 'U')
				case 'P', 'p':
					ku := wire.KeyUpdate{RequestUpdate: map[rune]uint8{'P': 1}[step]}
					must(conn.Handle(out, params, wire.Message{Type: wire.TypeKeyUpdate, Body: ku.Append(nil)[4:]}))
				case 'd':
					conn.SendDueUpdate(out)
				case 'a':
					out.pending = false
					conn.SendDueUpdate(out)
				case 'm':
					form, ok := conn.Append(nil, pkitest.Now)
					if !ok {
						t.Fatal("it has no form")
					}
					var err error
					conn, err = ParseConnection(form, new(pki.Cache))
					must(err)
				}
			}
			var got string
			for _, msg := range out.sent {
				got += string('0' + rune(msg[4]))
			}
			if got != test.want {
				t.Errorf("sent %q, want %q", got, test.want)
			}
		})
	}
}
