package record

// windowSize is how much older than the newest record another one may be.
const windowSize = 256

// window remembers which record numbers of an epoch have been received: the
// sliding window of RFC 4303, Section 3.4.3. Its zero value has received
// nothing. Only authenticated numbers may be marked: otherwise a forged number
// would shut out genuine ones.
type window struct {
	next uint64                  // the highest number received, plus one
	seen [windowSize / 64]uint64 // a ring: the bit of n is n modulo windowSize
}

// Next is one more than the highest number received.
func (w *window) Next() uint64 { return w.next }

// Old reports whether n lies to the left of the window, so that nothing is
// known of it.
func (w *window) Old(n uint64) bool { return n < w.next && w.next-n > windowSize }

// Seen reports whether n is known to have been received.
func (w *window) Seen(n uint64) bool {
	return n < w.next && !w.Old(n) && w.seen[n/64%uint64(len(w.seen))]&(1<<(n%64)) != 0
}

// Fresh reports whether n certainly has not been received.
func (w *window) Fresh(n uint64) bool { return !w.Old(n) && !w.Seen(n) }

// Mark records that n has been received.
func (w *window) Mark(n uint64) {
	if w.Old(n) {
		return
	}
	switch {
	case n < w.next:
	case n-w.next >= windowSize:
		w.seen = [len(w.seen)]uint64{}
		w.next = n + 1
	case n >= w.next:
		for ; w.next < n; w.next++ {
			w.seen[w.next/64%uint64(len(w.seen))] &^= 1 << (w.next % 64)
		}
		w.next++
	}
	w.seen[n/64%uint64(len(w.seen))] |= 1 << (n % 64)
}
