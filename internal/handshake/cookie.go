package handshake

import (
	"bytes"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var errBadCookie = alert.New(alert.IllegalParameter, "the ClientHello's cookie is not one of ours, or too old, or for another peer")

// CookieJar makes and checks cookies: it authenticates their content, the peer's
// identity, the time, and bound, which is not in the cookie.
type CookieJar interface {
	Seal(content, bound []byte) []byte
	Open(cookie, bound []byte) (content []byte, ok bool)
}

// Verdict is a stateless server's decision on a ClientHello.
type Verdict uint8

const (
	Ignore  Verdict = iota // send nothing
	Answer                 // send the message back, and forget
	Refuse                 // send the alert back, and forget
	Welcome                // the cookie is good: begin a handshake with it
)

// AnswerHello judges a ClientHello without keeping anything: RFC 6347, Section
// 4.2.1, and RFC 9147bis, Section 5.1. The answer is a HelloVerifyRequest, a
// HelloRetryRequest or an alert.
func AnswerHello(p *Params, jar CookieJar, body []byte) (answer []byte, v Verdict) {
	s := &serverStart{Machine: &Machine{params: p, conn: &Connection{Transport: wire.Datagram}}}
	if s.hello.Parse(body, wire.Datagram) != nil {
		return nil, Ignore
	}
	switch s.conn.Version = s.version(); s.conn.Version {
	case wire.VersionTLS12:
		if _, ok := jar.Open(s.hello.LegacyCookie, s.bound12()); ok {
			return nil, Welcome
		}
		// RFC 6347, Section 4.2.1: servers should say DTLS 1.0 here.
		hvr := wire.HelloVerifyRequest{Version: wire.VersionDTLS10, Cookie: jar.Seal(nil, s.bound12())}
		return hvr.Append(nil), Answer
	case wire.VersionTLS13:
		if fault, ok := s.check13().(*alert.Error); ok {
			return refuse(fault.Description)
		}
		return s.answer13(jar, body)
	}
	return refuse(alert.ProtocolVersion)
}

func refuse(d alert.Description) (answer []byte, v Verdict) {
	return []byte{alert.LevelFatal, byte(d)}, Refuse
}

// AnswerFragment judges the first fragment of a ClientHello: one without a
// cookie in it is nothing to answer, and nothing is kept of it.
func AnswerFragment(p *Params, jar CookieJar, fragment []byte) (answer []byte, v Verdict) {
	s := &serverStart{Machine: &Machine{params: p, conn: &Connection{Transport: wire.Datagram}}}
	if s.hello.ParseStart(fragment) != nil {
		return nil, Ignore
	}
	if s.hello.Has.Has(wire.ExtCookie) {
		return s.checkRetry(jar)
	}
	if _, ok := jar.Open(s.hello.LegacyCookie, s.bound12()); ok {
		return nil, Welcome
	}
	return nil, Ignore
}

// bound12 is the parameters of a ClientHello of DTLS 1.2 that its cookie is
// bound to.
func (s *serverStart) bound12() []byte {
	h := &s.hello
	b := append([]byte{byte(h.Version)}, h.Random[:]...)
	for _, field := range [][]byte{h.SessionID, h.CipherSuites, h.Compression} {
		b = codec.Append16(b, field)
	}
	return b
}

// statelessRetry is the content of a HelloRetryRequest's cookie: everything that the
// second ClientHello needs to know about the first.
type statelessRetry struct {
	suite  *suite.Suite
	group  suite.Group // asked for; 0: none
	hello1 []byte      // the hash of the first ClientHello
	cookie []byte      // that has this content
}

// fields codes the content of the cookie.
func (r *statelessRetry) fields(c *codec.Coder) {
	var id uint16
	if c.Appending {
		id = r.suite.ID
	}
	c.Uint16(&id)
	c.Uint16((*uint16)(&r.group))
	c.Rest(&r.hello1)
	if !c.Appending {
		r.suite = suite.ByID(id)
	}
}

// message is the HelloRetryRequest, the same each time.
func (r *statelessRetry) message() []byte {
	hrr := wire.ServerHello{
		Version:          wire.VersionDTLS12,
		Random:           wire.RetryRandom,
		CipherSuite:      r.suite.ID,
		SupportedVersion: wire.VersionDTLS13,
		KeyShare:         wire.KeyShare{Group: uint16(r.group)},
		Cookie:           r.cookie,
	}
	hrr.Has = wire.Extensions(wire.ExtSupportedVersions, wire.ExtCookie)
	if r.group != 0 {
		hrr.Has.Add(wire.ExtKeyShare)
	}
	return hrr.Append(nil)
}

func (s *serverStart) answer13(jar CookieJar, body []byte) (answer []byte, v Verdict) {
	if s.hello.Has.Has(wire.ExtCookie) {
		return s.checkRetry(jar)
	}
	c := s.suiteForCookie()
	group, share := (&server13{serverStart: s}).groupForCookie()
	if c == nil || group == 0 {
		return refuse(alert.HandshakeFailure)
	}
	if share.Data != nil {
		group = 0
	}
	h := c.Hash.New()
	h.Write(wire.AppendHeader(nil, wire.TypeClientHello, len(body)))
	h.Write(body)
	r := statelessRetry{suite: c, group: group, hello1: h.Sum(nil)}
	r.cookie = jar.Seal(codec.Append(nil, r.fields), nil)
	return r.message(), Answer
}

// suiteForCookie is the suite that the HelloRetryRequest has to name already, before
// anybody was asked which of the client's PSKs is known; and with it the client gives
// up its PSKs of another hash. A binder is as long as its hash: so the first PSK
// decides.
func (s *serverStart) suiteForCookie() *suite.Suite {
	if _, binder, ok := s.hello.PSK.At(0); ok && s.params.AcceptPSK {
		if c := s.chooseSuite(func(c *suite.Suite) bool { return c.Hash.Size() == len(binder) }); c != nil {
			return c
		}
	}
	return s.chooseSuite(func(*suite.Suite) bool { return true })
}

// groupForCookie is chooseGroup where a cookie is asked for. The second hello
// must show it in its first fragment, which it may not do with a larger key
// share before it. So the client's favourite will do, if its share is there.
func (s *server13) groupForCookie() (suite.Group, wire.KeyShare) {
	if s.hello.Groups.Len() > 0 {
		favourite := s.hello.Groups.At(0)
		share, ok := s.hello.KeyShares.Find(favourite)
		if ok && slices.Contains(s.params.Groups, suite.Group(favourite)) {
			return suite.Group(favourite), share
		}
	}
	return s.chooseGroup()
}

// checkRetry is the verdict on a second ClientHello.
func (s *serverStart) checkRetry(jar CookieJar) (answer []byte, v Verdict) {
	if s.openRetry(jar) != nil {
		return refuse(alert.IllegalParameter)
	}
	return nil, Welcome
}

// openRetry reads the cookie of a second ClientHello.
func (s *serverStart) openRetry(jar CookieJar) error {
	r := &statelessRetry{cookie: bytes.Clone(s.hello.Cookie)}
	content, ok := jar.Open(r.cookie, nil)
	if !ok || !codec.Parse(content, r.fields) {
		return errBadCookie
	}
	// The configuration may have changed since the cookie was made.
	if r.suite == nil || !slices.Contains(s.params.Suites, r.suite) || !s.hello.CipherSuites.Contains(r.suite.ID) {
		return errBadCookie
	}
	s.retry = r
	return nil
}

// verifyCookie checks the cookie of a ClientHello that begins a handshake: a
// server that asks for cookies does not rely on the caller to have checked it.
func (s *serverStart) verifyCookie() error {
	switch {
	case s.jar == nil:
		return nil
	case s.conn.Version == wire.VersionTLS13:
		return s.openRetry(s.jar)
	}
	if _, ok := s.jar.Open(s.hello.LegacyCookie, s.bound12()); !ok {
		return errBadCookie
	}
	return nil
}

// afterStatelessRetry continues after a HelloRetryRequest of which only the cookie is
// left.
func (s *server13) afterStatelessRetry() (step, error) {
	r := s.retry
	s.conn.Suite, s.conn.Retried = r.suite, true
	s.transcript.resume(r.suite.Hash, r.hello1)
	hrr := r.message()
	s.transcript.add(wire.Message{Type: wire.TypeServerHello, Body: hrr[4:]})
	group, share := s.groupForCookie()
	if r.group != 0 {
		group = r.group
		share, _ = s.hello.KeyShares.Find(uint16(group))
		if len(s.hello.KeyShares) != 4+len(share.Data) {
			return step{}, errRetryShare
		}
	}
	if share.Data == nil || !slices.Contains(s.params.Groups, group) {
		return step{}, errRetryShare
	}
	s.conn.Group = group
	return s.choosePSK(func() (step, error) {
		s.transcript.add(wire.Message{Type: wire.TypeClientHello, Body: s.body})
		return s.respond(share)
	})
}
