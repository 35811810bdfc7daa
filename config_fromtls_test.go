package hermetic

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

//lint:file-ignore SA1019 FromTLS is asked about deprecated fields too

// A takeover is a client and a server whose configurations are those of crypto/tls.
type takeover struct {
	testing.TB
	ca             *pkitest.Authority
	leaf           tls.Certificate
	client, server *tls.Config
}

func newTakeover(t testing.TB) *takeover {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	return &takeover{t, ca, leaf,
		&tls.Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost"},
		&tls.Config{Time: atNow, Certificates: []tls.Certificate{leaf}}}
}

// ours are the converted configurations.
func (o *takeover) ours() (client, server *Config) {
	o.Helper()
	client, err := FromTLS(o.client)
	if err != nil {
		o.Fatal(err)
	}
	server, err = FromTLS(o.server)
	if err != nil {
		o.Fatal(err)
	}
	return client, server
}

// meet performs a handshake, with new conversions.
func (o *takeover) meet() *meeting {
	o.Helper()
	client, server := o.ours()
	m := newMeeting(o, false, client, server)
	m.handshake()
	return m
}

// fails performs a handshake, which must fail with that text at the client or the server.
func (o *takeover) fails(want string) {
	o.Helper()
	client, server := o.ours()
	clientErr, serverErr := newMeeting(o, false, client, server).pump()
	if text := fmt.Sprint(clientErr, " / ", serverErr); !strings.Contains(text, want) {
		o.Errorf("the errors are %s, want %q", text, want)
	}
}

// serves performs a handshake, and checks whose certificate the server sends.
func (o *takeover) serves(name string, want tls.Certificate) {
	o.Helper()
	o.client.ServerName = name
	if got := o.meet().client.State().PeerCertificates; !bytes.Equal(got[0].Raw, want.Certificate[0]) {
		o.Errorf("for %q the server shows the certificate of %q", name, got[0].DNSNames)
	}
}

// resumes performs two handshakes between the same two Configs, and reports whether the second
// one is a resumption.
func (o *takeover) resumes() bool {
	o.Helper()
	client, server := o.ours()
	var m *meeting
	for range 2 {
		m = newMeeting(o, false, client, server)
		m.handshake()
	}
	if a, b := m.client.State().DidResume, m.server.State().DidResume; a != b {
		o.Errorf("resumed: the client says %t and the server %t", a, b)
	}
	return m.client.State().DidResume
}

