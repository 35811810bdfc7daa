package flight

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestRanges(t *testing.T) {
	for _, test := range []struct {
		name string
		add  [][2]int
		want ranges
		gaps []span // up to 10
	}{
		{"nothing", nil, nil, []span{{0, 10}}},
		{"the start", [][2]int{{0, 4}}, ranges{{0, 4}}, []span{{4, 10}}},
		{"the end", [][2]int{{4, 10}}, ranges{{4, 10}}, []span{{0, 4}}},
		{"two that touch", [][2]int{{4, 6}, {2, 4}}, ranges{{2, 6}}, []span{{0, 2}, {6, 10}}},
		{"two apart", [][2]int{{6, 8}, {2, 4}}, ranges{{2, 4}, {6, 8}}, []span{{0, 2}, {4, 6}, {8, 10}}},
		{"one over many", [][2]int{{1, 2}, {3, 4}, {5, 6}, {8, 9}, {2, 7}}, ranges{{1, 7}, {8, 9}}, []span{{0, 1}, {7, 8}, {9, 10}}},
		{"one within another", [][2]int{{1, 9}, {3, 4}}, ranges{{1, 9}}, []span{{0, 1}, {9, 10}}},
		{"an empty one", [][2]int{{3, 3}}, nil, []span{{0, 10}}},
		{"everything", [][2]int{{0, 5}, {5, 10}}, ranges{{0, 10}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r ranges
			for _, a := range test.add {
				r.add(a[0], a[1])
			}
			if !reflect.DeepEqual(r, test.want) {
				t.Errorf("got %v, want %v", r, test.want)
			}
			var gaps []span
			for g := r.gap(0, 10); g.from < g.to; g = r.gap(g.to, 10) {
				gaps = append(gaps, g)
			}
			if !reflect.DeepEqual(gaps, test.gaps) {
				t.Errorf("got gaps %v, want %v", gaps, test.gaps)
			}
			if got, want := r.cover(10), test.gaps == nil; got != want {
				t.Errorf("cover is %v, want %v", got, want)
			}
		})
	}
}

func TestTimer(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		name     string
		timer    Timer
		want     []time.Duration
		schedule time.Duration
	}{
		{
			"the RFC's", Timer{Initial: time.Second, Max: time.Minute},
			[]time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 60e9}, 123 * time.Second,
		},
		{
			"a number of attempts", Timer{Initial: 400 * time.Millisecond, Max: time.Second, Attempts: 5},
			[]time.Duration{4e8, 8e8, 1e9, 1e9, 1e9}, 4200 * time.Millisecond,
		},
		{
			"only one", Timer{Initial: time.Second, Max: time.Second},
			[]time.Duration{1e9}, time.Second,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			timer, now := test.timer, start
			if timer.Due(now) {
				t.Error("it is due before it was started")
			}
			timer.Start(now)
			for i, want := range test.want {
				if timer.Value() != want {
					t.Errorf("expiry %d: after %v, want %v", i, timer.Value(), want)
				}
				if timer.Due(now.Add(want - 1)) {
					t.Errorf("expiry %d is early", i)
				}
				if now = now.Add(want); !timer.Due(now) {
					t.Errorf("expiry %d is late", i)
				}
				if again := timer.Expire(now); again != (i < len(test.want)-1) {
					t.Errorf("expiry %d: goes on is %v", i, again)
				}
			}
			if got := timer.Schedule(); got != test.schedule {
				t.Errorf("schedule is %v, want %v", got, test.schedule)
			}
			if timer.Stop(); timer.Due(now.Add(time.Hour)) || timer.Value() != test.timer.Initial {
				t.Error("it goes on after it was stopped")
			}
		})
	}
}

