package interop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// datagramCell is one way to make a connection over datagrams.
type datagramCell struct {
	cell
	mtu      int     // 0: each side's own
	cookies  bool    // the server asks for one
	unproved bool    // a server of ours does not trust the address
	both     bool    // we have both versions, the peer the cell's
	loss     float64 // in between
	cids     string  // whose connection IDs: ours, the peer's or both; or ""
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// datagramCells are variations of one thing at a time.
func datagramCells() (list []datagramCell) {
	for _, v := range versions {
		add := func(what string, c datagramCell) {
			c.what, c.version = what, v
			list = append(list, c)
		}
		for _, kind := range pkitest.Kinds {
			add(kind, datagramCell{cell: cell{kind: kind}})
		}
		add("both versions", datagramCell{both: true})
		add("mutual", datagramCell{cell: cell{mutual: true}})
		add("mutual, RSA", datagramCell{cell: cell{mutual: true, kind: pkitest.RSA2048}})
		add("cookies", datagramCell{cookies: true})
		add("cookies, both versions", datagramCell{cookies: true, both: true})
		add("cookies, mutual", datagramCell{cookies: true, cell: cell{mutual: true}})
		add("unproved address", datagramCell{unproved: true})
		add("asynchronous key", datagramCell{cell: cell{async: true}})
		groups, kind := []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}, pkitest.P256
		if v == tls.VersionTLS12 {
			kind = pkitest.RSA2048 // in 1.2 an ECDSA key's curve counts as well
		} else {
			groups = append(groups, tls.X25519MLKEM768)
		}
		for _, g := range groups {
			add(g.String(), datagramCell{cell: cell{group: g, kind: kind}})
		}
		for _, mtu := range []int{256, 512, 1400, 1500} {
			add(fmt.Sprintf("MTU %d", mtu), datagramCell{mtu: mtu, cell: cell{mutual: true}})
			add(fmt.Sprintf("MTU %d, cookies", mtu), datagramCell{mtu: mtu, cookies: true})
		}
		for _, percent := range []int{5, 10, 20} {
			add(fmt.Sprintf("loss %d %%", percent), datagramCell{loss: float64(percent) / 100, mtu: 512, cell: cell{mutual: true}})
			add(fmt.Sprintf("loss %d %%, cookies", percent), datagramCell{loss: float64(percent) / 100, cookies: true})
		}
		for _, n := range []int{512, 2000} {
			add(fmt.Sprintf("record_size_limit %d", n), datagramCell{cell: cell{limit: n, mutual: true}})
		}
		for _, n := range []int{512, 2048} {
			add(fmt.Sprintf("max_fragment_length %d", n), datagramCell{cell: cell{fragments: n, mutual: true}})
		}
		for _, cids := range []string{"ours", "the peer's", "both"} {
			add("connection IDs: "+cids, datagramCell{cids: cids})
		}
		suites := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af}
		if v == tls.VersionTLS13 {
			suites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256, 0x1304, 0x1305}
			add("HelloRetryRequest", datagramCell{cell: cell{retry: true, group: tls.CurveP384}})
			add("KeyUpdate", datagramCell{cell: cell{keyUpdate: true}})
		}
		for _, s := range suites {
			add(hermetic.CipherSuiteName(s), datagramCell{cell: cell{suite: s}})
		}
	}
	return list
}

// TestDatagrams is the matrix of DTLS.
func TestDatagrams(t *testing.T) {
	a := &authority{ca: pkitest.CA(t)}
	var tables [2]table // of DTLS 1.2 and 1.3
	var columns [2][]string
	t.Run("cells", func(t *testing.T) {
		for _, p := range datagramPeers {
			if why := p.prepare(t); why != "" {
				if os.Getenv("CI") == "true" {
					t.Error(why)
				}
				t.Logf("%s: no cells with %s", why, p.name())
				continue
			}
			for i, v := range versions {
				if p.speaks(v) {
					columns[i] = append(columns[i], p.name()+" server", p.name()+" client")
				}
			}
			for i, c := range datagramCells() {
				row := strings.Replace(tls.VersionName(c.version), "TLS", "DTLS", 1) + " " + c.what
				if !p.speaks(c.version) {
					continue
				}
				m := &tables[slices.Index(versions, c.version)]
				for _, role := range []hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer} {
					peerServer := !role.IsServer()
					column := p.name() + map[bool]string{true: " server", false: " client"}[peerServer]
					if why := p.cannot(c, peerServer); why != "" {
						m.set(row, column, why)
						continue
					}
					t.Run(fmt.Sprintf("%s/%s", column, row), func(t *testing.T) {
						t.Parallel()
						m.set(row, column, "FAILED")
						runDatagrams(t, p, c, role, a, uint64(i))
						if !t.Failed() {
							m.set(row, column, "ok")
						}
					})
				}
			}
		}
	})
	for i := range tables {
		tables[i].print(columns[i])
	}
}