// tlsFields has the behavior of each field of tls.Config that is taken over.
var tlsFields = map[string]func(o *takeover){
	"Rand": func(o *takeover) {
		o.server.Rand = failingReader{}
		o.fails("no randomness")
	},
	"Time": func(o *takeover) {
		o.client.Time = func() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }
		o.fails("expired")
	},
	"Certificates": func(o *takeover) {
		leaf := o.ca.Leaf(o, pkitest.Options{})
		leaf.OCSPStaple, leaf.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("sct")}
		leaf.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}
		leaf.Leaf = nil
		o.server.Certificates = []tls.Certificate{leaf}
		s := o.meet().client.State()
		if string(s.OCSPResponse) != "staple" || len(s.SignedCertificateTimestamps) != 1 || s.PeerSignatureScheme != tls.ECDSAWithP256AndSHA256 {
			o.Errorf("OCSP %q, SCTs %q, %v", s.OCSPResponse, s.SignedCertificateTimestamps, s.PeerSignatureScheme)
		}
		o.server.Certificates = nil
		o.fails("has no certificate")
	},
	"NameToCertificate": func(o *takeover) {
		named, wild := o.ca.Leaf(o, pkitest.Options{Name: "example.com"}), o.ca.Leaf(o, pkitest.Options{Name: "*.example.com"})
		o.server.Certificates = []tls.Certificate{o.leaf, named}
		o.server.NameToCertificate = map[string]*tls.Certificate{"example.com": &named, "*.example.com": &wild}
		o.serves("EXAMPLE.com", named)
		o.serves("www.example.com", wild)
		o.serves("localhost", o.leaf)
		o.server.NameToCertificate = nil
		o.server.BuildNameToCertificate()
		o.serves("example.com", named)
	},
	"GetCertificate": func(o *takeover) {
		other := o.ca.Leaf(o, pkitest.Options{})
		asked, fault := 0, error(nil)
		o.server.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if asked++; h.ServerName != "localhost" || h.SupportsCertificate(&other) != nil || h.Context().Err() != nil {
				o.Errorf("the ClientHelloInfo is %+v", h)
			}
			if fault == nil && asked > 1 {
				return nil, nil
			}
			return &other, fault
		}
		o.serves("localhost", other)
		o.serves("localhost", o.leaf) // nil leaves the choice to Certificates
		o.client.InsecureSkipVerify = true
		o.serves("", o.leaf) // without a name it is not asked
		if asked != 2 {
			o.Errorf("it was asked %d times", asked)
		}
		o.client.ServerName, o.server.Certificates, fault = "localhost", nil, errors.New("no vault")
		o.fails("no vault")
	},
	"GetClientCertificate": func(o *takeover) {
		o.server.ClientAuth, o.server.ClientCAs = tls.RequireAndVerifyClientCert, o.ca.Pool()
		o.client.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if r.Version != tls.VersionTLS13 || len(r.AcceptableCAs) != 1 || r.SupportsCertificate(&o.leaf) != nil || r.Context().Err() != nil {
				o.Errorf("the CertificateRequestInfo is %+v", r)
			}
			return &o.leaf, nil
		}
		if len(o.meet().server.State().PeerCertificates) == 0 {
			o.Error("the client has shown nothing")
		}
	},
	"GetConfigForClient": func(o *takeover) {
		inner := o.server.Clone()
		inner.NextProtos = []string{"inner"}
		o.client.NextProtos = []string{"inner"}
		o.server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if !slices.Equal(h.SupportedProtos, []string{"inner"}) {
				o.Errorf("the client offers %q", h.SupportedProtos)
			}
			return inner, nil
		}
		if got := o.meet().server.State().NegotiatedProtocol; got != "inner" {
			o.Errorf("negotiated %q", got)
		}
		inner.Renegotiation = tls.RenegotiateFreelyAsClient
		o.fails("tls.Config.Renegotiation: it cannot be taken over")
		inner = nil
		o.meet()
	},
	"VerifyPeerCertificate": func(o *takeover) {
		o.client.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			return fmt.Errorf("%d certificates, %d chains", len(raw), len(chains))
		}
		o.fails("1 certificates, 1 chains")
	},
	"VerifyConnection": func(o *takeover) {
		o.client.InsecureSkipVerify = true
		o.client.VerifyConnection = func(s tls.ConnectionState) error {
			return fmt.Errorf("%s sent %d certificates", s.ServerName, len(s.PeerCertificates))
		}
		o.fails("localhost sent 1 certificates")
	},
	"RootCAs": func(o *takeover) {
		o.client.RootCAs = x509.NewCertPool()
		o.fails("unknown authority")
	},
	"NextProtos": func(o *takeover) {
		o.client.NextProtos, o.server.NextProtos = []string{"a", "b", "a"}, []string{"b"}
		if got := o.meet().client.State().NegotiatedProtocol; got != "b" {
			o.Errorf("negotiated %q", got)
		}
	},
	"ServerName": func(o *takeover) {
		o.client.ServerName = "example.com"
		o.fails("valid for localhost")
	},
	"ClientAuth":         clientAuth,
	"ClientCAs":          clientAuth,
	"InsecureSkipVerify": func(o *takeover) { o.client.RootCAs, o.client.InsecureSkipVerify = nil, true; o.meet() },
	"CipherSuites": func(o *takeover) {
		o.client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		if got := o.meet().client.State().Version; got != tls.VersionTLS13 {
			o.Errorf("the list of suites, which is for 1.2, leaves %s", tls.VersionName(got))
		}
		o.client.MaxVersion = tls.VersionTLS12
		if got := o.meet().client.State().CipherSuite; got != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
			o.Errorf("the suite is %s", CipherSuiteName(got))
		}
	},
	"PreferServerCipherSuites": func(o *takeover) { o.server.PreferServerCipherSuites = true; o.meet() }, // crypto/tls ignores it
	"SessionTicketsDisabled": func(o *takeover) {
		o.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		o.server.SessionTicketsDisabled = true
		if o.resumes() {
			o.Error("the server has sent tickets")
		}
		o.server.SessionTicketsDisabled, o.client.SessionTicketsDisabled = false, true
		if o.resumes() {
			o.Error("the client has used a ticket")
		}
	},
	"SessionTicketKey": func(o *takeover) {
		o.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		o.server.SessionTicketKey = [32]byte{1}
		other := o.server.Clone()
		o.meet()
		if o.server = other; !o.meet().server.State().DidResume {
			o.Error("another server with the same key does not resume")
		}
		o.server = &tls.Config{Time: atNow, Certificates: other.Certificates}
		if o.meet().server.State().DidResume {
			o.Error("a server without the key resumes")
		}
	},
	"ClientSessionCache": sessionCaches,
	"UnwrapSession":      wrapSessions,
	"WrapSession":        wrapSessions,
	"MinVersion": func(o *takeover) {
		o.client.MaxVersion, o.server.MinVersion = tls.VersionTLS12, tls.VersionTLS13
		o.fails("protocol_version")
		o.server.MinVersion = tls.VersionTLS11
		var fault *ConfigError
		if _, err := FromTLS(o.server); !errors.As(err, &fault) || fault.Field != "MinVersion" {
			o.Errorf("TLS 1.1: %v", err)
		}
	},
	"MaxVersion": func(o *takeover) {
		o.server.MaxVersion = tls.VersionTLS12
		if got := o.meet().client.State().Version; got != tls.VersionTLS12 {
			o.Errorf("the version is %s", tls.VersionName(got))
		}
	},
	"CurvePreferences": func(o *takeover) {
		o.client.CurvePreferences = []tls.CurveID{tls.CurveP384, tls.CurveP384}
		if got := o.meet().client.State().CurveID; got != tls.CurveP384 {
			o.Errorf("the group is %v", got)
		}
		o.client.CurvePreferences = []tls.CurveID{} // means the default
		o.meet()
	},
	"DynamicRecordSizingDisabled": func(o *takeover) { o.server.DynamicRecordSizingDisabled = true; o.meet() }, // records are as large as their data
	"KeyLogWriter": func(o *takeover) {
		var log bytes.Buffer
		o.client.KeyLogWriter = &log
		if o.meet(); !strings.Contains(log.String(), "CLIENT_TRAFFIC_SECRET_0 ") {
			o.Errorf("the log has %q", log.String())
		}
	},
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