func TestReceived(t *testing.T) {
	number := func(epoch, seq uint64) record.Number { return record.Number{Epoch: epoch, Sequence: seq} }
	var many, newest []record.Number
	for i := range uint64(40) {
		many = append(many, number(2, i))
	}
	newest = many[40-MaxACK:]
	for _, test := range []struct {
		name string
		add  []record.Number
		room int
		want []record.Number
	}{
		{"nothing", nil, 100, nil},
		{"sorted", []record.Number{number(2, 1), number(0, 5), number(2, 0)}, 100, []record.Number{number(0, 5), number(2, 0), number(2, 1)}},
		{"once each", []record.Number{number(2, 1), number(2, 1)}, 100, []record.Number{number(2, 1)}},
		{"the newest that fit", []record.Number{number(2, 3), number(2, 1), number(2, 2)}, 2 + 32 + 15, []record.Number{number(2, 1), number(2, 2)}},
		{"as many as are remembered", many, 10000, newest},
		{"no room", many, 1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Received
			for _, n := range test.add {
				r.Add(n)
			}
			ack, ok := ParseACK(r.Append(nil, test.room))
			if !ok {
				t.Fatal("does not parse")
			}
			var got []record.Number
			for i := range ack.Len() {
				got = append(got, ack.At(i))
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseACK(t *testing.T) {
	for _, test := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"nothing", nil, false},
		{"empty", []byte{0, 0}, true},
		{"half a length", []byte{0}, false},
		{"one number", append([]byte{0, 16}, make([]byte, 16)...), true},
		{"half a number", append([]byte{0, 8}, make([]byte, 8)...), false},
		{"less than it says", append([]byte{0, 32}, make([]byte, 16)...), false},
		{"more than it says", append([]byte{0, 0}, make([]byte, 16)...), false},
	} {
		if _, ok := ParseACK(test.in); ok != test.ok {
			t.Errorf("%s: parses is %v", test.name, ok)
		}
	}
}

func FuzzParseACK(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add(append([]byte{0, 16}, make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		ack, ok := ParseACK(in)
		if !ok {
			return
		}
		for i := range ack.Len() {
			ack.At(i)
		}
		if len(in) != 2+16*ack.Len() {
			t.Errorf("%d bytes hold %d numbers", len(in), ack.Len())
		}
	})
}

// fake is keys that do nothing: a record is one byte with the type, two with
// the length, and the data.
type fake struct{ next record.Number }

func (k *fake) Seal(dst []byte, typ record.ContentType, data []byte) ([]byte, error) {
	k.next.Sequence++
	return append(append(dst, byte(typ), byte(len(data)>>8), byte(len(data))), data...), nil
}
func (k *fake) Next() record.Number { return k.next }
func (k *fake) MaxData() int        { return record.MaxPlaintext }
func (k *fake) Overhead() int       { return 3 }
func (k *fake) Exhausted() bool     { return false }
func (k *fake) SetLimit(int)        {}
func (k *fake) Limit() int          { return 0 }

// sent is a record as a peer would see it.
type sent struct {
	number record.Number
	ccs    bool
	parts  []string // "message_seq:from-to"
}

// transmit sends all that is pending, in datagrams of size bytes.
func transmit(t *testing.T, f *Flight, size int, peer func(*wire.FragmentHeader, []byte)) (datagrams [][]sent) {
	t.Helper()
	for f.Pending() {
		numbers := map[record.Sealer]record.Number{}
		f.Epochs(func(s record.Sealer) { numbers[s] = s.Next() })
		at := f.at.message
		d, err := f.Append(nil, size)
		if err != nil || len(d) == 0 || len(d) > size {
			t.Fatalf("a datagram of %d bytes, want at most %d; error %v", len(d), size, err)
		}
		var records []sent
		for len(d) > 0 {
			n := int(d[1])<<8 | int(d[2])
			var epoch record.Sealer
			rec := sent{ccs: d[0] == byte(record.ChangeCipherSpec)}
			for b := d[3 : 3+n]; len(b) > 0 && !rec.ccs; {
				var h wire.FragmentHeader
				fragment, rest, ok := h.Parse(b)
				if !ok {
					t.Fatal("a fragment does not parse")
				}
				b = rest
				rec.parts = append(rec.parts, fmt.Sprintf("%d:%d-%d", h.Seq, h.Offset, h.Offset+h.FragmentLength))
				for i := range f.messages {
					if m := &f.messages[i]; m.seq == h.Seq && !m.ccs {
						epoch = m.epoch
					}
				}
				if peer != nil {
					peer(&h, fragment)
				}
			}
			if rec.ccs {
				for ; !f.messages[at].ccs; at++ {
				}
				epoch = f.messages[at].epoch
			}
			rec.number = numbers[epoch]
			numbers[epoch] = record.Number{Epoch: rec.number.Epoch, Sequence: rec.number.Sequence + 1}
			records = append(records, rec)
			d = d[3+n:]
		}
		datagrams = append(datagrams, records)
	}
	return datagrams
}

func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + n)
	}
	return b
}

