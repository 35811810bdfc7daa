package carrier

import (
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// maxEpoch: RFC 9147bis, Section 8, permits this limit.
const maxEpoch = 1<<16 - 1

// readers are the reading keys of a connection. What they open is not marked as received
// yet.
type readers interface {
	// readEpoch is the epoch that new handshake messages must have.
	readEpoch() uint64
	// install begins a new epoch. cid is the connection ID that its records have.
	install(level handshake.Level, k suite.Keys, cid []byte) error
	// setLimit limits the content of records, except early data.
	setLimit(n int)
	// ahead returns the error of a record whose keys are not installed yet.
	ahead() error
	// sleep puts into s what wake needs, with the keys, on a new protocol. It fails if keys
	// before the newest ones are still in use.
	sleep(now time.Time, s *sleeping) bool
	wake(k suite.Keys, s *sleeping, cid []byte)
}

// opened is a record without its protection.
type opened struct {
	typ        record.ContentType
	number     record.Number
	content    []byte
	cid        bool             // it has our connection ID
	replayable bool             // it is early data, and may come from anywhere
	size       int              // bytes that it had, protected
	from       *record.Received // of its keys
}

// clear reports whether the record is unprotected.
func (r *opened) clear() bool { return r.number.Epoch == 0 }

// readers12 are the reading keys of DTLS 1.2.
type readers12 struct {
	keys  *record.Reader12 // of epoch 1; nil: not installed yet
	limit int              // see setLimit
}

// openClassic opens a protected record.
func (r *readers12) openClassic(c *record.Classic, o *opened) (err error) {
	switch {
	case c.Number.Epoch != 1:
		return record.NoKeys
	case r.keys == nil:
		return errAhead
	}
	o.number, o.from = c.Number, &r.keys.Received
	o.typ, o.content, err = r.keys.Open(c)
	return err
}

func (r *readers12) readEpoch() uint64 {
	if r.keys == nil {
		return 0
	}
	return 1
}

func (r *readers12) install(_ handshake.Level, k suite.Keys, cid []byte) error {
	r.keys = record.NewReader12(1, k, cid)
	r.keys.SetLimit(r.limit)
	return nil
}

func (r *readers12) setLimit(n int) {
	if r.limit = n; r.keys != nil {
		r.keys.SetLimit(n)
	}
}

func (r *readers12) ahead() error { return errAhead }

func (r *readers12) sleep(_ time.Time, s *sleeping) bool {
	s.read.Epoch, s.limits[0] = 1, uint16(r.limit)
	s.read.Sequence, s.seen, s.forged = r.keys.State()
	return true
}

func (r *readers12) wake(k suite.Keys, s *sleeping, cid []byte) {
	r.limit = int(s.limits[0])
	r.install(handshake.Application, k, cid)
	r.keys.SetState(s.read.Sequence, s.seen, s.forged)
}

// readers13 are the reading keys of DTLS 1.3. Since a KeyUpdate comes under the newest
// keys, there are never more than three generations: the next one, the one in use, and the
// one before, for records that were overtaken. Two bits tell them apart.
type readers13 struct {
	d           *Datagram
	generations []generation // the oldest first; see use
	expire      int64        // when those before the one in use are dropped, in Unix milliseconds; 0: never
}

// generation is one generation of reading keys.
type generation struct {
	*record.Reader13      // never nil
	used             bool // a record has arrived under them
	threatened       bool // by forgeries: the peer was asked for new keys
}

// openUnified opens a protected record. It chooses the keys by the two bits: "implementations
// SHOULD use the most recent past epoch which has matching bits" (RFC 9147bis, Section 4.2.2).
func (r *readers13) openUnified(now time.Time, u *record.Unified, o *opened) (err error) {
	if r.expire != 0 {
		r.forget(now)
	}
	for i := len(r.generations) - 1; i >= 0; i-- {
		g := &r.generations[i]
		if uint8(g.Epoch()&3) != u.EpochBits {
			continue
		}
		o.from = &g.Received
		o.number, o.typ, o.content, err = g.Open(u)
		o.replayable = o.number.Epoch == uint64(handshake.EarlyData)
		switch {
		case err != nil:
			err = r.refused(i, err)
		case !g.used:
			r.use(now, i)
		}
		return err
	}
	if u.EpochBits == uint8(nextEpoch(handshake.Handshake, r.readEpoch())&3) {
		return errAhead
	}
	return record.NoKeys
}

// refused: a record did not open. It may be one forgery too many.
func (r *readers13) refused(i int, err error) error {
	g, newest := &r.generations[i], i == len(r.generations)-1
	switch {
	case err == record.Forged && g.Threatened():
		g.threatened = g.threatened || newest && r.d.renewReading()
	case err == record.ErrForgeries && !newest:
		// "Once a key update has been initiated, the previous keys can be dropped when
		// the limit is reached rather than closing the connection."
		r.drop(i, i+1)
		return record.Forged
	}
	return err
}

// use: a record has arrived under new keys. Those before the previous ones are dropped now,
// and the previous ones, which rest until then, soon.
func (r *readers13) use(now time.Time, i int) {
	r.generations[i].used = true
	r.generations[i].Wake()
	r.drop(0, max(0, i-1))
	if i > 0 {
		r.generations[0].Rest()
	}
	r.expire = now.Add(flight.TwiceMSL).UnixMilli()
}

func (r *readers13) drop(from, to int) { r.generations = slices.Delete(r.generations, from, to) }

// forget drops the keys before those in use after a while.
func (r *readers13) forget(now time.Time) {
	if r.expire == 0 || now.UnixMilli() < r.expire {
		return
	}
	r.expire = 0
	for len(r.generations) > 1 && r.generations[1].used {
		r.drop(0, 1)
	}
}

// dropHandshake drops the handshake's keys: no more records arrive under them.
func (r *readers13) dropHandshake() {
	if len(r.generations) > 0 && r.generations[0].Epoch() == uint64(handshake.Handshake) {
		r.drop(0, 1)
	}
}

// rest makes the handshake's keys small. They are kept for a client's last flight, which
// may be repeated.
func (r *readers13) rest() {
	for _, g := range r.generations {
		if g.Epoch() < uint64(handshake.Application) {
			g.Rest()
		}
	}
}

func (r *readers13) readEpoch() uint64 {
	if len(r.generations) == 0 {
		return 0
	}
	return r.newest().Epoch()
}

func (r *readers13) newest() *generation { return &r.generations[len(r.generations)-1] }

// nextEpoch is the epoch of new keys after that epoch: RFC 9147bis, Section 6.1.
func nextEpoch(level handshake.Level, epoch uint64) uint64 { return max(uint64(level), epoch+1) }

func (r *readers13) install(level handshake.Level, k suite.Keys, _ []byte) error {
	epoch := nextEpoch(level, r.readEpoch())
	if epoch > maxEpoch {
		return errKeyUpdates
	}
	if level == handshake.Application {
		k.Loosen()
		k.AEAD = nil // until the peer uses them
	}
	next := record.NewReader13(epoch, k)
	if len(r.generations) > 0 {
		next.SetLimit(r.newest().Limit())
	}
	r.generations = append(r.generations, generation{Reader13: next})
	return nil
}

// setLimit limits what is received, but not early data: its sender cannot know yet.
func (r *readers13) setLimit(n int) {
	for _, g := range r.generations {
		if g.Epoch() != uint64(handshake.EarlyData) {
			g.SetLimit(n)
		}
	}
}

func (r *readers13) ahead() error { return errAhead }

// sleep keeps the newest generation, and the handshake's, for a client's last flight.
func (r *readers13) sleep(now time.Time, s *sleeping) bool {
	r.forget(now)
	newest := r.newest()
	if !newest.used && newest.Epoch() != uint64(handshake.Application) {
		return false // the peer still uses the keys before them
	}
	s.read.Epoch, s.limits[0] = newest.Epoch(), uint16(newest.Limit())
	s.read.Sequence, s.seen, s.forged = newest.State()
	s.used, s.threatened = newest.used, newest.threatened
	if first := &r.generations[0]; first.Epoch() == uint64(handshake.Handshake) && first.Resting() {
		s.finished, s.expire = first.Rested(), uint64(r.expire)
	}
	return true
}

func (r *readers13) wake(k suite.Keys, s *sleeping, _ []byte) {
	if s.finished != nil {
		r.expire = int64(s.expire)
		finished := record.NewRested13(uint64(handshake.Handshake), k.Suite, s.finished)
		r.generations = append(r.generations, generation{Reader13: finished, used: true})
	}
	k.Loosen()
	newest := record.NewReader13(s.read.Epoch, k)
	newest.SetState(s.read.Sequence, s.seen, s.forged)
	r.generations = append(r.generations, generation{newest, s.used, s.threatened})
	r.setLimit(int(s.limits[0]))
}

var (
	_ readers = (*readers12)(nil)
	_ readers = (*readers13)(nil)
)