// clientAuth: each of the five values means what it does in crypto/tls, for a client that shows
// nothing, one whose certificate verifies, and one whose certificate does not.
func clientAuth(o *takeover) {
	foreign := pkitest.CA(o).Leaf(o, pkitest.Options{})
	o.server.ClientCAs = o.ca.Pool()
	for auth, want := range map[tls.ClientAuthType][3]string{ // with no certificate, a good one, a foreign one
		tls.NoClientCert:               {"", "", ""},
		tls.RequestClientCert:          {"", "", ""},
		tls.RequireAnyClientCert:       {"certificate_required", "", ""},
		tls.VerifyClientCertIfGiven:    {"", "", "unknown authority"},
		tls.RequireAndVerifyClientCert: {"certificate_required", "", "unknown authority"},
	} {
		for i, certs := range [][]tls.Certificate{nil, {o.leaf}, {foreign}} {
			o.server.ClientAuth = auth
			// Whatever authorities the server names, the client sends what it has.
			o.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(certs) == 0 {
					return new(tls.Certificate), nil
				}
				return &certs[0], nil
			}
			if want[i] != "" {
				o.fails(want[i])
				continue
			}
			state := o.meet().server.State()
			if got := len(state.PeerCertificates); (got > 0) != (auth != tls.NoClientCert && i > 0) {
				o.Errorf("%v, client %d: %d certificates", auth, i, got)
			}
		}
	}
}

