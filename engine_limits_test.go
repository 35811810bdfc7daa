package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
)

// recordSizes returns the sizes of the protected plaintexts in what an engine has sent: in
// TLS 1.3 with their content type, as record_size_limit counts them.
func recordSizes(out []byte, datagram bool, version uint16) (sizes []int) {
	const tag, explicit = 16, 8 // of AES-GCM
	for len(out) > 0 {
		protected, header := out[0] == 23, 5
		overhead := tag
		switch {
		case datagram && version == tls.VersionTLS13 && out[0]>>5 == 1:
			protected = true
		case datagram:
			protected, header, overhead = out[4] == 1, 13, tag+explicit
		case version == tls.VersionTLS12:
			overhead = tag + explicit // and a Finished is small in any case
		}
		n := int(out[header-2])<<8 | int(out[header-1])
		if protected {
			sizes = append(sizes, n-overhead)
		}
		out = out[header+n:]
	}
	return sizes
}

// tapped is a meeting whose protected records are measured.
func tapped(t *testing.T, datagram bool, version uint16, client, server *Config) (m *meeting, most map[*Engine]int) {
	m = newMeeting(t, datagram, client, server)
	most = map[*Engine]int{}
	m.tap = func(from *Engine, out []byte) {
		for _, size := range recordSizes(out, datagram, version) {
			most[from] = max(most[from], size)
		}
	}
	return m, most
}

// gcm makes the suites those that recordSizes knows.
func gcm(configs ...*Config) {
	for _, c := range configs {
		c.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	}
}

// sendMost sends as much data as fits in one record, and over a stream more.
func (m *meeting) sendMost(from *Engine) {
	m.t.Helper()
	n := from.MaxData()
	if !from.mode.IsDTLS() {
		n = 3*n + 1
	}
	out, err := from.Seal(nil, make([]byte, n))
	if err != nil {
		m.t.Fatal(err)
	}
	m.tap(from, out)
	to := m.server
	if from == m.server {
		to = m.client
	}
	if err := m.open(to, &out); err != nil {
		m.t.Fatal(err)
	}
}

// TestRecordLimits: both sides respect the limits of the other on every protected record:
// flights with certificates of both, tickets, data and key updates.
func TestRecordLimits(t *testing.T) {
	type end struct{ size, length, own int } // RecordSizeLimit, MaxFragmentLength, MaxRecordData
	for _, test := range []struct {
		name           string
		client, server end
	}{
		{"no limits", end{}, end{}},
		{"the least", end{size: 64}, end{size: 64}},
		{"of the client", end{size: 300}, end{}},
		{"of the server", end{}, end{size: 300}},
		{"of each", end{size: 200}, end{size: 1000}},
		{"the greatest", end{size: 16385}, end{size: 16385}},
		{"the greatest of TLS 1.2", end{size: 16384}, end{size: 16384}},
		{"a fragment length of 512", end{length: 512}, end{}},
		{"a fragment length of 1024", end{length: 1024}, end{}},
		{"a fragment length of 2048", end{length: 2048}, end{}},
		{"a fragment length of 4096", end{length: 4096}, end{}},
		{"both extensions", end{size: 700, length: 512}, end{}},
		{"our own below the peer's", end{own: 512}, end{size: 600}},
		{"our own above the peer's", end{own: 600}, end{size: 512}},
	} {
		fourModes(t, func(t *testing.T, datagram bool, version uint16) {
			typ := int(version - tls.VersionTLS12) // TLS 1.3 counts the content type
			client, server, _ := sessionConfigs(t, version)
			gcm(client, server)
			savedMutual(client, server)
			server.Tickets = 4
			client.RecordSizeLimit, client.MaxFragmentLength, client.MaxRecordData = test.client.size, test.client.length, test.client.own
			server.RecordSizeLimit, server.MaxRecordData = test.server.size, test.server.own
			m, most := tapped(t, datagram, version, client, server)
			m.handshake()
			for _, e := range []*Engine{m.client, m.server} {
				if version == tls.VersionTLS13 {
					if err := e.KeyUpdate(UpdateRequested); err != nil {
						t.Fatal(err)
					}
				}
				if err := m.run(); err != nil {
					t.Fatal(err)
				}
				m.sendMost(e)
			}
			for _, side := range []struct {
				e         *Engine
				own, peer end
			}{{m.client, test.client, test.server}, {m.server, test.server, test.client}} {
				content := 1 << 14
				switch {
				case side.peer.size > 0:
					content = min(content, side.peer.size-typ)
				case test.client.length > 0 && test.client.size == 0:
					content = test.client.length
				}
				if side.own.own > 0 && !datagram {
					content = min(content, side.own.own)
				}
				if got := side.e.MaxData(); got != content {
					t.Errorf("%s: %v: MaxData is %d, want %d", test.name, side.e.mode, got, content)
				}
				if got, want := most[side.e], content+typ; got != want {
					t.Errorf("%s: %v: the largest record has %d bytes, want %d", test.name, side.e.mode, got, want)
				}
			}
		})
	}
}

