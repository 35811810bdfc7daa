package mbedtls

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// driver does what the C module does with a Session: the callbacks, between
// steps. Its transport takes and gives pieces of random sizes, or nothing.
type driver struct {
	*Session
	t        *testing.T
	rand     *rand.Rand
	in, out  *bytes.Buffer
	taken    int
	settled  bool
	data     [16384]byte
	room     [17408]byte
	steps    int
	maxPiece int
}

func newDrivers(t *testing.T, seed uint64, maxPiece int) (client, server *driver) {
	t.Helper()
	config := &hermetic.Config{InsecureSkipVerify: true}
	return newDriversOf(t, seed, maxPiece, config, config)
}

func newDriversOf(t *testing.T, seed uint64, maxPiece int, cc, sc *hermetic.Config) (client, server *driver) {
	t.Helper()
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	make := func(mode hermetic.Mode, config *hermetic.Config, in, out *bytes.Buffer) *driver {
		s := new(Session)
		if err := s.Init(mode, config); err != nil {
			t.Fatal(err)
		}
		return &driver{Session: s, t: t, rand: rand.New(rand.NewPCG(seed, uint64(mode))), in: in, out: out, maxPiece: maxPiece}
	}
	return make(hermetic.TLSClient, cc, down, up), make(hermetic.TLSServer, sc, up, down)
}

// piece is how much of size passes the transport now.
func (d *driver) piece(size int) int {
	if d.maxPiece == 0 {
		return size
	}
	return min(size, d.rand.IntN(d.maxPiece+1))
}

// perform drives an operation to its result, or until the transport blocks.
func (d *driver) perform(op Op, data []byte) (Status, []byte) {
	d.t.Helper()
	st := Step{Op: op, Out: d.room[:]}
	for range 100000 {
		st.Data, st.Taken, st.Settled = d.data[:], d.taken, d.settled
		if op == Write || op == WriteEarly {
			st.Data = data
		}
		d.taken, d.settled = 0, false
		d.steps++
		d.Step(&st)
		st.Head, st.Body, st.Refused = nil, nil, false
		switch st.Status {
		case WantRead:
			got := d.in.Next(d.piece(st.N))
			if len(got) == 0 {
				return WantRead, nil
			}
			cut := d.rand.IntN(len(got) + 1)
			st.Head, st.Body = bytes.Clone(got[:cut]), bytes.Clone(got[cut:])
		case WantWrite, TryWrite:
			n := d.piece(st.N)
			d.out.Write(d.room[:n])
			d.taken = n
			switch {
			case n == 0 && st.Status == TryWrite:
				st.Refused = true
			case n == 0:
				return WantWrite, nil
			case n == st.N && st.Whole > 0:
				d.settled = true
				return Done, data[:st.Whole]
			}
		case LastWrite:
			d.out.Write(d.room[:st.N])
		case Done:
			if op == Read || op == ReadEarly {
				return Done, d.data[:st.N]
			}
			return Done, data[:st.N]
		default:
			return st.Status, []byte(st.Text)
		}
	}
	d.t.Fatal("the operation never ends")
	return 0, nil
}

func shake(t *testing.T, client, server *driver) {
	t.Helper()
	for range 100000 {
		a, text := client.perform(Handshake, nil)
		b, _ := server.perform(Handshake, nil)
		if a == Done && b == Done {
			return
		}
		if a > WantWrite {
			t.Fatalf("client: %v %s", a, text)
		}
	}
	t.Fatal("the handshake never ends")
}

