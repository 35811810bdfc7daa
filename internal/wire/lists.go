package wire

import (
	"bytes"
	"iter"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
)

var (
	errShareTwice  = alert.New(alert.IllegalParameter, "the client sent two key shares of one group")
	errBinderCount = alert.New(alert.IllegalParameter, "pre_shared_key has not as many binders as identities")
)

// KeyShare is a KeyShareEntry (RFC 9846, Section 4.3.8).
type KeyShare struct {
	Group uint16
	Data  []byte
}

// KeyShares is the content of client_shares, without the length.
type KeyShares []byte

// All yields the shares in order.
func (s KeyShares) All() iter.Seq[KeyShare] {
	return func(yield func(KeyShare) bool) {
		for c := (codec.Cursor{B: s}); c.More(); {
			if !yield(KeyShare{Group: c.Uint16(), Data: c.Vec16()}) {
				return
			}
		}
	}
}

// Find returns the share of group.
func (s KeyShares) Find(group uint16) (KeyShare, bool) {
	for k := range s.All() {
		if k.Group == group {
			return k, true
		}
	}
	return KeyShare{}, false
}

// AppendKeyShare appends a share to a list.
func AppendKeyShare(s KeyShares, group uint16, data []byte) KeyShares {
	return codec.Append16(codec.AppendUint16(slices.Grow(s, 4+len(data)), group), data)
}

// keyShares is key_share in a ClientHello. Shares of unknown groups are skipped,
// however many there are.
func (c *coder) keyShares(v *KeyShares) {
	c.Vec16((*[]byte)(v))
	var groups numbers
	for l := (codec.Cursor{B: *v}); l.More(); {
		isNew := groups.add(l.Uint16())
		l.NonEmpty(l.Vec16())
		if c.Require(!l.Bad); !l.Bad && !isNew {
			c.fail(errShareTwice)
		}
	}
}

// ALPN is the content of a ProtocolNameList (RFC 7301), without the length.
type ALPN []byte

// All yields the protocols in order.
func (a ALPN) All() iter.Seq[[]byte] { return vectors8(a) }

// AppendALPN appends protocols, of 1 to 255 bytes each, to a list.
func AppendALPN(a ALPN, protocols ...string) ALPN {
	for _, p := range protocols {
		a = append(append(a, byte(len(p))), p...)
	}
	return a
}

// alpn is a ProtocolNameList. No name in it is empty (RFC 7301, Section 3.1).
func (c *coder) alpn(v *ALPN) {
	c.Filled16((*[]byte)(v))
	l := codec.Cursor{B: *v}
	for l.More() {
		l.NonEmpty(l.Vec8())
	}
	c.Require(!l.Bad)
}

// oneProtocol is a ProtocolNameList with one name, as a server answers.
func (c *coder) oneProtocol(v *[]byte) {
	if c.Appending {
		c.Out = codec.Append8(codec.AppendUint16(c.Out, uint16(1+len(*v))), *v)
		return
	}
	list := codec.Cursor{B: c.In.Vec16()}
	*v = list.NonEmpty(list.Vec8())
	c.Require(list.Done())
}

// Names is a list of distinguished names in DER, each after a 16-bit length: the
// content of certificate_authorities or of that field of CertificateRequest, without the
// length.
type Names []byte

// All yields the names in order.
func (n Names) All() iter.Seq[[]byte] { return vectors16(n) }

// AppendNames appends distinguished names to a list.
func AppendNames(n Names, names ...[]byte) Names {
	for _, name := range names {
		n = codec.Append16(n, name)
	}
	return n
}

func (c *coder) names(v *Names) {
	c.Vec16((*[]byte)(v))
	c.Require(filled16s(*v))
}

// filled16s reports whether list consists of non-empty vectors.
func filled16s(list []byte) bool {
	l := codec.Cursor{B: list}
	for l.More() {
		l.NonEmpty(l.Vec16())
	}
	return !l.Bad
}

// serverName is server_name (RFC 6066, Section 3). Names of types other than host_name
// are skipped.
func (c *coder) serverName(host *string) {
	if c.Appending {
		n := len(*host)
		c.Out = codec.AppendUint16(append(codec.AppendUint16(c.Out, uint16(1+2+n)), 0), uint16(n))
		c.Out = append(c.Out, *host...)
		return
	}
	list := codec.Cursor{B: c.In.NonEmpty(c.In.Vec16())}
	for list.More() {
		typ := list.Uint8()
		name := list.NonEmpty(list.Vec16())
		if typ != 0 {
			continue
		}
		if *host != "" || bytes.IndexByte(name, 0) >= 0 {
			list.Bad = true // two names of a type, or a NUL in one
		}
		*host = string(name)
	}
	c.Require(!list.Bad)
}

// scts is a SignedCertificateTimestampList with its length (RFC 6962, Section 3.3).
func (c *coder) scts(v *[]byte) {
	c.Rest(v)
	list := codec.Cursor{B: *v}
	entries := list.NonEmpty(list.Vec16())
	c.Require(list.Done() && filled16s(entries))
}

