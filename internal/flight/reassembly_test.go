package flight

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/record"
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
			for _, s := range r.slots {
				for _, p := range s.versions {
					held += p.held()
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
		t.Error("a message after the last")
	}
}

// TestVersions: where anybody may have sent a fragment, the genuine ones still give their
// message.
func TestVersions(t *testing.T) {
	const genuine = "abcdefghij"
	type fragment struct {
		typ    wire.Type
		length int
		offset int
		data   string
	}
	g := func(from, to int) fragment { return fragment{wire.TypeServerHello, 10, from, genuine[from:to]} }
	f := func(offset int, data string) fragment { return fragment{wire.TypeServerHello, 10, offset, data} }
	for name, datagrams := range map[string][][]fragment{
		"alone":                       {{g(0, 5)}, {g(5, 10)}},
		"another type":                {{g(0, 5)}, {{wire.TypeFinished, 10, 5, "fghij"}}, {g(5, 10)}},
		"another type first":          {{{wire.TypeFinished, 10, 0, "abcde"}}, {g(0, 5)}, {g(5, 10)}},
		"another length":              {{g(0, 5)}, {{wire.TypeServerHello, 9, 5, "fgh"}}, {g(5, 10)}},
		"another length first":        {{{wire.TypeServerHello, 60000, 30000, "x"}}, {g(0, 5)}, {g(5, 10)}},
		"without content":             {{{wire.TypeServerHello, 9, 0, ""}}, {g(0, 5)}, {g(5, 10)}},
		"other bytes where some came": {{g(0, 5)}, {f(1, "x")}, {g(5, 10)}},
		"other bytes for what comes":  {{g(0, 5)}, {f(5, "x")}, {g(5, 10)}},
		"other bytes across both":     {{g(0, 5)}, {f(4, "xx")}, {g(5, 10)}},
		"other bytes first":           {{f(0, "xxx")}, {g(0, 5)}, {g(5, 10)}},
		"other bytes first, at a gap": {{f(4, "xx")}, {g(0, 5)}, {g(5, 10)}},
		"all but one byte first":      {{f(0, "xxxxxxxxx")}, {g(0, 10)}},
		"a datagram of many": {{g(0, 5)}, {
			f(1, "x"), f(2, "xx"), f(3, "xxx"), f(6, "x"), {wire.TypeServerHello, 11, 0, "x"}, {wire.TypeServerHello, 12, 0, "x"},
			{wire.TypeServerHello, 13, 0, "x"}, {wire.TypeServerHello, 14, 0, "x"}, f(0, "xxxx"),
		}, {g(5, 10)}},
		"many datagrams": {{g(0, 5)}, {f(0, "x")}, {f(1, "x")}, {{wire.TypeServerHello, 11, 0, "x"}}, {{wire.TypeServerHello, 12, 0, "x"}}, {g(5, 10)}},
		"backwards":      {{g(5, 10)}, {f(8, "x")}, {g(0, 5)}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, seq := range []uint16{0, 3} { // the message that is expected, and a later one
				r := newReassembly()
				for i, d := range datagrams {
					r.NextDatagram()
					for _, f := range d {
						h := wire.FragmentHeader{Type: f.typ, Length: f.length, Seq: seq, Offset: f.offset, FragmentLength: len(f.data)}
						if _, err := r.AddUnprotected(&h, []byte(f.data), record.Number{Sequence: uint64(i)}); err != nil {
							t.Fatal(err)
						}
					}
				}
				r.StartAt(int(seq))
				m, ok := r.Take()
				if !ok || m.Type != wire.TypeServerHello || string(m.Body) != genuine {
					t.Errorf("message %d: %v, got %q", seq, ok, m.Body)
				}
				if !slices.Contains(r.Records(), record.Number{Sequence: uint64(len(datagrams) - 1)}) {
					t.Errorf("message %d: its last record is not to be acknowledged: %v", seq, r.Records())
				}
				if r.size != 0 || !r.Empty() {
					t.Errorf("message %d: %d bytes are left", seq, r.size)
				}
			}
		})
	}
}

