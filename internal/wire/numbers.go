package wire

import "slices"

// numbers is a set of 16-bit numbers. It finds duplicates in a list of any length: each
// addition takes constant time, and a short list allocates nothing.
type numbers struct {
	few  [32]uint16
	n    int           // how many of few are used
	many *[1024]uint64 // one bit for each number, once few is full
}

// add adds v and reports whether it is new.
func (s *numbers) add(v uint16) bool {
	word, bit := v/64, uint64(1)<<(v%64)
	if slices.Contains(s.few[:s.n], v) || s.many != nil && s.many[word]&bit != 0 {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = v
		s.n++
		return true
	}
	if s.many == nil {
		s.many = new([1024]uint64)
	}
	s.many[word] |= bit
	return true
}