func TestFragment(t *testing.T) {
	for _, test := range []struct {
		name   string
		epoch  uint64
		bodies []int
		size   int
		want   [][]string // parts of all records of a datagram
	}{
		{"one message", 2, []int{10}, 100, [][]string{{"0:0-10"}}},
		{"an empty one", 2, []int{0}, 15, [][]string{{"0:0-0"}}},
		{"just as much as fits", 2, []int{10}, 25, [][]string{{"0:0-10"}}},
		{"cut", 2, []int{10}, 24, [][]string{{"0:0-9"}, {"0:9-10"}}},
		{"several in one record", 2, []int{10, 0, 5}, 100, [][]string{{"0:0-10", "1:0-0", "2:0-5"}}},
		{"a record filled up with a part", 2, []int{10, 10}, 38, [][]string{{"0:0-10", "1:0-1"}, {"1:1-10"}}},
		{"no room for a part", 2, []int{10, 10}, 37, [][]string{{"0:0-10"}, {"1:0-10"}}},
		{"unencrypted, one in a record", 0, []int{10, 10}, 100, [][]string{{"0:0-10", "1:0-10"}}},
		{"a byte at a time", 2, []int{3}, 16, [][]string{{"0:0-1"}, {"0:1-2"}, {"0:2-3"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f Flight
			k := &fake{record.Number{Epoch: test.epoch}}
			for seq, n := range test.bodies {
				f.Add(k, wire.TypeCertificate, uint16(seq), body(n))
			}
			for range 2 { // sending it again is the same
				var got [][]string
				for _, d := range transmit(t, &f, test.size, nil) {
					var parts []string
					for _, rec := range d {
						if test.epoch == 0 && len(rec.parts) > 1 {
							t.Error("several messages in one record")
						}
						parts = append(parts, rec.parts...)
					}
					got = append(got, parts)
				}
				if !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
				f.Restart()
			}
		})
	}
}

func TestChangeCipherSpecInOrder(t *testing.T) {
	var f Flight
	clear, protected := &fake{}, &fake{record.Number{Epoch: 1}}
	f.Add(clear, wire.TypeClientKeyExchange, 1, body(20))
	f.AddChangeCipherSpec(clear)
	f.Add(protected, wire.TypeFinished, 2, body(12))
	for range 2 {
		got := transmit(t, &f, 100, nil)
		if len(got) != 1 || len(got[0]) != 3 || got[0][0].ccs || !got[0][1].ccs || got[0][2].parts[0] != "2:0-12" {
			t.Errorf("got %v", got)
		}
		f.Restart()
	}
	if got := transmit(t, &f, 36, nil); len(got) != 2 || !got[1][0].ccs {
		t.Errorf("got %v", got)
	}
}

func TestAcknowledge(t *testing.T) {
	// 2 records of 20 bytes and one of 10, one message in two of them.
	make3 := func() (*Flight, [][]sent) {
		f, k := new(Flight), &fake{record.Number{Epoch: 2}}
		f.Add(k, wire.TypeCertificate, 3, body(30))
		f.Add(k, wire.TypeServerHelloDone, 4, nil)
		f.Add(k, wire.TypeFinished, 5, body(8))
		return f, transmit(t, f, 35, nil)
	}
	for _, test := range []struct {
		name string
		acks []uint64 // of the first transmission
		want []string // parts of the second
		all  bool
	}{
		{"nothing", nil, []string{"3:0-20", "3:20-30", "4:0-0", "5:0-8"}, false},
		{"the first", []uint64{0}, []string{"3:20-30", "4:0-0", "5:0-8"}, false},
		{"the last", []uint64{2}, []string{"3:0-20", "3:20-30"}, false},
		{"the middle", []uint64{1}, []string{"3:0-20", "4:0-0", "5:0-8"}, false},
		{"one twice", []uint64{1, 1}, []string{"3:0-20", "4:0-0", "5:0-8"}, false},
		{"one that was never sent", []uint64{77}, []string{"3:0-20", "3:20-30", "4:0-0", "5:0-8"}, false},
		{"all", []uint64{2, 0, 1}, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, first := make3()
			if len(first) != 3 {
				t.Fatalf("got %v", first)
			}
			all := false
			for _, n := range test.acks {
				all = f.Acknowledge(record.Number{Epoch: 2, Sequence: n}, false)
			}
			if all != test.all {
				t.Errorf("all is %v", all)
			}
			f.Restart()
			var got []string
			for _, d := range transmit(t, f, 35, nil) {
				for _, rec := range d {
					got = append(got, rec.parts...)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestACKOfAnotherEpoch(t *testing.T) {
	f, k := new(Flight), &fake{record.Number{Epoch: 2}}
	f.Add(k, wire.TypeFinished, 0, body(8))
	transmit(t, f, 100, nil)
	if f.Acknowledge(record.Number{Epoch: 3}, false) {
		t.Error("the flight is acknowledged by a number of another epoch")
	}
}

func TestSentIsBounded(t *testing.T) {
	f, k := new(Flight), &fake{record.Number{Epoch: 2}}
	f.Add(k, wire.TypeCertificate, 0, body(20))
	for range 3 * maxSent {
		transmit(t, f, 25, nil)
		f.Restart()
	}
	if len(f.sent) != maxSent {
		t.Errorf("%d records are remembered, want %d", len(f.sent), maxSent)
	}
	if f.Acknowledge(record.Number{Epoch: 2, Sequence: 0}, false); len(f.messages[0].acked) != 0 {
		t.Error("a record that was forgotten is acknowledged")
	}
	last := k.next.Sequence - 1
	if f.Acknowledge(record.Number{Epoch: 2, Sequence: last}, false); len(f.messages[0].acked) == 0 {
		t.Error("the newest record is not remembered")
	}
}

// TestLossyTransmission loses records and ACKs at random until the peer has all
// messages, with a datagram size that changes.
func TestLossyTransmission(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f, k := new(Flight), &fake{record.Number{Epoch: 2}}
		r := newReassembly()
		var bodies [][]byte
		for seq := range uint16(1 + rng.IntN(6)) {
			b := body(rng.IntN(400))
			bodies = append(bodies, b)
			f.Add(k, wire.TypeCertificate, seq, b)
		}
		got := 0
		for round := 0; !f.Acknowledged(); round++ {
			if round == 200 {
				t.Fatalf("seed %d: not acknowledged after %d rounds", seed, round)
			}
			f.Restart()
			for f.Pending() {
				before := k.next
				d, err := f.Append(nil, 30+rng.IntN(150))
				if err != nil {
					t.Fatal(err)
				}
				if len(d) == 0 || rng.IntN(3) == 0 {
					continue
				}
				for n := before.Sequence; len(d) > 0; n++ {
					size := int(d[1])<<8 | int(d[2])
					for b := d[3 : 3+size]; len(b) > 0; {
						var h wire.FragmentHeader
						fragment, rest, _ := h.Parse(b)
						b = rest
						if r.Old(h.Seq) {
							continue
						}
						if kept, err := r.Add(&h, fragment); err != nil || !kept {
							t.Fatalf("seed %d: kept is %v, error %v", seed, kept, err)
						}
					}
					if rng.IntN(2) == 0 {
						f.Acknowledge(record.Number{Epoch: 2, Sequence: n}, false)
					}
					d = d[3+size:]
				}
				for m, ok := r.Take(); ok; m, ok = r.Take() {
					if !bytes.Equal(m.Body, bodies[got]) || int(m.Seq) != got {
						t.Fatalf("seed %d: message %d differs", seed, got)
					}
					got++
				}
			}
		}
		if got != len(bodies) {
			t.Errorf("seed %d: all is acknowledged, but %d of %d messages have come", seed, got, len(bodies))
		}
	}
}