// storedCache is a cache that keeps what crypto/tls documents how to store: encoded sessions.
type storedCache map[string][2][]byte

func (c storedCache) Get(key string) (*tls.ClientSessionState, bool) {
	stored, ok := c[key]
	if !ok {
		return nil, false
	}
	state, err := tls.ParseSessionState(stored[1])
	if err != nil {
		panic(err)
	}
	s, err := tls.NewResumptionState(stored[0], state)
	return s, err == nil
}

func (c storedCache) Put(key string, s *tls.ClientSessionState) {
	if s == nil {
		delete(c, key)
		return
	}
	ticket, state, err := s.ResumptionState()
	if err != nil {
		panic(err)
	}
	state.Extra = append(state.Extra, []byte("of the application"))
	encoded, err := state.Bytes()
	if err != nil {
		panic(err)
	}
	c[key] = [2][]byte{ticket, encoded}
}

// sessionCaches: sessions are kept in caches of crypto/tls, also by ones that store them.
func sessionCaches(o *takeover) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o.client.MaxVersion = version
		for _, cache := range []tls.ClientSessionCache{tls.NewLRUClientSessionCache(2), storedCache{}} {
			o.client.ClientSessionCache = cache
			if !o.resumes() {
				o.Errorf("%s, %T: the session is not resumed", tls.VersionName(version), cache)
			}
			if stored, ok := cache.(storedCache); ok && (len(stored) != 1 || len(stored["localhost"][0]) == 0) {
				o.Errorf("the cache has %d sessions, of localhost: %q", len(stored), stored["localhost"][0])
			}
		}
	}
	// A session of crypto/tls, and one that is damaged, are like none.
	for _, extra := range []string{"", extraPrefix, extraPrefix + "damaged"} {
		cache := storedCache{"localhost": {[]byte("ticket"), []byte(carrierState)}}
		found, _ := cache.Get("localhost")
		_, state, _ := found.ResumptionState()
		state.Extra = [][]byte{nil, []byte(extra)}
		cache.Put("localhost", found)
		o.client.ClientSessionCache = cache
		if o.meet().client.State().DidResume {
			o.Errorf("a session of %q is resumed", extra)
		}
	}
	// In TLS 1.3 each session is offered once.
	cache := tls.NewLRUClientSessionCache(1)
	o.client.ClientSessionCache = cache
	client, _ := o.ours()
	newMeeting(o, false, client, must(FromTLS(o.server))).handshake()
	if client.SessionCache.Get("tls:localhost") == nil || client.SessionCache.Get("tls:localhost") != nil {
		o.Error("a session of TLS 1.3 is not offered exactly once")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wrapSessions: the callbacks make and open the tickets, or refuse to.
func wrapSessions(o *takeover) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o.client.MaxVersion, o.client.ClientSessionCache = version, tls.NewLRUClientSessionCache(2)
		stored := map[string][]byte{}
		var unwrapErr, wrapErr error
		o.server.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			if cs.Version != version || cs.ServerName != "localhost" {
				o.Errorf("WrapSession: the state is %+v", cs)
			}
			id := fmt.Sprintf("ticket %d", len(stored))
			ss.Extra = append([][]byte{[]byte("mine")}, ss.Extra...)
			stored[id] = must(ss.Bytes())
			return []byte(id), wrapErr
		}
		o.server.UnwrapSession = func(id []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
			if stored[string(id)] == nil {
				return nil, unwrapErr
			}
			return must(tls.ParseSessionState(stored[string(id)])), unwrapErr
		}
		if !o.resumes() {
			o.Errorf("%s: the session is not resumed", tls.VersionName(version))
		}
		clear(stored)
		if o.meet().server.State().DidResume {
			o.Error("a session that UnwrapSession does not know is resumed")
		}
		unwrapErr = errors.New("no store to read")
		o.fails("no store to read")
		clear(stored) // a resumed connection of TLS 1.2 gets no ticket
		unwrapErr, wrapErr = nil, errors.New("no store to write")
		o.fails("no store to write")
	}
}

