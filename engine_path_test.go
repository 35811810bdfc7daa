package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/poison"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// The client's addresses.
var (
	pathHome = Path{Remote: netip.MustParseAddrPort("192.0.2.1:4433")}
	pathAway = Path{Remote: netip.MustParseAddrPort("192.0.2.2:4433")}
)

// roads is a connection whose mover changes its address, and whose watcher checks that.
type roads struct {
	*meeting
	mover, watcher *Engine
}

func newRoads(t *testing.T, version uint16, mover Mode, edit func(client, server *Config)) *roads {
	t.Helper()
	m := newNetwork(t, func(client, server *Config) {
		client.MaxVersion = version
		for _, cfg := range []*Config{client, server} {
			cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, 4
		}
		if edit != nil {
			edit(client, server)
		}
	})
	r := &roads{m, m.client, m.server}
	if mover == DTLSServer {
		r.mover, r.watcher = m.server, m.client
	}
	if err := r.watcher.SetPath(pathHome); err != nil {
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Fatal(err)
	}
	return r
}

// arrives gives the watcher a datagram that comes on a path.
func (r *roads) arrives(from Path, datagram []byte) Opened {
	r.t.Helper()
	o, err := r.watcher.OpenFrom(from, bytes.Clone(datagram))
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// speaks has the mover say something from a path.
func (r *roads) speaks(from Path) Opened {
	r.t.Helper()
	d, err := r.mover.Seal(nil, []byte("words"))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.arrives(from, d)
}

// passes gives the mover what the watcher sends on a path, and the watcher the answers.
func (r *roads) passes(on Path) (kinds []Kind) {
	r.t.Helper()
	for r.watcher.HasOutput() {
		d, to := r.watcher.OutputTo(nil)
		if to != on {
			r.t.Errorf("a datagram goes to %v, not to %v", to.Remote, on.Remote)
		}
		if err := r.give(r.mover, d); err != nil {
			r.t.Fatal(err)
		}
		for r.mover.HasOutput() {
			if d := r.mover.Output(nil); len(d) > 0 {
				kinds = append(kinds, r.arrives(on, d).Kind)
			}
		}
	}
	return kinds
}

// TestPathChanges: a peer that has moved proves it, whichever side it is; until then nothing
// but the challenge goes to its new address.
func TestPathChanges(t *testing.T) {
	for _, version := range versions {
		for _, mover := range []Mode{DTLSClient, DTLSServer} {
			t.Run(tls.VersionName(version)+", the "+mover.String()+" moves", func(t *testing.T) {
				r := newRoads(t, version, mover, nil)
				for _, e := range []*Engine{r.mover, r.watcher} {
					if !e.State().PathValidation {
						t.Fatalf("the %v has not agreed on checks", e.mode)
					}
				}
				if o := r.speaks(pathHome); o.Kind != KindData || string(o.Data) != "words" {
					t.Errorf("from where it was: %v %q", o.Kind, o.Data)
				}
				if o := r.speaks(pathAway); o.Kind != KindData || string(o.Data) != "words" {
					t.Errorf("from elsewhere: %v %q", o.Kind, o.Data)
				}
				if p, ok := r.watcher.NewPath(); !ok || p != pathAway || r.watcher.Path() != pathHome {
					t.Errorf("the new path is %v, %v; the current one %v", p, ok, r.watcher.Path())
				}
				if _, err := r.watcher.Export(nil, stateAEAD(t, 1)); !errors.Is(err, ErrInvalidOperation) {
					t.Errorf("Export during a check: %v", err)
				}
				if err := r.watcher.Compact(); !errors.Is(err, ErrInvalidOperation) {
					t.Errorf("Compact during a check: %v", err)
				}
				if kinds := r.passes(pathAway); len(kinds) != 1 || kinds[0] != KindPathChanged {
					t.Errorf("the answer means %v", kinds)
				}
				if _, ok := r.watcher.NewPath(); ok || r.watcher.Path() != pathAway {
					t.Errorf("the path is %v; another is checked: %v", r.watcher.Path(), ok)
				}
				if _, ok := r.watcher.Deadline(); ok {
					t.Error("there is a deadline")
				}
				if err := r.watcher.Compact(); err != nil {
					t.Errorf("Compact after it: %v", err)
				}
				if r.speaks(pathHome); len(r.passes(pathHome)) != 1 || r.watcher.Path() != pathHome {
					t.Errorf("back again, after Compact: %v", r.watcher.Path())
				}
			})
		}
	}
}

// TestPathUntold: a caller that tells no paths gets a hint, and no check.
func TestPathUntold(t *testing.T) {
	for _, version := range versions {
		r := newRoads(t, version, DTLSClient, nil)
		d, err := r.mover.Seal(nil, []byte("words"))
		if err != nil {
			t.Fatal(err)
		}
		if o, err := r.watcher.Open(d); err != nil || o.Kind != KindNewPath || r.watcher.HasOutput() {
			t.Errorf("Open: %v, %v", o.Kind, err)
		}
	}
}

// TestPathNegotiation: checks need connection IDs, and both sides. Without them the caller
// decides.
func TestPathNegotiation(t *testing.T) {
	for _, version := range versions {
		for _, test := range []struct {
			name string
			edit func(client, server *Config)
			want bool
		}{
			{"by default", nil, true},
			{"enhanced and basic", func(c, _ *Config) { c.DTLS.PathValidation = PathValidationEnhanced }, true},
			{"the client does not", func(c, _ *Config) { c.DTLS.PathValidation = PathValidationNone }, false},
			{"the server does not", func(_, s *Config) { s.DTLS.PathValidation = PathValidationNone }, false},
			{"the client asks for no ID", func(c, _ *Config) { c.DTLS.ConnectionIDLength = 0 }, true},
			{"no connection IDs", func(c, _ *Config) { c.DTLS.ConnectionIDs, c.DTLS.ConnectionIDLength = false, 0 }, false},
			{"no connection IDs of the server", func(_, s *Config) { s.DTLS.ConnectionIDs, s.DTLS.ConnectionIDLength = false, 0 }, false},
			{"with a HelloRetryRequest", func(_, s *Config) { s.CurvePreferences = []tls.CurveID{tls.CurveP521} }, true},
		} {
			r := newRoads(t, version, DTLSClient, test.edit)
			if c, s := r.client.State().PathValidation, r.server.State().PathValidation; c != test.want || s != test.want {
				t.Errorf("%s, %s: client %v, server %v", tls.VersionName(version), test.name, c, s)
			}
			o := r.speaks(pathAway)
			_, checks := r.watcher.NewPath()
			local, _ := r.watcher.ConnectionIDs()
			hint := KindData
			if !test.want && len(local) > 0 {
				hint = KindNewPath
			}
			if o.Kind != hint || checks != test.want {
				t.Errorf("%s, %s: kind %v; a check: %v", tls.VersionName(version), test.name, o.Kind, checks)
			}
			if o := r.speaks(pathHome); o.Kind != KindData {
				t.Errorf("%s, %s: from the current path: %v", tls.VersionName(version), test.name, o.Kind)
			}
			if hint == KindNewPath {
				if err := r.watcher.SetPath(pathAway); err != nil {
					t.Fatal(err)
				}
				if o := r.speaks(pathAway); o.Kind != KindData || r.watcher.Path() != pathAway {
					t.Errorf("%s, %s: after SetPath: %v", tls.VersionName(version), test.name, o.Kind)
				}
			}
		}
	}
}

// TestPathOfServer: the first datagram of a server's handshake sets its path, and no later
// one.
func TestPathOfServer(t *testing.T) {
	for _, version := range versions {
		m := newNetwork(t, func(client, _ *Config) { client.MaxVersion = version })
		paths := []Path{pathHome, pathAway}
		for i := 0; !m.server.HandshakeComplete(); i++ {
			if i == 10 {
				t.Fatal("it does not end")
			}
			for m.client.HasOutput() {
				for d := m.client.Output(nil); len(d) > 0; {
					o, err := m.server.OpenFrom(paths[min(i, 1)], d)
					if err != nil {
						t.Fatal(err)
					}
					d = d[o.N:]
				}
			}
			for m.server.HasOutput() {
				d, to := m.server.OutputTo(nil)
				if to != pathHome {
					t.Errorf("%s: a datagram of the handshake goes to %v", tls.VersionName(version), to.Remote)
				}
				if err := m.give(m.client, d); err != nil {
					t.Fatal(err)
				}
			}
		}
		if m.server.Path() != pathHome || m.client.Path() != (Path{}) {
			t.Errorf("%s: the paths are %v and %v", tls.VersionName(version), m.server.Path(), m.client.Path())
		}
	}
}

// TestPathMoved: an imported engine still checks paths, and trusts none that nobody has told.
func TestPathMoved(t *testing.T) {
	for _, version := range versions {
		for _, told := range []bool{false, true} {
			r := newRoads(t, version, DTLSClient, nil)
			r.now = r.now.Add(time.Hour)
			if err := r.watcher.Expire(); err != nil {
				t.Fatal(err)
			}
			r.speaks(pathHome)
			aead := stateAEAD(t, 1)
			state, err := r.watcher.Export(nil, aead)
			if err != nil {
				t.Fatal(err)
			}
			if r.watcher, err = ImportEngine(r.server.plan.cfg, state, aead, nil); err != nil {
				t.Fatal(err)
			}
			if !r.watcher.State().PathValidation {
				t.Fatal("the agreement is lost")
			}
			current := Path{}
			if told {
				current = pathHome
				r.watcher.SetPath(pathHome)
			}
			r.speaks(pathAway)
			if p, ok := r.watcher.NewPath(); !ok || p != pathAway || r.watcher.Path() != current {
				t.Errorf("%s, told %v: %v, %v; the current one %v", tls.VersionName(version), told, p, ok, r.watcher.Path())
			}
			if kinds := r.passes(pathAway); len(kinds) != 1 || kinds[0] != KindPathChanged {
				t.Errorf("%s, told %v: the answer means %v", tls.VersionName(version), told, kinds)
			}
		}
	}
}

// TestPathConnectionID: on a new path the peer's records get a new connection ID, if there is a
// spare one.
func TestPathConnectionID(t *testing.T) {
	r := newRoads(t, tls.VersionTLS13, DTLSClient, nil)
	if err := r.client.OfferConnectionIDs(1, ConnectionIDSpare); err != nil {
		t.Fatal(err)
	}
	r.settle(r.clock)
	for _, change := range []bool{true, false} {
		_, before := r.server.ConnectionIDs()
		to := pathAway
		if r.server.Path() == pathAway {
			to = pathHome
		}
		r.speaks(to)
		if r.passes(to); r.server.Path() != to {
			t.Fatalf("the path is %v", r.server.Path())
		}
		if _, after := r.server.ConnectionIDs(); bytes.Equal(before, after) == change {
			t.Errorf("the ID was %x, and is %x", before, after)
		}
	}
}

// TestPathEnhanced: Config.DTLS decides which check it is, and how long it takes.
func TestPathEnhanced(t *testing.T) {
	for _, version := range versions {
		r := newRoads(t, version, DTLSClient, func(_, server *Config) {
			server.DTLS.PathValidation, server.DTLS.PathTimeout = PathValidationEnhanced, 3*time.Second
		})
		r.speaks(pathAway)
		for range 3 {
			if d, to := r.server.OutputTo(nil); len(d) == 0 || to != pathHome {
				t.Fatalf("%s: %d bytes to %v", tls.VersionName(version), len(d), to)
			}
			if at, ok := r.server.Deadline(); !ok || at.Sub(r.now) != time.Second {
				t.Fatalf("%s: the deadline is in %v, %v", tls.VersionName(version), at.Sub(r.now), ok)
			}
			r.now = r.now.Add(time.Second)
			if err := r.server.Expire(); err != nil {
				t.Fatal(err)
			}
		}
		if kinds := r.passes(pathAway); len(kinds) != 1 || kinds[0] != KindPathChanged {
			t.Errorf("%s: the answer means %v", tls.VersionName(version), kinds)
		}
	}
}

// TestPathLifetime: Reset, failure and Close forget paths and checks.
func TestPathLifetime(t *testing.T) {
	r := newRoads(t, tls.VersionTLS13, DTLSClient, nil)
	r.speaks(pathAway)
	r.watcher.Close()
	if _, ok := r.watcher.NewPath(); ok {
		t.Error("a check after Close")
	}
	r = newRoads(t, tls.VersionTLS13, DTLSClient, nil)
	r.speaks(pathAway)
	r.mover.fail(alert.New(alert.InternalError, "a fault"))
	if _, err := r.watcher.OpenFrom(pathHome, r.mover.Output(nil)); err == nil {
		t.Fatal("no alert")
	}
	if _, ok := r.watcher.NewPath(); ok || r.watcher.HasOutput() {
		t.Error("a check after a failure")
	}
	r.watcher.Reset()
	if r.watcher.Path() != (Path{}) || r.watcher.State().PathValidation {
		t.Errorf("the path after Reset is %v", r.watcher.Path())
	}
	// TLS has none of it.
	m := newNetwork(t, nil)
	e, err := NewEngine(TLSServer, m.server.plan.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SetPath(pathHome); !errors.Is(err, ErrInvalidOperation) || e.Path() != (Path{}) {
		t.Errorf("SetPath in TLS: %v", err)
	}
	if o, err := e.OpenFrom(pathHome, nil); err != nil || o.N != 0 {
		t.Errorf("OpenFrom in TLS: %v", err)
	}
	if d, to := e.OutputTo(nil); d != nil || to != (Path{}) {
		t.Errorf("OutputTo in TLS: %v", to)
	}
}

// TestPathAllocations: telling paths costs no allocation per record.
func TestPathAllocations(t *testing.T) {
	if poison.Copies {
		t.Skip("in a build with poison each result is a copy")
	}
	r := newRoads(t, tls.VersionTLS13, DTLSClient, nil)
	r.speaks(pathHome)
	var room, got [100]byte
	words := []byte("words")
	n := testing.AllocsPerRun(100, func() {
		d, err := r.mover.Seal(room[:0], words)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := r.watcher.OpenFrom(pathHome, d); err != nil || o.Kind != KindData {
			t.Fatal(o.Kind, err)
		}
		if d, _ := r.watcher.OutputTo(got[:0]); len(d) > 0 {
			t.Fatal("output")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPathHellos: which hellos have rrc: RFC 9853, Section 3.
func TestPathHellos(t *testing.T) {
	has := func(edit func(client, server *Config)) (offered bool) {
		m := newNetwork(t, edit)
		var hello wire.ClientHello
		d := m.client.Output(nil)
		if err := hello.ParseStart(d[25:]); err != nil {
			t.Fatal(err)
		}
		if hello.Has.Has(wire.ExtRRC) && !hello.Has.Has(wire.ExtConnectionID) {
			t.Error("rrc without connection_id")
		}
		return hello.Has.Has(wire.ExtRRC)
	}
	if has(nil) {
		t.Error("offered without connection IDs")
	}
	if !has(func(c, _ *Config) { c.DTLS.ConnectionIDs = true }) {
		t.Error("not offered with connection IDs")
	}
	if has(func(c, _ *Config) { c.DTLS.ConnectionIDs, c.DTLS.PathValidation = true, PathValidationNone }) {
		t.Error("offered with PathValidationNone")
	}
}