func TestNoByteIsLostWhateverTheTransportTakes(t *testing.T) {
	for _, maxPiece := range []int{0, 1, 2, 7, 100, 20000} {
		client, server := newDrivers(t, 1, maxPiece)
		shake(t, client, server)
		want := bytes.Repeat([]byte("0123456789"), 4000)
		if maxPiece == 1 {
			want = want[:3000]
		}
		var sent int
		var got []byte
		for range 1000000 {
			if sent < len(want) {
				if status, data := client.perform(Write, want[sent:]); status == Done {
					sent += len(data)
				}
			}
			if status, data := server.perform(Read, nil); status == Done {
				got = append(got, data...)
			}
			if len(got) >= len(want) {
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("pieces of up to %d: %d bytes came of %d, or other ones", maxPiece, len(got), len(want))
		}
		for {
			if status, _ := client.perform(Close, nil); status == Done {
				break
			}
		}
		for range 1000 {
			if status, _ := server.perform(Read, nil); status == Closed {
				break
			} else if status != WantRead {
				t.Fatalf("after the end: %v", status)
			}
		}
	}
}

func TestNoEarlyByteIsLostWhateverTheTransportTakes(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 400)
	for _, maxPiece := range []int{0, 1, 2, 7, 100, 20000} {
		cc := &hermetic.Config{InsecureSkipVerify: true, SessionCache: hermetic.NewSessionCache(1), EarlyData: true}
		sc := &hermetic.Config{MaxEarlyData: uint32(len(want))}
		first, ticket := newDriversOf(t, 1, 0, cc, sc)
		shake(t, first, ticket)
		first.perform(Read, nil)

		client, server := newDriversOf(t, 1, maxPiece, cc, sc)
		var sent int
		var early, answer []byte
		for range 1000000 {
			if sent < len(want) {
				status, data := client.perform(WriteEarly, want[sent:min(len(want), sent+999)])
				if sent += len(data); status > WantWrite {
					t.Fatalf("client: %v %s", status, data)
				}
			} else if status, data := client.perform(Read, nil); status == Done {
				answer = bytes.Clone(data)
				break
			}
			if len(early) < len(want) {
				if status, data := server.perform(ReadEarly, nil); status == Done {
					early = append(early, data...)
				}
			} else {
				server.perform(Write, []byte("thanks"))
			}
		}
		if !bytes.Equal(early, want) || string(answer) != "thanks" {
			t.Errorf("pieces of up to %d: %d bytes came early of %d, or other ones; answer %q", maxPiece, len(early), len(want), answer)
		}
		if status, _ := client.perform(WriteEarly, want); status != Invalid {
			t.Errorf("after the handshake: %v", status)
		}
		for range 1000 {
			if status, data := server.perform(ReadEarly, nil); status == Done && len(data) == 0 {
				break
			} else if status == Done || status > WantWrite {
				t.Fatalf("the end: %v %q", status, data)
			}
		}
	}
}

func TestARecordCrossesAtMostTwice(t *testing.T) {
	client, server := newDrivers(t, 1, 0)
	shake(t, client, server)
	data := make([]byte, 1000)
	client.perform(Write, data)
	client.steps, server.steps = 0, 0
	client.perform(Write, data)
	if client.steps > 2 {
		t.Errorf("a write took %d steps", client.steps)
	}
}

func TestAFatalErrorComesAfterItsAlert(t *testing.T) {
	client, server := newDrivers(t, 1, 0)
	shake(t, client, server)
	server.in.WriteString("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32))
	if status, text := server.perform(Read, nil); status != Failed || !strings.Contains(string(text), "bad_record_mac") {
		t.Fatalf("server: %v %q, want bad_record_mac", status, text)
	}
	if status, text := client.perform(Read, nil); status != Failed || string(text) != "peer sent alert bad_record_mac" {
		t.Fatalf("client: %v %q, want the alert", status, text)
	}
	client.in.Reset()
	server.in.Reset()
	shake(t, client, server) // both have been reset
}

func TestReset(t *testing.T) {
	client, server := newDrivers(t, 1, 3)
	for range 50 {
		client.perform(Handshake, nil)
		server.perform(Handshake, nil)
	}
	for _, d := range []*driver{client, server} {
		if err := d.Reset(); err != nil {
			t.Fatal(err)
		}
		d.in.Reset()
		d.taken, d.settled = 0, false
	}
	shake(t, client, server)
}