// TestRecordOverflow: a record above our limit is a record_overflow, and one of the limit
// is not, in each direction.
func TestRecordOverflow(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, test := range []struct {
			name  string
			set   func(client, server *Config)
			limit int // of the content
		}{
			{"size", func(c, s *Config) { c.RecordSizeLimit, s.RecordSizeLimit = 100, 100 }, 100 - int(version-tls.VersionTLS12)},
			{"fragment length", func(c, _ *Config) { c.MaxFragmentLength = 512 }, 512},
		} {
			for _, byServer := range []bool{false, true} {
				for _, kept := range []bool{false, true} {
					client, server, now := sessionConfigs(t, version)
					test.set(client, server)
					m := newMeeting(t, datagram, client, server)
					m.settle(now)
					from, to := m.client, m.server
					if byServer {
						from, to = to, from
					}
					if kept {
						to = moved(t, to)
					}
					from.carrier.LimitRecords(0, 0) // a peer that knows no limit
					for extra := range 2 {
						out, err := from.Seal(nil, make([]byte, test.limit+extra))
						if err != nil {
							t.Fatal(err)
						}
						o, err := to.Open(out)
						if extra == 0 && (err != nil || len(o.Data) != test.limit) {
							t.Errorf("%s, to %v, moved %v: %d bytes: %v", test.name, to.mode, kept, test.limit, err)
						}
						if extra == 1 && !isAlert(err, AlertRecordOverflow) {
							t.Errorf("%s, to %v, moved %v: %d bytes: %v", test.name, to.mode, kept, test.limit+1, err)
						}
					}
				}
			}
		}
	})
}

func isAlert(err error, want Alert) bool {
	var a *AlertError
	return errors.As(err, &a) && a.Alert == want
}

