package carrier

import (
	"bytes"
	"errors"

	"github.com/hermetic-tls/hermetic/internal/flight"
)

const (
	// maxAhead is how many bytes of records wait for their keys. One datagram may add
	// half of it.
	maxAhead = 16 << 10
	// aheadCost is the cost of each record in addition to its bytes.
	aheadCost = 48
)

// errAhead: the keys of a record are not installed yet.
var errAhead = errors.New("a record is ahead of its keys")

// ahead holds records that arrived before their keys. They count against the reassembly
// memory, but give way to the message that is delivered next.
type ahead struct {
	kept    [][]byte
	retries [][]byte // records that were kept until the last change of keys
	size    int      // what the current datagram has added to kept
	opening bool     // a record of retries is being opened
}

// nextDatagram starts another datagram.
func (a *ahead) nextDatagram() { a.size = 0 }

// keep keeps a record, if there is room for it in memory.
func (a *ahead) keep(memory *flight.Reassembly, in []byte) bool {
	size := len(in) + aheadCost
	if a.size+size > maxAhead/2 || memory.Lent()+size > maxAhead || !memory.Lend(size) {
		return false
	}
	a.kept = append(a.kept, bytes.Clone(in))
	a.size += size
	return true
}

// yield drops the kept records if a message has needed the memory. It returns how many
// there were.
func (a *ahead) yield(memory *flight.Reassembly) (n int) {
	if memory.Lent() == 0 {
		n, a.kept = len(a.kept), nil
	}
	return n
}

// retry makes next return the records kept so far, because there are new keys.
func (a *ahead) retry(memory *flight.Reassembly) {
	a.retries, a.kept = append(a.retries, a.kept...), nil
	memory.Return()
}

// next returns a record whose keys may now be installed, or nil.
func (a *ahead) next() (in []byte) {
	if len(a.retries) == 0 {
		return nil
	}
	in, a.retries = a.retries[0], a.retries[1:]
	if len(a.retries) == 0 {
		a.retries = nil
	}
	return in
}

// back puts the rest of a record's datagram back at the front.
func (a *ahead) back(rest []byte) {
	if len(rest) > 0 {
		a.retries = append([][]byte{rest}, a.retries...)
	}
}
