package hermetic

import (
	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/poison"
	"github.com/hermetic-tls/hermetic/internal/record"
)

// maxJoined is the largest record whose data is moved, so that it joins that of the records
// before it. A larger one costs less alone: moving it takes longer than a call.
const maxJoined = 512

// OpenAll is [Engine.Open] for many small records: it consumes the records of in one after
// another, and joins their application data in place. Opened.Data is all of it, and aliases in;
// N is the number of bytes of all the records, and Kind is that of the data. As with Open, call
// it until N is 0 or in is used up, because one call may stop early: after a record that is not
// application data, and before one that is incomplete or large.
//
// A record that comes after data and ends the connection is left to the next call, as if it had
// not been opened yet: N leaves it out, and until then the engine sends and answers as before. So an
// error never comes with data. In DTLS, OpenAll is Open: each datagram stands alone.
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

// openPutOff returns the error of the record that in begins with, which is decrypted already.
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

// SealBuffers is [Engine.Seal] for data that stands in several slices, such as a header and a
// body, or a net.Buffers. It seals them as if they were joined, and copies each byte only into its
// record: records do not end where slices do. In DTLS they are one datagram. The slices are not
// modified.
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
