package flight

import (
	"bytes"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// window is how many messages, from the next one on, may come out of order: as
// many as the longest flight has.
const window = 7

// DefaultMemory is how many bytes of incomplete messages are held for a peer.
const DefaultMemory = 64 << 10

// pieceCost is the cost of a piece in addition to its bytes.
const pieceCost = 48

// If anybody may have sent the fragments of a message, several versions of it are kept,
// with their fragments and records, which have a cost too.
const (
	maxVersions = 4
	maxParts    = 16
	maxRecords  = 8
	versionCost = 16 * (maxParts + maxRecords)
)

var (
	// ErrContradiction: a fragment contradicts earlier ones.
	ErrContradiction = alert.New(alert.IllegalParameter, "the fragments of a message contradict each other")

	errTooLarge = alert.New(alert.IllegalParameter, "a handshake message is larger than the limit")
)

// Reassembly reassembles messages from fragments, which may arrive in any order,
// overlap, and repeat.
type Reassembly struct {
	// Memory is how many bytes it may hold.
	Memory int
	// Limit is how large a message may be, and Certificate how large one of
	// that type.
	Limit, Certificate int

	next     int // message_seq of the message to be delivered next, or 1<<16
	slots    [window]slot
	size     int             // bytes held
	lent     int             // bytes of Memory that are lent
	datagram uint32          // counts them
	records  []record.Number // of the last message taken
}

// slot has the received parts of a message: one version of it. Without protection there may
// be several, because parts may be forged: fragments of one version do not contradict each
// other. The version that is complete first is the message.
type slot struct {
	versions []*partial  // the oldest first
	datagram uint32      // the one that began the newest version
	only     [1]*partial // room for versions
}

// partial is an incomplete message.
type partial struct {
	typ       wire.Type
	length    int
	seen      bool     // a part of it has arrived, perhaps only the header
	pieces    []piece  // sorted, with gaps between them
	forgeable *version // nil under keys
	whole     [1]piece // room for pieces
}

// version is what is known about a partial message whose fragments may be forged.
type version struct {
	datagram uint32 // the one that began it
	parts    []span // its fragments, as far as they are distinguished
	records  []record.Number
	// Room for parts and records: most messages have one fragment.
	part   [1]span
	record [1]record.Number
}

type piece struct {
	offset int
	data   []byte
}

// add adds the newest version.
func (s *slot) add(p *partial) {
	if s.versions == nil {
		s.versions = s.only[:0]
	}
	s.versions = append(s.versions, p)
}

func newPartial(h *wire.FragmentHeader) *partial {
	p := &partial{typ: h.Type, length: h.Length}
	p.pieces = p.whole[:0]
	return p
}

// newVersion is newPartial for a message whose fragments may be forged.
func newVersion(h *wire.FragmentHeader, datagram uint32) *partial {
	v := &struct {
		partial
		version
	}{partial{typ: h.Type, length: h.Length}, version{datagram: datagram}}
	v.partial.pieces, v.parts, v.records = v.whole[:0], v.part[:0], v.record[:0]
	v.forgeable = &v.version
	return &v.partial
}

func (p *piece) end() int { return p.offset + len(p.data) }

// held returns how many bytes p takes.
func (p *partial) held() (n int) {
	if p.forgeable != nil {
		n = versionCost
	}
	for i := range p.pieces {
		n += cap(p.pieces[i].data) + pieceCost
	}
	return n
}

// StartAt sets the message_seq of the first message.
func (r *Reassembly) StartAt(seq int) { r.next = seq }

// NextDatagram says that the following fragments are from another datagram.
func (r *Reassembly) NextDatagram() { r.datagram++ }

// Next is the message_seq of the message to be delivered next, or 1<<16.
func (r *Reassembly) Next() int { return r.next }

func (r *Reassembly) limit(t wire.Type) int {
	if t.IsCertificate() {
		return r.Certificate
	}
	return min(r.Limit, r.Certificate)
}

// Old reports whether a message has already been delivered. Since message_seq
// does not wrap, all are old in the end.
func (r *Reassembly) Old(seq uint16) bool { return int(seq) < r.next }

// Last reports whether seq is the message that was delivered last.
func (r *Reassembly) Last(seq uint16) bool { return int(seq) == r.next-1 }

// Empty reports whether no part of a message is held.
func (r *Reassembly) Empty() bool {
	for i := range r.slots {
		if len(r.slots[i].versions) > 0 {
			return false
		}
	}
	return true
}

// Discard forgets everything that is held.
func (r *Reassembly) Discard() { r.slots, r.size = [window]slot{}, 0 }

// Lend lends n bytes of Memory for something that can do without. Lent is 0 again as soon
// as the message to be delivered next needs them.
func (r *Reassembly) Lend(n int) bool {
	if r.size+r.lent+n > r.Memory {
		return false
	}
	r.lent += n
	return true
}

func (r *Reassembly) Lent() int { return r.lent }

// Return returns everything that is lent.
func (r *Reassembly) Return() { r.lent = 0 }

func (r *Reassembly) slot(seq int) *slot { return &r.slots[seq%window] }

// admits reports whether a fragment of a message that is not old may be kept.
func (r *Reassembly) admits(h *wire.FragmentHeader) (bool, error) {
	if int(h.Seq)-r.next >= window {
		return false, nil
	}
	if h.Length > r.limit(h.Type) {
		return false, errTooLarge
	}
	return true, nil
}

// Add adds a fragment of a message that is not old; its bytes are copied. It is
// not kept if it is too far ahead or memory is short: then the peer must send it
// again.
func (r *Reassembly) Add(h *wire.FragmentHeader, fragment []byte) (kept bool, err error) {
	if ok, err := r.admits(h); !ok {
		return false, err
	}
	s := r.slot(int(h.Seq))
	if len(s.versions) == 0 {
		p := newPartial(h)
		if kept = r.insert(p, h.Offset, fragment, claim{r: r, seq: int(h.Seq)}); kept {
			s.add(p)
		}
		return kept, nil
	}
	p := s.versions[0]
	if !p.agrees(h, fragment) {
		return false, ErrContradiction
	}
	return r.insert(p, h.Offset, fragment, claim{r: r, seq: int(h.Seq)}), nil
}

// AddUnprotected is Add for fragments that anybody may have sent: a fragment that
// contradicts earlier ones begins another version of its message. Neither later messages
// nor a single datagram can keep a message out. The records are acknowledged once the
// fragment's version has been taken: what is forgotten before is not acknowledged.
func (r *Reassembly) AddUnprotected(h *wire.FragmentHeader, fragment []byte, records ...record.Number) (kept bool, err error) {
	if ok, err := r.admits(h); !ok {
		return false, err
	}
	s := r.slot(int(h.Seq))
	part := span{h.Offset, h.Offset + len(fragment)}
	versions := slices.Clone(s.versions)
	if s.datagram == r.datagram && len(versions) > 0 {
		versions = versions[len(versions)-1:] // it contradicts the others
	}
	versions = slices.DeleteFunc(versions, func(p *partial) bool { return !p.agrees(h, fragment) })
	if len(fragment) > 0 && len(s.versions) > 1 && s.datagram != r.datagram && slices.ContainsFunc(versions, func(p *partial) bool { return p.bytes(part) != nil }) {
		// The peer retransmits: none of the versions is complete, and no forgery may
		// stay forever.
		r.forget(s)
		versions = nil
	}
	if len(versions) == 0 {
		return r.beginVersion(s, h, fragment, records), nil
	}
	for _, p := range versions {
		if slices.Contains(s.versions, p) && r.insert(p, h.Offset, fragment, claim{r, int(h.Seq), p}) {
			kept = true
			p.note(part, records)
		}
	}
	return kept, nil
}

// forget forgets all versions of a message.
func (r *Reassembly) forget(s *slot) {
	for _, p := range s.versions {
		r.size -= p.held()
	}
	*s = slot{}
}

// beginVersion begins another version of a message, at most one per datagram: the fragment,
// and all earlier parts that do not contradict it.
func (r *Reassembly) beginVersion(s *slot, h *wire.FragmentHeader, fragment []byte, records []record.Number) bool {
	if len(s.versions) > 0 && s.datagram == r.datagram {
		return false
	}
	if len(s.versions) == maxVersions {
		r.drop(s, slices.MinFunc(s.versions, func(a, b *partial) int { return a.held() - b.held() }))
	}
	p := newVersion(h, r.datagram)
	room := claim{r, int(h.Seq), p}
	if r.room() < versionCost && !room.make(versionCost) {
		return false
	}
	r.size += versionCost
	base, parts := s.closest(h, fragment)
	for _, part := range parts {
		if r.insert(p, part.from, base.bytes(part), claim{}) {
			p.forgeable.parts = append(p.forgeable.parts, part)
		}
	}
	if base != nil {
		p.forgeable.records = append(p.forgeable.records, base.forgeable.records...)
	}
	if !r.insert(p, h.Offset, fragment, room) {
		r.size -= p.held()
		return false
	}
	p.note(span{h.Offset, h.Offset + len(fragment)}, records)
	s.add(p)
	s.datagram = r.datagram
	return true
}

// closest returns the version that is complete, or most nearly so, with a fragment and
// without the parts that contradict it; and the parts that are left.
func (s *slot) closest(h *wire.FragmentHeader, fragment []byte) (base *partial, parts []span) {
	most := 0
	for _, p := range s.versions {
		if p.typ != h.Type || p.length != h.Length {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(p.forgeable.parts), func(part span) bool {
			return contradict(part.from, p.bytes(part), h.Offset, fragment)
		})
		covered := ranges{}
		for _, part := range left {
			covered.add(part.from, part.to)
		}
		sum := covered.size()
		if covered.add(h.Offset, h.Offset+len(fragment)); covered.cover(h.Length) {
			return p, left
		}
		if sum > most {
			most, base, parts = sum, p, left
		}
	}
	return base, parts
}

// bytes returns the bytes of a received part.
func (p *partial) bytes(part span) []byte {
	for i := range p.pieces {
		if t := &p.pieces[i]; t.offset <= part.from && part.to <= t.end() {
			return t.data[part.from-t.offset : part.to-t.offset]
		}
	}
	return nil
}

// note records a fragment of a message that may be forged, and the records that had it.
func (p *partial) note(part span, records []record.Number) {
	v := p.forgeable
	contains := func(q span) bool { return q.from <= part.from && part.to <= q.to }
	if part.from < part.to && !slices.ContainsFunc(v.parts, contains) {
		if len(v.parts) == maxParts {
			v.parts = nil
			for i := range p.pieces[:min(len(p.pieces), maxParts)] {
				v.parts = append(v.parts, span{p.pieces[i].offset, p.pieces[i].end()})
			}
		} else {
			v.parts = append(v.parts, part)
		}
	}
	for _, n := range records {
		if len(v.records) < maxRecords && !slices.Contains(v.records, n) {
			v.records = append(v.records, n)
		}
	}
}

// drop forgets a version of a message.
func (r *Reassembly) drop(s *slot, p *partial) {
	r.size -= p.held()
	s.versions = slices.DeleteFunc(s.versions, func(q *partial) bool { return q == p })
}

// agrees reports whether a fragment does not contradict earlier ones.
func (p *partial) agrees(h *wire.FragmentHeader, data []byte) bool {
	return p.typ == h.Type && p.length == h.Length && !slices.ContainsFunc(p.pieces, func(t piece) bool {
		return contradict(t.offset, t.data, h.Offset, data)
	})
}

// contradict reports whether a and b differ where they overlap.
func contradict(aOffset int, a []byte, bOffset int, b []byte) bool {
	from, to := max(aOffset, bOffset), min(aOffset+len(a), bOffset+len(b))
	return from < to && !bytes.Equal(a[from-aOffset:to-aOffset], b[from-bOffset:to-bOffset])
}

// insert adds data to p's pieces, which agree with it. If there is no room for it, the
// claim makes some.
func (r *Reassembly) insert(p *partial, offset int, data []byte, room claim) (kept bool) {
	if len(data) == 0 {
		p.seen = true
		return true
	}
	// The pieces from first up to last touch the new one, or overlap it.
	end := offset + len(data)
	first := 0
	for first < len(p.pieces) && p.pieces[first].end() < offset {
		first++
	}
	last := first
	for last < len(p.pieces) && p.pieces[last].offset <= end {
		last++
	}
	touched := p.pieces[first:last]
	if len(touched) == 1 && touched[0].offset <= offset && end <= touched[0].end() {
		return true // nothing new
	}
	whole := piece{offset: offset}
	if len(touched) > 0 {
		whole.offset = min(offset, touched[0].offset)
		end = max(end, touched[len(touched)-1].end())
	}
	if !r.reserve(p, &whole, touched, end, room) {
		return false
	}
	copy(whole.data[offset-whole.offset:], data)
	for i := range touched {
		copy(whole.data[touched[i].offset-whole.offset:], touched[i].data)
	}
	p.pieces = slices.Replace(p.pieces, first, last, whole)
	p.seen = true
	return true
}

// reserve gives whole the memory for all bytes up to end, including that of the
// pieces that it replaces. If a message arrives in order, its first piece grows
// by doubling.
func (r *Reassembly) reserve(p *partial, whole *piece, old []piece, end int, room claim) bool {
	n, freed := end-whole.offset, 0
	for i := range old {
		freed += cap(old[i].data) + pieceCost
	}
	if len(old) > 0 && old[0].offset == whole.offset && cap(old[0].data) >= n {
		if freed == cap(old[0].data)+pieceCost {
			whole.data = old[0].data[:n]
			return true
		}
	}
	if r.room() < n+pieceCost-freed && !room.make(n+pieceCost-freed) {
		return false
	}
	size := n
	if len(old) > 0 {
		size = max(n, min(2*n, p.length-whole.offset, r.room()+freed-pieceCost))
	}
	r.size += size + pieceCost - freed
	whole.data = make([]byte, n, size)
	return true
}

// room returns how many more bytes may be held.
func (r *Reassembly) room() int { return r.Memory - r.size - r.lent }

// claim is what a fragment may take room from. Its zero value takes none.
type claim struct {
	r   *Reassembly
	seq int      // of its message
	p   *partial // the version, if anybody may have sent it
}

// make makes room for n bytes: the message to be delivered next gets what is lent.
func (c claim) make(n int) bool {
	if c.r == nil {
		return false
	}
	if c.seq == c.r.next {
		c.r.lent = 0
	}
	return n <= c.r.room() || c.p != nil && c.forget(n)
}

// forget forgets later messages, beginning with the last one, and then other versions of
// the same one, the largest first. But what a datagram has begun may not take more than
// half of Memory from what was held before.
func (c claim) forget(n int) bool {
	r, s := c.r, c.r.slot(c.seq)
	for later := r.next + window - 1; later > c.seq; later-- {
		if r.forget(r.slot(later)); n <= r.room() {
			return true
		}
	}
	if len(c.p.pieces) > 0 && c.p.forgeable.datagram == r.datagram && c.p.held()+n > r.Memory/2 {
		return false
	}
	for n > r.room() {
		others := slices.DeleteFunc(slices.Clone(s.versions), func(q *partial) bool { return q == c.p })
		if len(others) == 0 {
			return false
		}
		r.drop(s, slices.MaxFunc(others, func(a, b *partial) int { return a.held() - b.held() }))
	}
	return true
}

// Take returns the next message if it is complete, and moves on.
func (r *Reassembly) Take() (m wire.Message, ok bool) {
	if r.next > 0xffff {
		return m, false
	}
	s := r.slot(r.next)
	i := slices.IndexFunc(s.versions, (*partial).complete)
	if i < 0 {
		return m, false
	}
	p := s.versions[i]
	m = wire.Message{Type: p.typ, Seq: uint16(r.next)}
	if len(p.pieces) > 0 {
		m.Body = p.pieces[0].data
	}
	if r.records = nil; p.forgeable != nil {
		r.records = p.forgeable.records
	}
	r.forget(s)
	r.next++
	return m, true
}

// Records returns the records of the last message taken, if it was unprotected.
func (r *Reassembly) Records() []record.Number { return r.records }

func (p *partial) complete() bool {
	if p.length == 0 {
		return p.seen
	}
	return len(p.pieces) == 1 && p.pieces[0].offset == 0 && len(p.pieces[0].data) == p.length
}
