package flight

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

func newReassembly() *Reassembly {
	return &Reassembly{Memory: DefaultMemory, Limit: 1 << 16, Certificate: 1 << 16}
}

func TestReassembly(t *testing.T) {
	const (
		kept = iota
		refused
		fatal
	)
	hello := []byte("0123456789")
	type part struct {
		seq      uint16
		from, to int
		want     int
		edit     func(*wire.FragmentHeader, []byte)
	}
	for _, test := range []struct {
		name  string
		parts []part
		want  []uint16 // messages, in order
	}{
		{"whole", []part{{0, 0, 10, kept, nil}}, []uint16{0}},
		{"in two", []part{{0, 0, 5, kept, nil}, {0, 5, 10, kept, nil}}, []uint16{0}},
		{"the other way round", []part{{0, 5, 10, kept, nil}, {0, 0, 5, kept, nil}}, []uint16{0}},
		{"overlapping", []part{{0, 0, 6, kept, nil}, {0, 4, 10, kept, nil}}, []uint16{0}},
		{"one within another", []part{{0, 2, 8, kept, nil}, {0, 3, 5, kept, nil}, {0, 0, 10, kept, nil}}, []uint16{0}},
		{"one over three", []part{{0, 1, 2, kept, nil}, {0, 4, 5, kept, nil}, {0, 8, 9, kept, nil}, {0, 0, 10, kept, nil}}, []uint16{0}},
		{"a gap that two pieces leave", []part{{0, 0, 3, kept, nil}, {0, 6, 10, kept, nil}, {0, 3, 6, kept, nil}}, []uint16{0}},
		{"again and again", []part{{0, 0, 5, kept, nil}, {0, 0, 5, kept, nil}, {0, 5, 10, kept, nil}}, []uint16{0}},
		{"not all", []part{{0, 0, 5, kept, nil}, {0, 6, 10, kept, nil}}, nil},
		{"the second message first", []part{{1, 0, 10, kept, nil}, {0, 0, 10, kept, nil}}, []uint16{0, 1}},
		{"interleaved", []part{{1, 0, 5, kept, nil}, {0, 5, 10, kept, nil}, {1, 5, 10, kept, nil}, {0, 0, 5, kept, nil}}, []uint16{0, 1}},
		{"empty fragments", []part{{0, 0, 0, kept, nil}, {0, 10, 10, kept, nil}, {0, 0, 10, kept, nil}}, []uint16{0}},
		{"as far ahead as may be", []part{{6, 0, 10, kept, nil}, {0, 0, 10, kept, nil}}, []uint16{0}},
		{"too far ahead", []part{{7, 0, 10, refused, nil}, {0, 0, 10, kept, nil}}, []uint16{0}},
		{"another type", []part{
			{0, 0, 5, kept, nil},
			{0, 5, 10, fatal, func(h *wire.FragmentHeader, _ []byte) { h.Type++ }},
			{0, 5, 10, kept, nil},
		}, []uint16{0}},
		{"another length", []part{
			{0, 0, 5, kept, nil},
			{0, 5, 10, fatal, func(h *wire.FragmentHeader, _ []byte) { h.Length++ }},
			{0, 5, 10, kept, nil},
		}, []uint16{0}},
		{"another byte", []part{
			{0, 0, 5, kept, nil},
			{0, 4, 10, fatal, func(_ *wire.FragmentHeader, b []byte) { b[0]++ }},
			{0, 5, 10, kept, nil},
		}, []uint16{0}},
		{"a message of 16 MB", []part{
			{0, 0, 10, fatal, func(h *wire.FragmentHeader, _ []byte) { h.Length = 1<<24 - 1 }},
			{0, 0, 10, kept, nil},
		}, []uint16{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newReassembly()
			var got []uint16
			for i, p := range test.parts {
				data := bytes.Clone(hello[p.from:p.to])
				h := wire.FragmentHeader{Type: wire.TypeFinished, Length: 10, Seq: p.seq, Offset: p.from, FragmentLength: p.to - p.from}
				if p.edit != nil {
					p.edit(&h, data)
				}
				ok, err := r.Add(&h, data)
				if ok != (p.want == kept) || (err != nil) != (p.want == fatal) {
					t.Fatalf("part %d: kept is %v, error %v", i, ok, err)
				}
				clear(data)
				for m, ok := r.Take(); ok; m, ok = r.Take() {
					if !bytes.Equal(m.Body, hello) || m.Type != wire.TypeFinished {
						t.Errorf("got %v %q", m.Type, m.Body)
					}
					got = append(got, m.Seq)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got messages %v, want %v", got, test.want)
			}
			held := 0
			for _, p := range r.partial {
				if p != nil {
					for _, piece := range p.pieces {
						held += cap(piece.data) + pieceCost
					}
				}
			}
			if r.size != held {
				t.Errorf("says that it holds %d bytes, has %d", r.size, held)
			}
			if r.Discard(); !r.Empty() || r.size != 0 {
				t.Error("not empty after Discard")
			}
		})
	}
}

func TestReassemblyNumbers(t *testing.T) {
	r := newReassembly()
	r.StartAt(0xffff)
	if r.Old(0xffff) || !r.Old(0xfffe) || !r.Last(0xfffe) || r.Last(0xffff) {
		t.Error("before the last message: wrong")
	}
	h := wire.FragmentHeader{Type: wire.TypeKeyUpdate, Length: 1, Seq: 0xffff, FragmentLength: 1}
	if kept, err := r.Add(&h, []byte{0}); !kept || err != nil {
		t.Fatal(kept, err)
	}
	if m, ok := r.Take(); !ok || m.Seq != 0xffff {
		t.Fatal("the last message does not come")
	}
	// RFC 9147bis, Section 5.2: message_seq does not wrap.
	if !r.Old(0) || !r.Old(0xffff) {
		t.Error("message_seq has wrapped")
	}
	if _, ok := r.Take(); ok {
		t.Error("a message behind the last")
	}
}

func TestForget(t *testing.T) {
	r := newReassembly()
	add := func(typ wire.Type, offset int, data string) error {
		_, err := r.Add(&wire.FragmentHeader{Type: typ, Length: 4, Offset: offset, FragmentLength: len(data)}, []byte(data))
		return err
	}
	if err := add(wire.TypeServerHello, 0, "ab"); err != nil {
		t.Fatal(err)
	}
	if err := add(wire.TypeFinished, 0, "abcd"); err != ErrContradiction {
		t.Fatalf("got error %v, want %v", err, ErrContradiction)
	}
	r.Forget(0)
	r.Forget(1)
	if r.size != 0 || !r.Empty() {
		t.Errorf("%d bytes are left", r.size)
	}
	if err := add(wire.TypeFinished, 0, "abcd"); err != nil {
		t.Error(err)
	}
}

// TestReassemblyMemory: whatever comes, no more than Memory is held.
// TestReassemblyGrows: a message that comes in order, a byte at a time, is copied
// a few times only, also where memory ends.
func TestReassemblyGrows(t *testing.T) {
	r := newReassembly()
	const length = 1<<16 - 1 // with its cost more than there is memory
	copies := 0
	var at *byte
	for i := range length - pieceCost {
		kept, err := r.Add(&wire.FragmentHeader{Type: wire.TypeCertificate, Length: length, Offset: i, FragmentLength: 1}, []byte{1})
		if err != nil || !kept {
			t.Fatalf("byte %d: %v", i, err)
		}
		if now := &r.partial[0].pieces[0].data[0]; now != at {
			copies, at = copies+1, now
		}
	}
	if copies > 20 {
		t.Errorf("it is copied %d times", copies)
	}
}

func TestReassemblyMemory(t *testing.T) {
	for _, test := range []struct {
		name string
		next func(i int) (seq uint16, offset, size int)
	}{
		{"every other byte", func(i int) (uint16, int, int) { return uint16(i / 30000), 2 * (i % 30000), 1 }},
		{"large fragments of seven messages", func(i int) (uint16, int, int) { return uint16(i % 7), 1000 * (i / 7), 1000 }},
		{"backwards", func(i int) (uint16, int, int) { return 0, 60000 - 3*i, 2 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newReassembly()
			data := make([]byte, 1000)
			refused := 0
			for i := range 4000 {
				seq, offset, size := test.next(i)
				if offset < 0 || offset+size > 1<<16 {
					break
				}
				kept, err := r.Add(&wire.FragmentHeader{Type: wire.TypeCertificate, Length: 1 << 16, Seq: seq, Offset: offset, FragmentLength: size}, data[:size])
				if err != nil {
					t.Fatal(err)
				}
				if !kept {
					refused++
				}
				held := 0
				for _, p := range r.partial {
					if p != nil {
						for _, piece := range p.pieces {
							held += cap(piece.data)
						}
					}
				}
				if held > r.Memory || r.size > r.Memory {
					t.Fatalf("%d bytes are held, %d counted", held, r.size)
				}
			}
			if refused == 0 {
				t.Error("nothing was refused")
			}
		})
	}
}

// TestReassemblyLarge: the largest message comes through in order, and in
// reverse.
func TestReassemblyLarge(t *testing.T) {
	want := body(60000)
	for _, reverse := range []bool{false, true} {
		r := newReassembly()
		var offsets []int
		for o := 0; o < len(want); o += 1100 {
			offsets = append(offsets, o)
		}
		for i := range offsets {
			o := offsets[i]
			if reverse {
				o = offsets[len(offsets)-1-i]
			}
			end := min(o+1100, len(want))
			h := wire.FragmentHeader{Type: wire.TypeCertificate, Length: len(want), Offset: o, FragmentLength: end - o}
			if kept, err := r.Add(&h, want[o:end]); !kept || err != nil {
				t.Fatalf("offset %d: kept is %v, error %v", o, kept, err)
			}
		}
		if m, ok := r.Take(); !ok || !bytes.Equal(m.Body, want) {
			t.Errorf("reverse %v: the message does not come", reverse)
		}
		if r.size != 0 {
			t.Errorf("%d bytes are left", r.size)
		}
	}
}

// FuzzReassembly: the pieces of one message, cut and ordered by the input, give
// that message and nothing else, and a second message's never mix in.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 0, 50, 0, 50, 50}, uint64(1))
	f.Add([]byte{1, 0, 99, 0, 10, 30, 0, 0, 100, 1, 60, 40}, uint64(2))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		r := newReassembly()
		rng := rand.New(rand.NewPCG(seed, 0))
		bodies := [2][]byte{make([]byte, 100), make([]byte, 1+rng.IntN(100))}
		for _, b := range bodies {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		}
		next := 0
		for ; len(in) >= 3; in = in[3:] {
			seq := int(in[0] % 2)
			b := bodies[seq]
			from := min(int(in[1]), len(b))
			to := min(from+int(in[2]), len(b))
			if r.Old(uint16(seq)) {
				continue
			}
			h := wire.FragmentHeader{Type: wire.Type(seq), Length: len(b), Seq: uint16(seq), Offset: from, FragmentLength: to - from}
			if kept, err := r.Add(&h, b[from:to]); !kept || err != nil {
				t.Fatalf("kept is %v, error %v", kept, err)
			}
			for m, ok := r.Take(); ok; m, ok = r.Take() {
				if int(m.Seq) != next || int(m.Type) != next || !bytes.Equal(m.Body, bodies[next]) {
					t.Fatalf("message %d differs", next)
				}
				next++
			}
		}
	})
}
