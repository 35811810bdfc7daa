package hermetic

import (
	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/poison"
	"github.com/hermetic-tls/hermetic/internal/record"
)

// maxJoined is the size of the largest record whose data is moved to join the data before it. For a
// larger one, another call costs less than moving the data.
const maxJoined = 512

// OpenAll is like [Engine.Open], but opens many small records in one call. It joins their
// application data in place: Opened.Data is all of it and aliases in, N is the number of bytes of
// all these records, and Kind is the kind of the data. A call stops before a record that is
// incomplete or large, and after one that is not application data. So, as with Open, call it until
// N is 0 or in is used up.
//
// An error never comes with data. If a record after data ends the connection, N leaves it out, and
// the next call returns its error. Until then, the engine behaves as if it had not opened that
// record. In DTLS, OpenAll is the same as Open.
func (e *Engine) OpenAll(in []byte) (Opened, error) {
	if e.trace.Enter() {
		return e.traceOpenAll(in)
	}
	data, n, kind, err := e.open(in, false)
	s, stream := e.carrier.(*carrier.Stream)
	if kind == KindNone || !stream || !joinable(s, in[n:]) || len(data) > maxJoined {
		return Opened{Data: data, N: n, Kind: kind}, err
	}
	all := append(in[:0], data...) // the record was longer
	for joinable(s, in[n:]) {
		next, m, kind, err := e.open(in[n:], true)
		if err != nil {
			break
		}
		all = append(all, next...)
		n += m
		if kind == KindNone {
			break
		}
	}
	poison.Around(in[:n], all)
	return Opened{Data: all[:len(all):len(all)], N: n, Kind: kind}, nil
}

// openPutOff returns the error of the record at the start of in, which is already decrypted.
func (e *Engine) openPutOff(in []byte) (n int, err error) {
	s := e.carrier.(*carrier.Stream)
	if s.Missing(in) > 0 {
		return 0, nil
	}
	if e.putOff == carrier.ErrClosed {
		n = s.Length(in)
	}
	err, e.putOff = e.putOff, nil
	return n, e.fail(err)
}

// joinable reports whether in begins with a small record that is complete.
func joinable(s *carrier.Stream, in []byte) bool {
	return len(in) > 0 && s.Missing(in) == 0 && s.Length(in) <= maxJoined
}

// SealBuffers is like [Engine.Seal], but takes data in several slices, such as a header and a body,
// or a net.Buffers. It seals them as if they were joined, so a record may span slices. Each byte is
// copied only once, into its record. In DTLS, all slices together are one datagram. The slices are
// not modified.
func (e *Engine) SealBuffers(dst []byte, data [][]byte) ([]byte, error) {
	if e.trace.Enter() {
		return e.traceSealBuffers(dst, data)
	}
	if err := e.beginSeal(); err != nil {
		return dst, err
	}
	out, err := e.carrier.SealParts(dst, data)
	if err != nil {
		parts := record.NewParts(data)
		return dst, e.sealError(err, parts.Len())
	}
	return out, nil
}