// moved exports an engine, and imports it.
func moved(t *testing.T, e *Engine) *Engine {
	t.Helper()
	if d, ok := e.Deadline(); ok {
		t.Fatalf("it waits until %v", d)
	}
	cfg := e.plan.cfg.Clone()
	before := e.MaxData()
	state, err := e.Export(nil, plainAEAD{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.RecordSizeLimit, cfg.MaxFragmentLength = 0, 0 // what was negotiated stays
	again, err := ImportEngine(cfg, state, plainAEAD{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after := again.MaxData(); after != before {
		t.Errorf("%v: MaxData was %d, and is %d after a move", e.mode, before, after)
	}
	return again
}

// TestLimitState: what a ConnectionState says, and that a resumed session does not carry a
// size limit over, but keeps the fragment length of TLS 1.2.
func TestLimitState(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		greatest := 16384 + int(version-tls.VersionTLS12)
		client, server, now := sessionConfigs(t, version)
		client.RecordSizeLimit = 300
		connect := func() *meeting {
			m := newMeeting(t, datagram, client, server)
			m.settle(now)
			return m
		}
		check := func(m *meeting, when string, resumed bool, peer, own, length int) {
			t.Helper()
			c, s := m.client.State(), m.server.State()
			if c.PeerRecordSizeLimit != peer || s.PeerRecordSizeLimit != own || c.MaxFragmentLength != length || s.MaxFragmentLength != length || c.DidResume != resumed {
				t.Errorf("%s: the server's limit %d, the client's %d, fragments %d and %d, resumed %v", when,
					c.PeerRecordSizeLimit, s.PeerRecordSizeLimit, c.MaxFragmentLength, s.MaxFragmentLength, c.DidResume)
			}
		}
		check(connect(), "the first", false, greatest, 300, 0)
		client, cache := client.Clone(), client.SessionCache
		client.RecordSizeLimit = 400
		check(connect(), "another size", true, greatest, 400, 0)
		server = server.Clone()
		server.RecordSizeLimit = 500
		check(connect(), "another size of the server", true, 500, 400, 0)

		// Fragments are none of the session's.
		client = client.Clone()
		client.RecordSizeLimit, client.MaxFragmentLength = 0, 1024
		check(connect(), "a fragment length, after none", version == tls.VersionTLS13, 0, 0, 1024)
		check(connect(), "the same fragment length", true, 0, 0, 1024)
		client = client.Clone()
		client.MaxFragmentLength = 512
		check(connect(), "another fragment length", false, 0, 0, 512)
		client = client.Clone()
		client.MaxFragmentLength, client.SessionCache = 0, cache
		check(connect(), "no fragment length any more", false, 500, greatest, 0)
	})
}

// TestServerForgetsFragments: a server that resumes a session of TLS 1.2 without repeating
// max_fragment_length means that it stays (RFC 6066, Section 4).
func TestServerForgetsFragments(t *testing.T) {
	client, server, now := sessionConfigs(t, tls.VersionTLS12)
	client.MaxFragmentLength = 1024
	newMeeting(t, false, client, server).settle(now)
	m := newMeeting(t, false, client, server)
	if _, err := m.pass(m.client, m.server); err != nil {
		t.Fatal(err)
	}
	out := m.server.Output(nil)
	// The extension is 00 01 00 01 02 in the ServerHello: without it, the lengths shrink.
	at := bytes.Index(out, []byte{0, 1, 0, 1, 2})
	if at < 0 {
		t.Fatalf("no max_fragment_length in %x", out)
	}
	forged := append(bytes.Clone(out[:at]), out[at+5:]...)
	for _, length := range []int{3, 5 + 2, 5 + 4 + 2 + 32 + 1 + int(out[5+4+2+32]) + 3} {
		n := int(forged[length])<<8 | int(forged[length+1]) - 5
		forged[length], forged[length+1] = byte(n>>8), byte(n)
	}
	n := 5 + int(forged[3])<<8 + int(forged[4])
	if _, err := m.client.Open(forged[:n]); err != nil {
		t.Fatal(err)
	}
	if got := m.client.State().MaxFragmentLength; got != 1024 || m.client.MaxData() != 1024 {
		t.Errorf("the fragment length is %d, MaxData %d", got, m.client.MaxData())
	}
}

// TestLimitsAndEarlyData: early data may be larger than the server's limit, which the client
// does not know yet, and what the server answers is not larger than the client's.
func TestLimitsAndEarlyData(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		client, server, now := sessionConfigs(t, tls.VersionTLS13)
		gcm(client, server)
		client.EarlyData, server.MaxEarlyData = true, 10_000
		client.RecordSizeLimit, server.RecordSizeLimit = 100, 100
		newMeeting(t, datagram, client, server).settle(now)
		m, most := tapped(t, datagram, tls.VersionTLS13, client, server)
		early := bytes.Repeat([]byte("early"), 200)
		m.client.HasOutput() // starts the handshake
		if n := m.client.MaxData(); n != 1<<14 {
			t.Errorf("datagrams %v: a client knows a limit of %d too early", datagram, n)
		}
		if err := m.sendEarly(string(early)); err != nil {
			t.Fatal(err)
		}
		m.settle(now)
		if !m.server.State().EarlyDataAccepted || !bytes.Equal(m.got.early, early) {
			t.Errorf("datagrams %v: early data: accepted %v, %d bytes", datagram, m.server.State().EarlyDataAccepted, len(m.got.early))
		}
		if most[m.server] != 100 {
			t.Errorf("datagrams %v: the server sends records of %d bytes", datagram, most[m.server])
		}
		if n := m.client.MaxData(); n != 99 {
			t.Errorf("datagrams %v: the client's limit is %d", datagram, n)
		}
		m.client.carrier.LimitRecords(0, 0) // now it should know better
		out, err := m.client.Seal(nil, make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = m.server.Open(out); !isAlert(err, AlertRecordOverflow) {
			t.Errorf("datagrams %v: a record of 101 bytes after early data: %v", datagram, err)
		}
	}
}

// TestRejectedEarlyDataAboveLimit: a server skips early data that is larger than its limit.
func TestRejectedEarlyDataAboveLimit(t *testing.T) {
	client, server, now := sessionConfigs(t, tls.VersionTLS13)
	client.EarlyData, server.MaxEarlyData = true, 10_000
	server.RecordSizeLimit = 100
	newMeeting(t, false, client, server).settle(now)
	server = server.Clone()
	server.MaxEarlyData = 0
	m := newMeeting(t, false, client, server)
	if err := m.sendEarly(string(make([]byte, 5000))); err != nil {
		t.Fatal(err)
	}
	m.settle(now)
	if s := m.client.State(); s.EarlyDataAccepted || !s.DidResume {
		t.Errorf("accepted %v, resumed %v", s.EarlyDataAccepted, s.DidResume)
	}
}

// TestLimitsAfterRetry: a HelloRetryRequest changes nothing.
func TestLimitsAfterRetry(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		client, server := configs(t)
		client.KeyShares = []tls.CurveID{}
		client.RecordSizeLimit, server.RecordSizeLimit = 200, 300
		m := newMeeting(t, datagram, client, server)
		m.handshake()
		if c, s := m.client.State(), m.server.State(); !c.HelloRetryRequest || c.PeerRecordSizeLimit != 300 || s.PeerRecordSizeLimit != 200 {
			t.Errorf("datagrams %v: retried %v, limits %d and %d", datagram, c.HelloRetryRequest, c.PeerRecordSizeLimit, s.PeerRecordSizeLimit)
		}
	}
}

// TestLimitsWithCIDs: a record with a connection ID has its content type inside.
func TestLimitsWithCIDs(t *testing.T) {
	for _, version := range versions {
		client, server, now := sessionConfigs(t, version)
		gcm(client, server)
		savedCIDs(client, server)
		client.RecordSizeLimit, server.RecordSizeLimit = 100, 100
		m := newMeeting(t, true, client, server)
		m.settle(now)
		out, err := m.server.Seal(nil, make([]byte, m.server.MaxData()))
		if err != nil || m.server.MaxData() != 99 {
			t.Fatalf("%s: MaxData is %d: %v", tls.VersionName(version), m.server.MaxData(), err)
		}
		if err := m.give(m.client, out); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// TestBoundDataAndLimit: the smaller of the MTU and the limit counts.
func TestBoundDataAndLimit(t *testing.T) {
	for _, test := range []struct{ mtu, limit, want int }{{600, 300, 299}, {300, 600, 300 - 5 - 17}} {
		client, server := configs(t)
		gcm(client, server)
		client.DTLS.BoundData, client.DTLS.MTU, server.RecordSizeLimit = true, test.mtu, test.limit
		m := newMeeting(t, true, client, server)
		m.handshake()
		if n := m.client.MaxData(); n != test.want {
			t.Errorf("MTU %d, limit %d: MaxData is %d, want %d", test.mtu, test.limit, n, test.want)
		}
	}
}

// TestLossWithSmallRecords: flights of many small records get through.
func TestLossWithSmallRecords(t *testing.T) {
	for _, version := range versions {
		for n := range 20 {
			client, server, now := sessionConfigs(t, version)
			savedMutual(client, server)
			client.RecordSizeLimit, server.RecordSizeLimit = 64, 64
			server.DTLS.TrustAddress = true
			m := meet(t, [2]Mode{DTLSClient, DTLSServer}, now, client, server)
			count := 0
			m.lose = func() bool { count++; return count%(n+3) == 0 }
			if err := m.wait(); err != nil {
				t.Errorf("%s, one lost of %d: %v", tls.VersionName(version), n+3, err)
			}
		}
	}
}

// TestLimitsInConfig: what a Config refuses.
func TestLimitsInConfig(t *testing.T) {
	for _, test := range []struct {
		cfg  *Config
		want string
	}{
		{&Config{RecordSizeLimit: 63}, "Config.RecordSizeLimit: 63 is not from 64 to 16385"},
		{&Config{RecordSizeLimit: -1}, "Config.RecordSizeLimit: -1 is not from 64 to 16385"},
		{&Config{RecordSizeLimit: 16386}, "Config.RecordSizeLimit: 16386 is not from 64 to 16385"},
		{&Config{RecordSizeLimit: 1<<16 + 64}, "Config.RecordSizeLimit: 65600 is not from 64 to 16385"},
		{&Config{MaxFragmentLength: 256}, "Config.MaxFragmentLength: 256 is none of 512, 1024, 2048 and 4096"},
		{&Config{MaxFragmentLength: 8192}, "Config.MaxFragmentLength: 8192 is none of 512, 1024, 2048 and 4096"},
		{&Config{MaxFragmentLength: 1}, "Config.MaxFragmentLength: 1 is none of 512, 1024, 2048 and 4096"},
		{&Config{RecordSizeLimit: 64}, ""},
		{&Config{RecordSizeLimit: 16385}, ""},
	} {
		_, err := NewEngine(TLSServer, test.cfg)
		if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && got != "hermetic: "+test.want {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}
