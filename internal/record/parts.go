package record

// Parts is data in several slices.
type Parts struct {
	list [][]byte
	used int // bytes of list[0]
	left int // bytes of all
}

// NewParts returns the data of list, which is not modified.
func NewParts(list [][]byte) Parts {
	p := Parts{list: list}
	for _, part := range list {
		p.left += len(part)
	}
	return p
}

// Len is how many bytes are left.
func (p *Parts) Len() int { return p.left }

// Append appends the next n bytes to dst. At least n bytes must be left.
func (p *Parts) Append(dst []byte, n int) []byte {
	p.left -= n
	for n > 0 {
		part := p.list[0][p.used:]
		m := min(n, len(part))
		dst = append(dst, part[:m]...)
		if n -= m; m < len(part) {
			p.used += m
			break
		}
		p.list, p.used = p.list[1:], 0
	}
	return dst
}