// AppendSCTs appends a SignedCertificateTimestampList.
func AppendSCTs(b []byte, list [][]byte) []byte {
	b, at := codec.Begin16(b)
	for _, sct := range list {
		b = codec.Append16(b, sct)
	}
	return codec.End16(b, at)
}

// SCTs yields the elements of a list that AppendSCTs has written.
func SCTs(list []byte) iter.Seq[[]byte] {
	c := codec.Cursor{B: list}
	return vectors16(c.Vec16())
}

// SRTP is use_srtp (RFC 5764, Section 4.1.1).
type SRTP struct {
	Profiles Uint16s
	MKI      []byte
}

func (c *coder) srtp(v *SRTP) {
	c.uint16s(&v.Profiles)
	c.Vec8(&v.MKI)
}

// OfferedPSKs is pre_shared_key in a ClientHello (RFC 9846, Section 4.3.11).
type OfferedPSKs struct {
	Identities []byte // the content of identities, without the length
	Binders    []byte // the content of binders, without the length
}

// PSKIdentity is one identity of OfferedPSKs.
type PSKIdentity struct {
	Identity  []byte
	TicketAge uint32 // obfuscated_ticket_age
}

func (c *coder) offeredPSKs(p *OfferedPSKs) {
	c.Filled16(&p.Identities)
	c.Filled16(&p.Binders)
	identities, binders := 0, 0
	for l := (codec.Cursor{B: p.Identities}); l.More(); identities++ {
		l.NonEmpty(l.Vec16())
		l.Uint32()
		c.Require(!l.Bad)
	}
	for l := (codec.Cursor{B: p.Binders}); l.More(); binders++ {
		l.NonEmpty(l.Vec8()) // one that is shorter than a hash does not verify
		c.Require(!l.Bad)
	}
	if !c.In.Bad && identities != binders {
		c.fail(errBinderCount)
	}
}

// BindersLen is the size of the binders with their length, which is the part of the
// message that a binder does not cover (RFC 9846, Section 4.3.11.2).
func (p OfferedPSKs) BindersLen() int { return 2 + len(p.Binders) }

// All yields each identity with its binder.
func (p OfferedPSKs) All() iter.Seq2[PSKIdentity, []byte] {
	return func(yield func(PSKIdentity, []byte) bool) {
		i, b := codec.Cursor{B: p.Identities}, codec.Cursor{B: p.Binders}
		for i.More() {
			if !yield(PSKIdentity{Identity: i.Vec16(), TicketAge: i.Uint32()}, b.Vec8()) {
				return
			}
		}
	}
}

// Cut returns the first identity with its binder, and the rest.
func (p OfferedPSKs) Cut() (id PSKIdentity, binder []byte, rest OfferedPSKs, ok bool) {
	if len(p.Identities) == 0 {
		return id, nil, p, false
	}
	i, b := codec.Cursor{B: p.Identities}, codec.Cursor{B: p.Binders}
	id, binder = PSKIdentity{Identity: i.Vec16(), TicketAge: i.Uint32()}, b.Vec8()
	return id, binder, OfferedPSKs{Identities: i.B, Binders: b.B}, true
}

// At returns the identity with index i, and its binder.
func (p OfferedPSKs) At(i int) (id PSKIdentity, binder []byte, ok bool) {
	n := 0
	for id, binder := range p.All() {
		if n == i {
			return id, binder, true
		}
		n++
	}
	return id, nil, false
}

// Has reports whether identity is offered.
func (p OfferedPSKs) Has(identity []byte) bool {
	for id := range p.All() {
		if bytes.Equal(id.Identity, identity) {
			return true
		}
	}
	return false
}

// PartOf reports whether the identities of p are a subsequence of those of all.
func (p OfferedPSKs) PartOf(all OfferedPSKs) bool {
	rest := codec.Cursor{B: all.Identities}
	for id := range p.All() {
		found := false
		for !found && rest.More() {
			found = bytes.Equal(rest.Vec16(), id.Identity)
			rest.Uint32()
		}
		if !found {
			return false
		}
	}
	return true
}

// AppendPSKIdentity appends one identity to OfferedPSKs.Identities.
func AppendPSKIdentity(b []byte, id PSKIdentity) []byte {
	return codec.AppendUint32(codec.Append16(b, id.Identity), id.TicketAge)
}

// AppendPSKBinder appends one binder to OfferedPSKs.Binders.
func AppendPSKBinder(b, binder []byte) []byte { return codec.Append8(b, binder) }

// vectors8 yields the vectors in a list, each after an 8-bit length.
func vectors8(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := (codec.Cursor{B: list}); c.More(); {
			if !yield(c.Vec8()) {
				return
			}
		}
	}
}

// vectors16 yields the vectors in a list, each after a 16-bit length.
func vectors16(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := (codec.Cursor{B: list}); c.More(); {
			if !yield(c.Vec16()) {
				return
			}
		}
	}
}