// TestVersionsEnd: whatever has been forged, a message that is sent again comes.
func TestVersionsEnd(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := newReassembly()
		want := body(40)
		add := func(typ wire.Type, length, from int, data []byte) {
			h := wire.FragmentHeader{Type: typ, Length: length, Offset: from, FragmentLength: len(data)}
			if _, err := r.AddUnprotected(&h, data); err != nil {
				t.Fatal(err)
			}
		}
		forge := func() {
			r.NextDatagram()
			for range 1 + random.IntN(10) {
				from := random.IntN(40)
				data := want[from : from+random.IntN(41-from)]
				if random.IntN(3) > 0 && len(data) < len(want) {
					data = make([]byte, len(data))
				}
				add(wire.TypeServerHello, len(want)+random.IntN(2), from, data)
			}
		}
		cuts := []int{0, 10, 20, 30, 40}
		rounds, done := 0, false
		for ; !done && rounds < 10; rounds++ {
			for i := range len(cuts) - 1 {
				if rounds == 0 {
					forge()
				}
				r.NextDatagram()
				add(wire.TypeServerHello, len(want), cuts[i], want[cuts[i]:cuts[i+1]])
				_, ok := r.Take()
				done = done || ok
			}
		}
		if rounds > 3 {
			t.Errorf("seed %d: it comes after %d rounds", seed, rounds)
		}
	}
}

// TestContradiction: under keys a contradiction is the peer's own.
func TestContradiction(t *testing.T) {
	for name, second := range map[string]wire.FragmentHeader{
		"another type":   {Type: wire.TypeFinished, Length: 4, FragmentLength: 2},
		"another length": {Type: wire.TypeServerHello, Length: 5, FragmentLength: 2},
		"other bytes":    {Type: wire.TypeServerHello, Length: 4, Offset: 1, FragmentLength: 2},
	} {
		r := newReassembly()
		if _, err := r.Add(&wire.FragmentHeader{Type: wire.TypeServerHello, Length: 4, FragmentLength: 2}, []byte("ab")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Add(&second, []byte("ab")); err != ErrContradiction {
			t.Errorf("%s: error %v, want %v", name, err, ErrContradiction)
		}
	}
}

// TestRoomForNext: nothing that is forged, be it large, keeps the message out that is to be
// delivered next, and nothing that is lent.
func TestRoomForNext(t *testing.T) {
	want := body(10_000)
	for name, test := range map[string]struct {
		seq    uint16
		length int
		parts  int
		lend   int
	}{
		"later messages":               {6, 1 << 16, 60, 0},
		"the next but one":             {1, 1 << 16, 60, 0},
		"the same one, another length": {0, 1 << 16, 60, 0},
		"the same one, one fragment":   {0, 1 << 16, 1, 0},
		"something lent":               {6, 100, 1, DefaultMemory - 1000},
	} {
		for before := range 2 { // whether the genuine message has begun
			r := newReassembly()
			genuine := func(from, to int) {
				r.NextDatagram()
				h := wire.FragmentHeader{Type: wire.TypeCertificate, Length: len(want), Offset: from, FragmentLength: to - from}
				if kept, err := r.AddUnprotected(&h, want[from:to]); !kept || err != nil {
					t.Errorf("%s: bytes %d to %d: kept is %v, error %v", name, from, to, kept, err)
				}
			}
			if before > 0 {
				genuine(0, 1000)
			}
			if test.lend > 0 && !r.Lend(test.lend-2000) {
				t.Fatal("there is nothing to lend")
			}
			r.NextDatagram()
			for i := range test.parts {
				h := wire.FragmentHeader{Type: wire.TypeCertificate, Length: test.length, Seq: test.seq, Offset: 1000 * i, FragmentLength: 1000}
				h.FragmentLength = min(h.FragmentLength, test.length)
				if _, err := r.AddUnprotected(&h, make([]byte, h.FragmentLength)); err != nil {
					t.Fatal(err)
				}
				if r.size+r.lent > r.Memory {
					t.Fatalf("%s: %d bytes are held", name, r.size+r.lent)
				}
			}
			for from := 1000 * before; from < len(want); from += 1000 {
				genuine(from, from+1000)
			}
			if m, ok := r.Take(); !ok || !bytes.Equal(m.Body, want) {
				t.Errorf("%s: the message does not come", name)
			}
		}
	}
}

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
		if now := &r.slots[0].versions[0].pieces[0].data[0]; now != at {
			copies, at = copies+1, now
		}
	}
	if copies > 20 {
		t.Errorf("it is copied %d times", copies)
	}
}

// TestReassemblyMemory: whatever comes, no more than Memory is held.
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
				for _, s := range r.slots {
					for _, p := range s.versions {
						held += p.held()
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
