package interop

import (
	"crypto"
	"crypto/tls"
	"os"
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// sessionCell is one way to resume: two connections one after the other, or one with
// an external PSK.
type sessionCell struct {
	datagramCell
	stream bool // over TLS, not DTLS
	ids    bool // TLS 1.2: sessions by their ids, without tickets
	forged bool // the ticket is spoiled on its way: a full handshake
	early  bool // 0-RTT data goes with the second connection
	late   bool // our clock is a minute ahead then: early data is rejected, and sent again
	replay bool // all that came with the second connection comes again
	psk    bool
	hash   crypto.Hash // that the PSK is for
	wrong  string      // how our PSK differs from the peer's: in its "key" or "identity"
	certs  bool        // the server of a PSK also has a certificate
}

// What both sides of a PSK share.
const identity = "a device"

var sharedKey = []byte("0123456789abcdef0123456789abcdef")

// earlyWords goes as early data.
var earlyWords = []byte("0-RTT: early words\n")

var pskSuites = []uint16{0x00a8, 0x00a9, 0xccab, 0xc0a4, 0xc0a5, 0xc0a8, 0xc0a9, 0xd001, 0xd002, 0xccac, 0xd005, 0xd003}

// sessionCells are the cells of one version of TLS or DTLS.
func sessionCells(stream bool, version uint16) (list []sessionCell) {
	add := func(what string, c sessionCell) {
		c.what, c.version, c.stream = what, version, stream
		list = append(list, c)
	}
	add("resumption", sessionCell{})
	add("resumption, mutual", sessionCell{datagramCell: datagramCell{cell: cell{mutual: true}}})
	add("a forged ticket", sessionCell{forged: true})
	add("PSK, another key", sessionCell{psk: true, wrong: "key", datagramCell: datagramCell{cell: cell{group: tls.CurveP256}}})
	add("PSK, an unknown identity", sessionCell{psk: true, wrong: "identity", datagramCell: datagramCell{cell: cell{group: tls.CurveP256}}})
	if !stream {
		add("PSK, loss 10 %", sessionCell{psk: true, datagramCell: datagramCell{loss: 0.1}})
	}
	if version == tls.VersionTLS12 {
		add("resumption by session id", sessionCell{ids: true})
		for _, s := range pskSuites {
			group := map[bool]tls.CurveID{true: tls.CurveP256}[s>>8 == 0xd0]
			add(hermetic.CipherSuiteName(s), sessionCell{psk: true, datagramCell: datagramCell{cell: cell{suite: s, group: group}}})
		}
		return list
	}
	add("resumption, SHA-384", sessionCell{datagramCell: datagramCell{cell: cell{suite: tls.TLS_AES_256_GCM_SHA384}}})
	add("resumption, HelloRetryRequest", sessionCell{datagramCell: datagramCell{cell: cell{retry: true, group: tls.CurveP384}}})
	var first datagramCell
	if !stream {
		first.group = tls.X25519 // whose share fits into a datagram: a HelloRetryRequest would reject early data
	}
	add("0-RTT", sessionCell{early: true, datagramCell: first})
	add("0-RTT, rejected for its age", sessionCell{early: true, late: true, datagramCell: first})
	add("0-RTT, rejected with a forged ticket", sessionCell{early: true, forged: true, datagramCell: first})
	add("0-RTT, replayed", sessionCell{early: true, replay: true, datagramCell: first})
	add("PSK", sessionCell{psk: true})
	add("PSK, SHA-384", sessionCell{psk: true, hash: crypto.SHA384, datagramCell: datagramCell{cell: cell{suite: tls.TLS_AES_256_GCM_SHA384}}})
	add("PSK, an unknown identity, certificate", sessionCell{psk: true, wrong: "identity", certs: true})
	return list
}

// resumes reports whether the nth connection should resume the one before.
func (c sessionCell) resumes(n int) bool { return n > 0 && !c.forged }

// accepts reports whether the server should accept the early data.
func (c sessionCell) accepts() bool { return c.early && !c.late && !c.forged }

// refused reports whether there should be no connection.
func (c sessionCell) refused() bool { return c.wrong != "" && !c.certs }

// connections is how many there are.
func (c sessionCell) connections() int {
	if c.psk {
		return 1
	}
	return 2
}

// words are what a peer prints for each connection of a kind; "": nothing.
type words struct{ resumed, early, psk string }

// sessionPeer is another implementation of TLS or DTLS, in the role that
// hermetic does not have.
type sessionPeer interface {
	name() string
	// prepare says what is not installed, or "".
	prepare(t *testing.T) (missing string)
	speaks(stream bool, version uint16) bool
	// cannot says why a cell is not for this peer, or "".
	cannot(c sessionCell, server bool) string
	words(c sessionCell, server bool) words
	// serve starts a server of any number of connections, one after the other.
	serve(t *testing.T, c sessionCell, f files, port int) *speaker
	// connect makes a client's nth connection; before made the one before.
	connect(t *testing.T, c sessionCell, f files, port, n int, before *speaker) *speaker
}

// speaker is a running sessionPeer.
type speaker struct {
	*process
	echoes bool // it sends back what comes
	hasty  bool // a client that ends its first connection by itself
	silent bool // a server that keeps early data to itself
}

var sessionPeers = []sessionPeer{
	goSessions{}, opensslSessions{}, gnutlsSessions{}, compiledSessions{mbedTLS}, compiledSessions{wolfSSL}, compiledSessions{nss},
	pionSessions{}, pion4Sessions{},
}

// TestSessions is the matrix of resumption, early data and PSKs.
func TestSessions(t *testing.T) {
	a := &authority{ca: pkitest.CA(t)}
	type protocol struct {
		stream  bool
		version uint16
		table   table
		columns []string
	}
	var protocols []*protocol
	for _, stream := range []bool{true, false} {
		for _, v := range versions {
			protocols = append(protocols, &protocol{stream: stream, version: v})
		}
	}
	t.Run("cells", func(t *testing.T) {
		for _, p := range sessionPeers {
			if why := p.prepare(t); why != "" {
				if os.Getenv("CI") == "true" {
					t.Error(why)
				}
				t.Logf("%s: no cells with %s", why, p.name())
				continue
			}
			for _, m := range protocols {
				if !p.speaks(m.stream, m.version) {
					continue
				}
				m.columns = append(m.columns, p.name()+" server", p.name()+" client")
				for _, c := range sessionCells(m.stream, m.version) {
					for _, server := range []bool{true, false} {
						sessionTest(t, p, c, server, a, &m.table)
					}
				}
			}
		}
	})
	for _, m := range protocols {
		m.table.print(m.columns)
	}
}

func sessionTest(t *testing.T, p sessionPeer, c sessionCell, server bool, a *authority, m *table) {
	row, column := versionName(c)+" "+c.what, p.name()+map[bool]string{true: " server", false: " client"}[server]
	why := p.cannot(c, server)
	switch {
	case c.ids && !server:
		why = "our server has no session ids"
	case c.replay && server:
		why = "a replay is for a server of ours to refuse"
	}
	if why != "" {
		m.set(row, column, why)
		return
	}
	t.Run(column+"/"+row, func(t *testing.T) {
		t.Parallel()
		m.set(row, column, "FAILED")
		newMeeting(t, p, c, server, a).run()
		if !t.Failed() {
			m.set(row, column, "ok")
		}
	})
}

func versionName(c sessionCell) string {
	if c.stream {
		return tls.VersionName(c.version)
	}
	return "D" + tls.VersionName(c.version)
}