// TestFromTLS: each field of tls.Config of this Go version is taken over, as a test of its behavior
// shows, or refused by name, so that a new one of a later Go does not pass unseen.
func TestFromTLS(t *testing.T) {
	theirs := reflect.TypeFor[tls.Config]()
	fields := 0
	for i := range theirs.NumField() {
		f := theirs.Field(i)
		if !f.IsExported() {
			continue
		}
		fields++
		t.Run(f.Name, func(t *testing.T) {
			behavior, refused := tlsFields[f.Name], tlsRefused[f.Name]
			if slices.Contains(tlsTaken, f.Name) != (behavior != nil) || (behavior == nil) != (refused != "") {
				t.Fatalf("it is neither taken over and tested, nor refused")
			}
			if behavior != nil {
				behavior(newTakeover(t))
				return
			}
			filled := new(tls.Config)
			fill(reflect.ValueOf(filled).Elem().Field(i))
			var fault *ConfigError
			_, err := FromTLS(filled)
			if !errors.As(err, &fault) || fault.Field != f.Name || !strings.HasSuffix(fault.Reason, refused) || !strings.HasPrefix(err.Error(), "hermetic: tls.Config."+f.Name+": it cannot be taken over: ") {
				t.Errorf("the error is %v", err)
			}
		})
	}
	if fields != len(tlsFields)+len(tlsRefused) {
		t.Errorf("tls.Config has %d fields, and %d are known", fields, len(tlsFields)+len(tlsRefused))
	}
	if _, err := FromTLS(nil); err == nil {
		t.Error("nil is taken over")
	}
	var fault *ConfigError
	if _, err := FromTLS(&tls.Config{NameToCertificate: map[string]*tls.Certificate{"a\n": nil}}); !errors.As(err, &fault) || fault.Field != "NameToCertificate" {
		t.Errorf("a name without a certificate: %v", err)
	}
}

// TestFromTLSWithoutCertificates: a Config of FromTLS that gets its certificates afterwards uses them.
// Without any, it still makes none.
func TestFromTLSWithoutCertificates(t *testing.T) {
	_, own, _ := sessionConfigs(t, tls.VersionTLS13)
	for _, certs := range [][]tls.Certificate{nil, own.Certificates} {
		server, err := FromTLS(new(tls.Config))
		if err != nil {
			t.Fatal(err)
		}
		server = server.Clone()
		server.Certificates = certs
		err = newMeeting(t, false, &Config{InsecureSkipVerify: true}, server).run()
		if certs == nil && !errors.Is(err, errNoCertificates) || certs != nil && err != nil {
			t.Errorf("%d certificates: %v", len(certs), err)
		}
	}
}

