package carrier

import (
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestAhead(t *testing.T) {
	long := strings.Repeat("x", maxAhead/4)
	for _, test := range []struct {
		name   string
		memory int
		keep   [][]string // by datagram
		do     func(a *ahead, memory *flight.Reassembly)
		want   []string // what next returns, shortened
		lent   bool
	}{
		{"kept until there are keys", 1 << 16, [][]string{{"one", "two"}}, nil, nil, true},
		{"opened with new keys, in order", 1 << 16, [][]string{{"one", "two"}, {"three"}},
			func(a *ahead, m *flight.Reassembly) { a.retry(m) }, []string{"one", "two", "three"}, false},
		{"kept again after those that wait", 1 << 16, [][]string{{"one", "two"}},
			func(a *ahead, m *flight.Reassembly) {
				a.retry(m)
				a.keep(m, a.next())
				a.retry(m)
			}, []string{"two", "one"}, false},
		{"the rest of a datagram comes first", 1 << 16, [][]string{{"one", "two"}},
			func(a *ahead, m *flight.Reassembly) {
				a.retry(m)
				a.back(a.next()[1:])
			}, []string{"ne", "two"}, false},
		{"one datagram takes half of the room", 1 << 16, [][]string{{long + "1", long + "2", "3"}, {"4"}},
			func(a *ahead, m *flight.Reassembly) { a.retry(m) }, []string{"1", "3", "4"}, false},
		{"all take what there is", 1 << 16, [][]string{{long + "1"}, {long + "2"}, {long + "3"}, {long + "4"}},
			func(a *ahead, m *flight.Reassembly) { a.retry(m) }, []string{"1", "2", "3"}, false},
		{"not more than the memory", 100, [][]string{{"one"}, {"two"}},
			func(a *ahead, m *flight.Reassembly) { a.retry(m) }, []string{"one"}, false},
		{"a message takes the memory", 200, [][]string{{"one"}, {"two"}},
			func(a *ahead, m *flight.Reassembly) {
				h := wire.FragmentHeader{Type: wire.TypeCertificate, Length: 120, FragmentLength: 120}
				if kept, err := m.Add(&h, make([]byte, 120)); !kept || err != nil {
					t.Errorf("the message is not kept: %v", err)
				}
				if n := a.yield(m); n != 2 {
					t.Errorf("%d records give way, want 2", n)
				}
				a.retry(m)
			}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a ahead
			memory := &flight.Reassembly{Memory: test.memory, Limit: maxMessage, Certificate: maxMessage}
			for _, datagram := range test.keep {
				a.nextDatagram()
				for _, in := range datagram {
					a.keep(memory, []byte(in))
				}
			}
			if test.do != nil {
				test.do(&a, memory)
			}
			var got []string
			for in := a.next(); in != nil; in = a.next() {
				got = append(got, strings.TrimLeft(string(in), "x"))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("next returns %q, want %q", got, test.want)
			}
			if lent := memory.Lent() > 0; lent != test.lent {
				t.Errorf("memory is lent: %v", lent)
			}
		})
	}
}