func (c datagramCell) datagramConfig(a *authority, leaf tls.Certificate, role hermetic.Mode) *hermetic.Config {
	cfg := c.config(a, leaf, map[bool]hermetic.Mode{false: hermetic.TLSClient, true: hermetic.TLSServer}[role.IsServer()])
	cfg.NextProtos = nil
	cfg.DTLS.MTU = c.mtu
	cfg.DTLS.TrustAddress = !c.cookies && !c.unproved
	if c.both {
		cfg.MinVersion, cfg.MaxVersion = 0, 0
	}
	cfg.DTLS.ConnectionIDs = c.cids != ""
	if c.cids == "ours" || c.cids == "both" {
		cfg.DTLS.ConnectionIDLength = 8
	}
	if c.loss > 0 {
		cfg.DTLS.RetransmitTimeout = 400 * time.Millisecond
		cfg.DTLS.MaxTimeouts = 20
	}
	return cfg
}

func runDatagrams(t *testing.T, p datagramPeer, c datagramCell, role hermetic.Mode, a *authority, seed uint64) {
	f, leaf := a.files(t, c.kind)
	cfg := c.datagramConfig(a, leaf, role)
	engine, err := hermetic.NewEngine(role, cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &udpLink{conn: listenUDP(t), engine: engine}
	if c.loss > 0 {
		l.patience = 2 * patience
	}
	var log *process
	var echoes bool
	if role == hermetic.DTLSClient {
		server := freePort()
		log, echoes = p.start(t, c, f, true, server)
		bound(server)
		if c.loss > 0 {
			server = startRelay(t, server, c.loss, seed)
		}
		l.peer = loopback(server)
	} else {
		if c.cookies {
			l.cookies = cfg
		}
		server := port(l.conn)
		if c.loss > 0 {
			server = startRelay(t, server, c.loss, seed)
		}
		log, echoes = p.start(t, c, f, false, server)
	}
	if err := c.converse(t, l, log, echoes); err != nil {
		t.Fatalf("%v; the peer says: %s", err, log.log())
	}
	c.check(t, engine.State(), "")
	if want := cfg.DTLS.ConnectionIDLength > 0; l.byID != want {
		t.Errorf("came under our connection ID: %v, want %v", l.byID, want)
	}
}

// converse makes the handshake, and sends datagrams of several sizes. What is lost
// is sent again.
func (c datagramCell) converse(t *testing.T, l *udpLink, p *process, echoes bool) error {
	err := l.until("handshake", func() bool {
		for q := l.engine.Pending(); q != nil; q = l.engine.Pending() {
			if err := answer(q); err != nil {
				return false
			}
		}
		return l.engine.HandshakeComplete()
	})
	if err != nil {
		return err
	}
	for i, size := range []int{1, 100, 1000, 200, 800, 1, 1100, 500} {
		if c.mtu > 0 {
			size = min(size, c.mtu/2) // some peers refuse data beyond it
		}
		if c.limit == 512 || c.fragments == 512 {
			size = min(size, 400)
		}
		if i == 4 && !l.engine.State().Mode.IsServer() && (c.cids == "the peer's" || c.cids == "both") {
			l.conn = listenUDP(t) // the peer must recognize us by its connection ID
		}
		if c.keyUpdate {
			if err := l.engine.KeyUpdate(hermetic.KeyUpdateRequest(i%2 == 0)); err != nil {
				return err
			}
		}
		words := []byte(fmt.Sprintf("datagram %d: %s\n", i, strings.Repeat("0123456789", (size+9)/10)))
		here := func() bool { return bytes.Contains(l.got, words) && (echoes || p.wrote(words)) }
		if err := l.repeat("echo", here, func() error {
			if !echoes {
				if _, err := p.stdin.Write(words); err != nil {
					return err
				}
			}
			// Always: what comes again lets OpenSSL's programs block until more comes.
			return l.send(words)
		}); err != nil {
			return err
		}
	}
	return nil
}

// repeat does something until it takes effect.
func (l *udpLink) repeat(what string, effect func() bool, do func() error) error {
	const pause = 400 * time.Millisecond
	next := time.Time{}
	var failure error
	err := l.until(what, func() bool {
		if now := time.Now(); now.After(next) {
			next = now.Add(pause)
			failure = do()
		}
		return failure != nil || effect()
	})
	if failure != nil {
		return fmt.Errorf("%s: %w", what, failure)
	}
	return err
}

func (p *process) wrote(words []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.stdout.Bytes(), words)
}
