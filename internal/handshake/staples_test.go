package handshake

import (
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestStaplesOfEntries: each entry of a Certificate message of TLS 1.3 may have a staple, and
// each belongs to its own certificate.
func TestStaplesOfEntries(t *testing.T) {
	ca := pkitest.CA(t)
	below := ca.Intermediate(t)
	offered := wire.Extensions(wire.ExtStatusRequest)
	var msg wire.Certificate13
	for i, der := range [][]byte{below.Leaf(t, pkitest.Options{}).Certificate[0], below.Certificate.Raw, ca.Certificate.Raw} {
		e := wire.CertificateEntry{Data: der}
		if i != 1 {
			e.OCSP = []byte{'0' + byte(i)}
			e.Has.Add(wire.ExtStatusRequest)
		}
		msg.Entries = wire.AppendEntry(msg.Entries, &e)
	}
	m := &Machine{params: &Params{Chains: new(pki.Cache)}, conn: new(Connection)}
	body := msg.Append(nil)[4:]
	if err := m.parseCertificate13(wire.Message{Type: wire.TypeCertificate, Body: body}, offered); err != nil {
		t.Fatal(err)
	}
	p := m.conn.Peer
	if string(p.OCSP()) != "0" || len(m.staples) != 2 || m.staples[0] != nil || string(m.staples[1]) != "2" {
		t.Errorf("%q, %q", p.OCSP(), m.staples)
	}
}
