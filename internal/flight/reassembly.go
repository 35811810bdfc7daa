package flight

import (
	"bytes"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// window is how many messages, from the next one on, may come out of order: as
// many as the longest flight has.
const window = 7

// DefaultMemory is how many bytes a peer may have lie around before its
// messages are complete.
const DefaultMemory = 64 << 10

// pieceCost is what a piece costs beside its bytes.
const pieceCost = 48

var (
	// ErrContradiction: a fragment does not fit those that have come before.
	ErrContradiction = alert.New(alert.IllegalParameter, "the fragments of a message contradict each other")

	errTooLarge = alert.New(alert.IllegalParameter, "a handshake message is larger than the limit")
)

// Reassembly puts messages together again from fragments that come in any
// order, overlap, and repeat themselves.
type Reassembly struct {
	// Memory is how many bytes it may hold.
	Memory int
	// Limit is how large a message may be, and Certificate how large one of
	// that type.
	Limit, Certificate int

	next    int // message_seq of the message to be delivered next, or 1<<16
	partial [window]*partial
	size    int // bytes held
}

// partial is a message of which not all has come.
type partial struct {
	typ    wire.Type
	length int
	seen   bool    // something of it has come, be it only the header
	pieces []piece // sorted, apart from each other
}

type piece struct {
	offset int
	data   []byte
}

func (p *piece) end() int { return p.offset + len(p.data) }

// StartAt sets the message_seq of the first message.
func (r *Reassembly) StartAt(seq int) { r.next = seq }

// Next is the message_seq of the message to be delivered next, or 1<<16.
func (r *Reassembly) Next() int { return r.next }

func (r *Reassembly) limit(t wire.Type) int {
	if t == wire.TypeCertificate {
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
func (r *Reassembly) Empty() bool { return r.partial == [window]*partial{} }

// Discard forgets all that is held.
func (r *Reassembly) Discard() { r.partial, r.size = [window]*partial{}, 0 }

// Forget forgets what is held of one message.
func (r *Reassembly) Forget(seq uint16) {
	p := &r.partial[int(seq)%window]
	if *p == nil {
		return
	}
	for i := range (*p).pieces {
		r.size -= cap((*p).pieces[i].data) + pieceCost
	}
	*p = nil
}

// Add takes a fragment of a message that is not old; its bytes are copied. It
// is not kept when it is too far ahead or memory is short: then the peer must
// send it again.
func (r *Reassembly) Add(h *wire.FragmentHeader, fragment []byte) (kept bool, err error) {
	ahead := int(h.Seq) - r.next
	if ahead >= window {
		return false, nil
	}
	if h.Length > r.limit(h.Type) {
		return false, errTooLarge
	}
	p := r.partial[int(h.Seq)%window]
	if p == nil {
		p = &partial{typ: h.Type, length: h.Length}
	} else if p.typ != h.Type || p.length != h.Length {
		return false, ErrContradiction
	}
	kept, err = r.insert(p, h.Offset, fragment)
	if kept {
		r.partial[int(h.Seq)%window] = p
	}
	return kept, err
}

// insert adds data to p's pieces.
func (r *Reassembly) insert(p *partial, offset int, data []byte) (kept bool, err error) {
	if len(data) == 0 {
		p.seen = true
		return true, nil
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
	for i := range touched {
		t := &touched[i]
		from, to := max(offset, t.offset), min(end, t.end())
		if from < to && !bytes.Equal(data[from-offset:to-offset], t.data[from-t.offset:to-t.offset]) {
			return false, ErrContradiction
		}
	}
	if len(touched) == 1 && touched[0].offset <= offset && end <= touched[0].end() {
		return true, nil // nothing new
	}
	whole := piece{offset: offset}
	if len(touched) > 0 {
		whole.offset = min(offset, touched[0].offset)
		end = max(end, touched[len(touched)-1].end())
	}
	if !r.reserve(p, &whole, touched, end) {
		return false, nil
	}
	copy(whole.data[offset-whole.offset:], data)
	for i := range touched {
		copy(whole.data[touched[i].offset-whole.offset:], touched[i].data)
	}
	p.pieces = slices.Replace(p.pieces, first, last, whole)
	p.seen = true
	return true, nil
}

// reserve gives whole the memory for all up to end, in place of the pieces
// that it takes the place of. A message that comes in order grows its first
// piece by doubling.
func (r *Reassembly) reserve(p *partial, whole *piece, old []piece, end int) bool {
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
	size, room := n, r.Memory-r.size+freed-pieceCost
	if len(old) > 0 {
		size = max(n, min(2*n, p.length-whole.offset, room))
	}
	if size > room {
		return false
	}
	r.size += size + pieceCost - freed
	whole.data = make([]byte, n, size)
	return true
}

// Take returns the next message if all of it has come, and moves on.
func (r *Reassembly) Take() (m wire.Message, ok bool) {
	if r.next > 0xffff {
		return m, false
	}
	p := r.partial[r.next%window]
	if p == nil || !p.complete() {
		return m, false
	}
	m = wire.Message{Type: p.typ, Seq: uint16(r.next)}
	if len(p.pieces) > 0 {
		m.Body = p.pieces[0].data
		r.size -= cap(m.Body) + pieceCost
	}
	r.partial[r.next%window] = nil
	r.next++
	return m, true
}

func (p *partial) complete() bool {
	if p.length == 0 {
		return p.seen
	}
	return len(p.pieces) == 1 && p.pieces[0].offset == 0 && len(p.pieces[0].data) == p.length
}