// TestFromTLSValues: a value that only crypto/tls has is refused by the name of its field, with what
// to do.
func TestFromTLSValues(t *testing.T) {
	ca := pkitest.CA(t)
	broken := ca.Leaf(t, pkitest.Options{})
	broken.PrivateKey = pkitest.Key(t, pkitest.P256, true)
	for name, test := range map[string]struct {
		cfg         *tls.Config
		field, want string
	}{
		"TLS 1.0":                {&tls.Config{MinVersion: tls.VersionTLS10}, "MinVersion", "set tls.VersionTLS12, or leave it zero"},
		"only TLS 1.1":           {&tls.Config{MaxVersion: tls.VersionTLS11}, "MaxVersion", "set tls.VersionTLS12"},
		"a suite with CBC":       {&tls.Config{CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}, "CipherSuites", "TLS_RSA_WITH_AES_128_CBC_SHA is not supported: leave it out"},
		"an unknown group":       {&tls.Config{CurvePreferences: []tls.CurveID{0x6399}}, "CurvePreferences", "leave it out"},
		"a key of another":       {&tls.Config{Certificates: []tls.Certificate{broken}}, "Certificates[0]", "key"},
		"a protocol without end": {&tls.Config{NextProtos: []string{strings.Repeat("x", 256)}}, "NextProtos", "255 bytes"},
	} {
		_, err := FromTLS(test.cfg)
		var fault *ConfigError
		if !errors.As(err, &fault) || fault.Field != test.field || !strings.HasPrefix(err.Error(), "hermetic: tls.Config."+test.field+": ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFromTLSAtOnce: connections may use one conversion at the same time, while ticket keys rotate and
// GetConfigForClient returns the same Config and new ones.
func TestFromTLSAtOnce(t *testing.T) {
	o := newTakeover(t)
	o.client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	inner := o.server.Clone()
	o.server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(h.Extensions)%2 == 0 {
			return inner.Clone(), nil
		}
		return inner, nil
	}
	client, server := o.ours()
	var done sync.WaitGroup
	for i := range 4 {
		done.Go(func() {
			for n := range 5 {
				o.server.SetSessionTicketKeys([][32]byte{{byte(n)}, {byte(n - 1)}})
				inner.SetSessionTicketKeys([][32]byte{{byte(i)}})
				if clientErr, serverErr := newMeeting(t, false, client, server).pump(); clientErr != nil || serverErr != nil {
					t.Errorf("%v, %v", clientErr, serverErr)
				}
				if _, err := FromTLS(o.server); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
}

// tlsMethods are the methods of tls.Config, and what FromTLS makes of them.
var tlsMethods = map[string]string{
	"BuildNameToCertificate": "it sets NameToCertificate",
	"Clone":                  "it makes another one",
	"DecryptTicket":          "it is called to open tickets",
	"EncryptTicket":          "it is called to seal tickets",
	"SetSessionTicketKeys":   "its keys are used by the two above: see TestSetSessionTicketKeys",
}

// TestFromTLSMethods: a method of a later Go that sets something does not pass unseen.
func TestFromTLSMethods(t *testing.T) {
	theirs := reflect.TypeFor[*tls.Config]()
	for i := range theirs.NumMethod() {
		if name := theirs.Method(i).Name; tlsMethods[name] == "" {
			t.Errorf("tls.Config.%s is not known", name)
		}
	}
}

// TestSetSessionTicketKeys: keys that crypto/tls shows to nobody seal and open our tickets, also
// those that are set later, and those of a Config for one client.
func TestSetSessionTicketKeys(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o := newTakeover(t)
		o.client.MaxVersion, o.client.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		o.server.SetSessionTicketKeys([][32]byte{{1}})
		client, server := o.ours()
		connect := func(what string, server *Config, want bool) {
			t.Helper()
			m := newMeeting(t, false, client, server)
			m.handshake()
			if got := m.server.State().DidResume; got != want {
				t.Errorf("%s, %s: resumed %t", tls.VersionName(version), what, got)
			}
		}
		connect("the first", server, false)
		other := &tls.Config{Time: atNow, Certificates: o.server.Certificates}
		other.SetSessionTicketKeys([][32]byte{{1}})
		connect("another server with the key", must(FromTLS(other)), true)
		o.server.SetSessionTicketKeys([][32]byte{{2}, {1}})
		connect("after a rotation", server, true)
		o.server.SetSessionTicketKeys([][32]byte{{2}})
		connect("after the old key is gone", server, version == tls.VersionTLS13) // TLS 1.2 renews no ticket
		o.server.SetSessionTicketKeys([][32]byte{{3}})
		connect("with another key", server, false)

		plain, own := o.server.Clone(), o.server.Clone()
		plain.SetSessionTicketKeys([][32]byte{{3}}) // an outer one, to which the tickets belong
		inner := &tls.Config{Time: atNow, Certificates: o.server.Certificates}
		plain.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return inner, nil }
		connect("an inner Config without keys", must(FromTLS(plain)), true)
		own.SetSessionTicketKeys([][32]byte{{4}})
		inner = own
		connect("an inner Config with its own keys", must(FromTLS(plain)), false)
		connect("those keys again", must(FromTLS(own)), true)
	}
}

// TestFromTLSWithCryptoTLS: ticket keys and caches may be shared with connections of crypto/tls.
// Each side ignores the sessions of the other.
func TestFromTLSWithCryptoTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o := newTakeover(t)
		o.client.MaxVersion, o.client.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		o.server.SetSessionTicketKeys([][32]byte{{1}})
		client, server := o.ours()
		for i, ours := range []bool{true, false, false, true, true} {
			resumed := false
			if ours {
				m := newMeeting(t, false, client, server)
				m.handshake()
				resumed = m.server.State().DidResume
			} else {
				resumed = cryptoTLS(t, o.client, o.server)
			}
			if want := i == 2 || i == 4; resumed != want {
				t.Errorf("%s, connection %d, ours: %t, resumed: %t", tls.VersionName(version), i, ours, resumed)
			}
		}
	}
}

// cryptoTLS performs a handshake of crypto/tls, and reports whether it is a resumption.
func cryptoTLS(t *testing.T, client, server *tls.Config) bool {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	var done sync.WaitGroup
	done.Go(func() {
		s := tls.Server(b, server)
		s.Write([]byte("x"))
		s.Close()
	})
	c := tls.Client(a, client)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	a.Close()
	done.Wait()
	return c.ConnectionState().DidResume
}

// TestClientHelloInfo: callbacks get every field that crypto/tls sets, after HelloRetryRequest and
// over datagrams too. crypto/tls itself says what it would have set for the same client.
func TestClientHelloInfo(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		for _, retry := range []bool{false, true} {
			o := newTakeover(t)
			conn, other := net.Pipe()
			defer other.Close()
			ctx := context.WithValue(context.Background(), clientAuthKey{}, "value")
			var got *tls.ClientHelloInfo
			o.server.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if got = h; h.SupportsCertificate(&o.leaf) != nil {
					t.Errorf("SupportsCertificate: %v", h.SupportsCertificate(&o.leaf))
				}
				wrong := o.ca.Leaf(t, pkitest.Options{Name: "example.com"})
				if h.SupportsCertificate(&wrong) == nil {
					t.Error("SupportsCertificate: another name is supported")
				}
				return &o.leaf, nil
			}
			o.client.NextProtos, o.server.NextProtos = []string{"x"}, []string{"x"}
			if retry {
				o.server.CurvePreferences = []tls.CurveID{tls.CurveP521}
			}
			client, server := o.ours()
			m := newMeeting(t, datagram, client, server)
			if err := errors.Join(m.server.SetConn(conn), m.server.SetContext(ctx)); err != nil {
				t.Fatal(err)
			}
			m.handshake()
			retried := retry || datagram // datagrams: for the cookie
			v := reflect.ValueOf(*got)
			for i := range v.NumField() {
				switch name := v.Type().Field(i).Name; {
				case name == "isQUIC", name == "HelloRetryRequest" && !retried:
				case v.Field(i).IsZero():
					t.Errorf("ClientHelloInfo.%s is not set", name)
				}
			}
			if got.Conn != conn || got.Context().Value(clientAuthKey{}) != "value" || got.HelloRetryRequest != retried {
				t.Errorf("Conn %v, context %v, HelloRetryRequest %t", got.Conn, got.Context(), got.HelloRetryRequest)
			}
			if !slices.Equal(got.SupportedVersions, []uint16{tls.VersionTLS13, tls.VersionTLS12}) || !slices.Contains(got.Extensions, 43) {
				t.Errorf("versions %x, extensions %d", got.SupportedVersions, got.Extensions)
			}
			for name, err := range map[string]error{"SetConn": m.server.SetConn(conn), "SetContext": m.server.SetContext(ctx)} {
				if !errors.Is(err, ErrInvalidOperation) {
					t.Errorf("%s after the handshake: %v", name, err)
				}
			}
		}
	}
}

