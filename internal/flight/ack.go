package flight

import (
	"encoding/binary"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/record"
)

// MaxACK is the most record numbers that an ACK has. It has the newest ones: the
// older ones have probably been acknowledged before.
const MaxACK = 32

// recordNumberLen is the size of a RecordNumber in an ACK.
const recordNumberLen = 16

// Received is the records that have brought handshake messages, in order of
// receipt, and that an ACK would name (RFC 9147bis, Section 7).
type Received struct{ numbers []record.Number }

// Add adds a record.
func (r *Received) Add(n record.Number) {
	if slices.Contains(r.numbers, n) {
		return
	}
	if len(r.numbers) == MaxACK {
		r.numbers = slices.Delete(r.numbers, 0, 1)
	}
	r.numbers = append(r.numbers, n)
}

// Empty reports whether there is nothing to acknowledge.
func (r *Received) Empty() bool { return len(r.numbers) == 0 }

// Clear forgets all records: the flight that answers them acknowledges them.
func (r *Received) Clear() { r.numbers = nil }

// Append appends the body of an ACK of at most room bytes, "in numerically
// increasing order".
func (r *Received) Append(b []byte, room int) []byte {
	n := min(len(r.numbers), max(0, room-2)/recordNumberLen)
	var sorted [MaxACK]record.Number
	newest := sorted[:copy(sorted[:], r.numbers[len(r.numbers)-n:])]
	slices.SortFunc(newest, record.Number.Compare)
	b = binary.BigEndian.AppendUint16(b, uint16(n*recordNumberLen))
	for _, n := range newest {
		b = binary.BigEndian.AppendUint64(b, n.Epoch)
		b = binary.BigEndian.AppendUint64(b, n.Sequence)
	}
	return b
}

// ACK is the record numbers of a received ACK, which alias it.
type ACK []byte

// ParseACK reads the body of an ACK.
func ParseACK(b []byte) (ACK, bool) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 || (len(b)-2)%recordNumberLen != 0 {
		return nil, false
	}
	return ACK(b[2:]), true
}

// Len is the number of record numbers.
func (a ACK) Len() int { return len(a) / recordNumberLen }

// At is the record number at position i.
func (a ACK) At(i int) record.Number {
	b := a[i*recordNumberLen:]
	return record.Number{Epoch: binary.BigEndian.Uint64(b), Sequence: binary.BigEndian.Uint64(b[8:])}
}
