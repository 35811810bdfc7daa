package flight

import "slices"

// ranges are the marked parts of a message: sorted, with gaps between them.
type ranges []span

type span struct{ from, to int }

// add marks the bytes from from up to, but not including, to.
func (r *ranges) add(from, to int) {
	if from >= to {
		return
	}
	first := 0
	for first < len(*r) && (*r)[first].to < from {
		first++
	}
	last := first
	for last < len(*r) && (*r)[last].from <= to {
		from, to = min(from, (*r)[last].from), max(to, (*r)[last].to)
		last++
	}
	*r = slices.Replace(*r, first, last, span{from, to})
}

// gap returns the first part at or after from, and before end, that is not
// marked. It is empty when there is none.
func (r ranges) gap(from, end int) span {
	for _, s := range r {
		if s.to <= from {
			continue
		}
		if s.from > from {
			return span{from, min(s.from, end)}
		}
		from = s.to
	}
	return span{min(from, end), end}
}

// size returns how many bytes are marked.
func (r ranges) size() (n int) {
	for _, s := range r {
		n += s.to - s.from
	}
	return n
}

// cover reports whether all bytes up to end are marked.
func (r ranges) cover(end int) bool { return len(r) == 1 && r[0].from == 0 && r[0].to >= end }
