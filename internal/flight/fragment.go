package flight

import (
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Append appends records with the next part of the flight to a datagram that has
// room for that many more bytes. Messages are cut where the room ends. A record has
// as many fragments of messages under the same keys as fit, but only one if it is
// unprotected, because some peers read no further.
func (f *Flight) Append(dst []byte, room int) ([]byte, error) {
	for f.Pending() {
		epoch := f.messages[f.at.message].epoch
		n := min(room-epoch.Overhead(), epoch.MaxData())
		first := f.at
		typ := record.Handshake
		if f.messages[first.message].ccs {
			typ = record.ChangeCipherSpec
			n = min(n, 1)
		}
		f.fill(n)
		if len(f.payload) == 0 {
			return dst, nil // no room
		}
		number, before := epoch.Next(), len(dst)
		var err error
		if dst, err = epoch.Seal(dst, typ, f.payload); err != nil {
			return dst, err
		}
		if f.Trace != nil {
			f.Trace.SentRecord(typ, number, f.payload, dst, before)
		}
		f.remember(sentRecord{number, first, f.at})
		room -= len(dst) - before
	}
	return dst, nil
}

// fill assembles the content of one record, at most n bytes.
func (f *Flight) fill(n int) {
	f.payload = f.payload[:0]
	for {
		m := &f.messages[f.at.message]
		if m.ccs {
			if len(f.payload) == 0 && n >= 1 {
				f.payload = append(f.payload, 1)
				f.at = position{f.at.message + 1, 0}
			}
			return
		}
		if !f.fillMessage(m, n) || m.epoch.Next().Epoch == 0 {
			return
		}
		f.skip()
		if f.at.message == len(f.messages) || f.messages[f.at.message].epoch != m.epoch {
			return
		}
	}
}

// fillMessage adds fragments of the missing parts of m. It returns false when there
// is no more room.
func (f *Flight) fillMessage(m *message, n int) bool {
	length := m.end - m.start
	for f.at.offset < m.size() {
		gap := m.acked.gap(f.at.offset, m.size())
		if gap.from == gap.to {
			break
		}
		room := n - len(f.payload) - wire.FragmentHeaderLen
		if room < min(1, length) {
			return false
		}
		size := min(gap.to-gap.from, length, room)
		h := wire.FragmentHeader{Type: m.typ, Length: length, Seq: m.seq, Offset: min(gap.from, length), FragmentLength: size}
		f.payload = h.Append(f.payload)
		f.payload = append(f.payload, f.bytes[m.start+h.Offset:][:size]...)
		f.at.offset = gap.from + max(size, 1)
		if f.at.offset < gap.to {
			return false
		}
	}
	f.at = position{f.at.message + 1, 0}
	return true
}
