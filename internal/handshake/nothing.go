package handshake

import (
	"fmt"
	"iter"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// maxListed bounds the bytes of a list in an error text. Two lists and a sentence fit into
// the 1,000 bytes of an AlertError. The peer's list may be longer.
const maxListed = 300

// nothing is the failure of two sides that have nothing in common: it lists what both have.
func nothing(d alert.Description, cause string, ours, theirs iter.Seq[string]) error {
	return alert.New(d, cause+": we support "+list(ours)+"; the client offers "+list(theirs))
}

// policy names the policy that limits us, for the cause.
func (s *serverStart) policy() string {
	if s.params.Keys == nil {
		return ""
	}
	return " under the policy " + s.params.Keys.Policy
}

// list joins names, as many as there is room for.
func list(names iter.Seq[string]) string {
	var b strings.Builder
	for name := range names {
		if b.Len()+len(name) > maxListed {
			b.WriteString(", …")
			break
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name)
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

// noVersion names the versions of both sides.
func (s *serverStart) noVersion() error {
	ours := func(yield func(string) bool) {
		for v := s.params.MinVersion; v <= s.params.MaxVersion && yield(versionName(v)); v++ {
		}
	}
	theirs := func(yield func(string) bool) {
		t := s.conn.Transport
		if !s.hello.Has.Has(wire.ExtSupportedVersions) {
			yield(versionName(t.Parse(s.hello.Version)))
			return
		}
		for v := range s.hello.SupportedVersions.All() {
			if !isGREASE(v) && !yield(versionName(t.Parse(v))) {
				return
			}
		}
	}
	return nothing(alert.ProtocolVersion, errVersion.Cause+s.policy(), ours, theirs)
}

func versionName(v uint16) string {
	const one = wire.VersionTLS12 - 2 // TLS 1.0
	if v < one || v > wire.VersionTLS13 {
		return "another"
	}
	return fmt.Sprintf("1.%d", v-one)
}

// noGroup names the groups of both sides for the version. cause says what is lacking.
func (s *serverStart) noGroup(cause string) error {
	ours := func(yield func(string) bool) {
		for _, g := range s.params.Groups {
			if s.fits(g) && !yield(s.params.Exchanges.Name(g)) {
				return
			}
		}
	}
	theirs := func(yield func(string) bool) {
		for id := range s.hello.Groups.All() {
			if g := suite.Group(id); s.fits(g) && !isGREASE(id) && !yield(s.params.Exchanges.Name(g)) {
				return
			}
		}
	}
	return nothing(alert.HandshakeFailure, cause+s.policy(), ours, theirs)
}

// fits reports whether the version has g, as far as we know.
func (s *serverStart) fits(g suite.Group) bool {
	return s.conn.Version == wire.VersionTLS13 || g.Curve() || !g.Supported() && s.params.Exchanges[g] == nil
}

// noSuite names the cipher suites of both sides for the version, out of ours those that
// are usable with what we have.
func (s *serverStart) noSuite(usable func(*suite.Suite) bool) error {
	ours := func(yield func(string) bool) {
		for _, c := range s.params.Suites {
			if c.Version == s.conn.Version && usable(c) && !yield(c.Name) {
				return
			}
		}
	}
	theirs := func(yield func(string) bool) {
		for id := range s.hello.CipherSuites.All() {
			c := suite.ByID(id)
			switch {
			case isGREASE(id) || id == fallbackSCSV || id == emptyRenegotiationSCSV || c != nil && c.Version != s.conn.Version:
				continue
			case c == nil && !yield(fmt.Sprintf("0x%04X", id)), c != nil && !yield(c.Name):
				return
			}
		}
	}
	cause := "no cipher suite in common"
	if s.conn.Version == wire.VersionTLS12 && s.params.OnlyPSK {
		cause += ", as we have pre-shared keys and no certificate"
	}
	return nothing(alert.HandshakeFailure, cause+s.policy(), ours, theirs)
}

// noALPN names the protocols of both sides. The client's may be anything.
func (s *serverStart) noALPN() error {
	ours := func(yield func(string) bool) {
		for _, p := range s.params.ALPN {
			if !yield(quote(p)) {
				return
			}
		}
	}
	theirs := func(yield func(string) bool) {
		for p := range s.hello.ALPN.All() {
			if !yield(quote(string(p))) {
				return
			}
		}
	}
	return nothing(alert.NoApplicationProtocol, "no ALPN protocol in common", ours, theirs)
}

// quote quotes a name of any length and content, or its start.
func quote(name string) string {
	const most = 32
	if len(name) > most {
		return fmt.Sprintf("%q…", name[:most])
	}
	return fmt.Sprintf("%q", name)
}

// isGREASE reports whether id is one of the values that GREASE reserves (RFC 8701).
func isGREASE(id uint16) bool { return id&0x0f0f == 0x0a0a && id>>8 == id&0xff }
