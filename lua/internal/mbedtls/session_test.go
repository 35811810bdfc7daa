package mbedtls

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// driver does what the C module does with a Session: the callbacks, between
// steps. Its transport takes and gives pieces of random sizes, or nothing.
type driver struct {
	*Session
	t        testing.TB
	rand     *rand.Rand
	in, out  *bytes.Buffer
	inRoom   [MaxInput]byte
	room     [MaxOutput]byte
	steps    int
	maxPiece int
}

func newDrivers(t *testing.T, seed uint64, maxPiece int) (client, server *driver) {
	t.Helper()
	config := &hermetic.Config{InsecureSkipVerify: true}
	return newDriversOf(t, seed, maxPiece, config, config)
}

func newDriversOf(t testing.TB, seed uint64, maxPiece int, cc, sc *hermetic.Config) (client, server *driver) {
	t.Helper()
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	make := func(mode hermetic.Mode, config *hermetic.Config, in, out *bytes.Buffer) *driver {
		s := new(Session)
		if err := s.Init(&Config{mode: mode, config: config}, false); err != nil {
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
	st := Step{Op: op, Begin: true, Size: maxData, Data: data, In: d.inRoom[:], Out: d.room[:]}
	for range 100000 {
		d.steps++
		d.Step(&st)
		st.Begin, st.Head, st.Body = false, 0, nil
		for rest := st.Output; len(rest) > 0; {
			n := d.piece(len(rest))
			d.out.Write(rest[:n])
			if rest = rest[n:]; n == 0 {
				if st.Status == Failed {
					break
				}
				if !d.Unsent(op, rest) {
					return WantWrite, nil
				}
				break
			}
		}
		switch st.Status {
		case WantRead:
			got := d.in.Next(d.piece(st.N))
			if len(got) == 0 {
				return WantRead, nil
			}
			cut := d.rand.IntN(len(got) + 1)
			st.Head, st.Body = copy(st.In, got[:cut]), bytes.Clone(got[cut:])
		case WantWrite:
		case Done:
			if op == Read || op == ReadEarly {
				return Done, st.Result
			}
			return Done, data[:st.N]
		default:
			return st.Status, []byte(st.Text)
		}
	}
	d.t.Fatal("the operation never ends")
	return 0, nil
}

func shake(t testing.TB, client, server *driver) {
	t.Helper()
	for range 100000 {
		a, text := client.perform(Handshake, nil)
		b, _ := server.perform(Handshake, nil)
		if a == Done && b == Done {
			return
		}
		if a > WantAnswer {
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
				if sent += len(data); status > WantAnswer {
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
			} else if status == Done || status > WantAnswer {
				t.Fatalf("the end: %v %q", status, data)
			}
		}
	}
}

// TestEarlyDataLeaveWhatFollows: early data that waits for the handshake is returned through the same
// memory that still holds the input after it, and does not overwrite that input.
func TestEarlyDataLeaveWhatFollows(t *testing.T) {
	cc := &hermetic.Config{InsecureSkipVerify: true, SessionCache: hermetic.NewSessionCache(1), EarlyData: true}
	once := func(state hermetic.ConnectionState) bool { return !state.DidResume } // nothing to send then
	sc := &hermetic.Config{MaxEarlyData: 5000, IssueTicket: once}
	first, ticket := newDriversOf(t, 1, 0, cc, sc)
	shake(t, first, ticket)
	first.perform(Read, nil)

	client, server := newDriversOf(t, 1, 0, cc, sc)
	server.config.readAhead = true
	early, late := bytes.Repeat([]byte("early"), 1000), bytes.Repeat([]byte("late"), 1000)
	client.perform(WriteEarly, early)
	if status, text := server.perform(Read, nil); status != WantRead {
		t.Fatalf("before the end of the handshake: %v %q", status, text)
	}
	client.perform(Handshake, nil)
	client.perform(Write, late)
	for _, want := range [][]byte{early, late} {
		if status, got := server.perform(Read, nil); status != Done || !bytes.Equal(got, want) {
			t.Fatalf("%v, %d bytes: %.20q…, want %d: %.20q…", status, len(got), got, len(want), want)
		}
	}
}

// TestARecordCrossesOnce: what the C half does for a record of usual size: a write is one step,
// and a read is one, because it knows how much to ask for.
func TestARecordCrossesOnce(t *testing.T) {
	client, server := newDrivers(t, 1, 0)
	shake(t, client, server)
	server.perform(Read, nil)
	for _, size := range []int{1, 64, 1000, maxData} {
		data := make([]byte, size)
		client.steps = 0
		if status, _ := client.perform(Write, data); status != Done || client.steps != 1 {
			t.Errorf("a write of %d bytes: status %d, %d steps", size, status, client.steps)
		}
		st := Step{Op: Read, Size: maxData, In: server.inRoom[:], Out: server.room[:]}
		st.Head, st.Body = copy(st.In, client.out.Next(5)), bytes.Clone(client.out.Next(1<<20))
		if server.Step(&st); st.Status != Done || st.N != size || st.Ready != 5 {
			t.Errorf("a read of %d bytes: status %d, %d bytes, then %d are asked for", size, st.Status, st.N, st.Ready)
		}
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
	}
	shake(t, client, server)
}

// A step's room is lent: what is drained later is not in it, and nothing is written to it
// after the step.
func TestRoomIsOnlyLent(t *testing.T) {
	lent := bytes.Repeat([]byte{0xa5}, MaxOutput)
	for mode := hermetic.TLSClient; mode <= hermetic.DTLSServer; mode++ {
		for _, received := range []string{"", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x15\x03\x03\x00\x02\x02\x28", "\x16\x03\x03\x00\x04\x08\x00\x00\x00"} {
			t.Run(fmt.Sprintf("%v, after %q", mode, received), func(t *testing.T) {
				s := new(Session)
				if err := s.Init(&Config{mode: mode, config: &hermetic.Config{InsecureSkipVerify: true}}, true); err != nil {
					t.Fatal(err)
				}
				step := func() (st Step, room [2][]byte) {
					room = [2][]byte{make([]byte, MaxInput), make([]byte, MaxOutput)}
					st = Step{Op: Handshake, Begin: true, In: room[0], Out: room[1]}
					s.Step(&st)
					copy(room[0], lent)
					copy(room[1], lent)
					return st, room
				}
				s.SetPeerID([]byte("peer"))
				step()
				if err := s.Feed([]byte(received)); err != nil {
					t.Fatal(err)
				}
				_, first := step()
				s.Feed([]byte(received))
				step() // what it queues is added to what the first has queued
				if !bytes.Equal(first[1], lent) || !bytes.HasPrefix(first[0], lent[:MaxInput-MaxOutput]) {
					t.Error("a later step has written to the room of an earlier one")
				}
				out := make([]byte, MaxOutput)
				for {
					n, more := s.Drain(out)
					if bytes.Contains(out[:n], lent[:4]) {
						t.Errorf("what is drained was in the room of a step: %x", out[:n])
					}
					if !more && n == 0 {
						break
					}
				}
			})
		}
	}
}