type clientAuthKey struct{}

// TestVerifyConnectionAgain: VerifyConnection gets the whole state on both sides, in a full handshake
// and when the session is resumed, and can end either.
func TestVerifyConnectionAgain(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, cache := range []tls.ClientSessionCache{tls.NewLRUClientSessionCache(1), storedCache{}} {
			o := newTakeover(t)
			o.client.MaxVersion, o.client.ClientSessionCache = version, cache
			o.client.Certificates, o.client.NextProtos, o.server.NextProtos = o.server.Certificates, []string{"x"}, []string{"x"}
			o.server.ClientAuth, o.server.ClientCAs = tls.RequireAndVerifyClientCert, o.ca.Pool()
			var refusal error
			resumed, calls := false, 0
			for _, c := range []*tls.Config{o.client, o.server} {
				c.VerifyConnection = func(s tls.ConnectionState) error {
					calls++
					if s.Version != version || s.DidResume != resumed || s.ServerName != "localhost" || s.NegotiatedProtocol != "x" || s.CipherSuite == 0 ||
						len(s.PeerCertificates) != 1 || len(s.VerifiedChains) != 1 || len(s.VerifiedChains[0]) != 2 {
						t.Errorf("%s, resumed %t: the state is %+v", tls.VersionName(version), resumed, s)
					}
					return refusal
				}
			}
			client, server := o.ours()
			for range 2 {
				newMeeting(t, false, client, server).handshake()
				resumed = true
			}
			if calls != 4 {
				t.Errorf("%s: VerifyConnection was called %d times in two handshakes", tls.VersionName(version), calls)
			}
			refusal = errors.New("no longer welcome")
			if clientErr, serverErr := newMeeting(t, false, client, server).pump(); !errors.Is(errors.Join(clientErr, serverErr), refusal) {
				t.Errorf("%s: the errors are %v and %v", tls.VersionName(version), clientErr, serverErr)
			}
		}
	}
}

