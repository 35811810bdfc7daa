//go:build poison

package poison

import "bytes"

const Copies = true

type Loan struct{ lent []byte }

// Lend returns a copy: b may be where the next result is put together.
func (l *Loan) Lend(b []byte) []byte {
	l.End()
	l.lent = bytes.Clone(b)
	return l.lent
}

func (l *Loan) End() {
	fill(l.lent)
	l.lent = nil
}

func Around(in, data []byte) {
	keep := bytes.Clone(data)
	fill(in)
	copy(data, keep)
}

func fill(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