// TestConvertedOnce: what GetConfigForClient returns is converted once for each pointer, of which a
// bounded number is kept.
func TestConvertedOnce(t *testing.T) {
	var next *tls.Config
	outer := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return next, nil }}
	b := &tlsBridge{theirs: outer}
	convert := func(t *testing.T, c *tls.Config) *Config {
		next = c
		return must(b.configForClient(&ClientHello{}))
	}
	a := &tls.Config{}
	first := convert(t, a)
	if first == nil || convert(t, a) != first {
		t.Error("the same tls.Config is converted twice")
	}
	for range 2 * maxConverted {
		convert(t, &tls.Config{})
	}
	if len(b.converted) != maxConverted {
		t.Errorf("%d conversions are kept", len(b.converted))
	}
	if convert(t, a) == first {
		t.Error("the oldest is kept")
	}
	if convert(t, outer) != nil || convert(t, nil) != nil {
		t.Error("the same Config, or none, is another one")
	}
}

// TestUnwrapIsBounded: a client that offers any number of identities causes a bounded number of
// calls, which may cost a request to a database each.
func TestUnwrapIsBounded(t *testing.T) {
	o := newTakeover(t)
	calls := 0
	o.server.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) { calls++; return nil, nil }
	client, server := o.ours()
	for i := range 100 {
		client.PSKs = append(client.PSKs, PSK{Identity: fmt.Append(nil, "identity ", i), Key: make([]byte, 16)})
	}
	server.GetPSK = func([]byte) (*PSK, error) { return nil, nil }
	m := newMeeting(t, false, client.Clone(), server.Clone())
	m.handshake()
	if calls == 0 || calls > 64 {
		t.Errorf("UnwrapSession was called %d times", calls)
	}
}
