package carrier

import (
	"bytes"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// updater is a handler that answers exhausted keys with new ones.
type updater struct {
	stream  *Stream
	keys    func() suite.Keys
	updates int
	got     []wire.Type
	handle  func(*Stream) error // of each message; nil: nothing
	late    bool                // each message opens a question, and handle is what its answer does
	waiting bool
}

// open opens a record and handles its messages, as the engine does.
func (u *updater) open(in []byte) (Opened, int, error) {
	o, n, err := u.stream.Open(time.Time{}, in)
	if err == nil {
		err = u.handleMessages()
	}
	return o, n, err
}

func (u *updater) handleMessages() error {
	for {
		m, ok, err := u.stream.Next(time.Time{})
		if err != nil || !ok {
			return err
		}
		u.got = append(u.got, m.Type)
		switch {
		case u.late:
			u.waiting = true
			u.stream.Pause()
		case u.handle != nil:
			if err := u.handle(u.stream); err != nil {
				return err
			}
		}
	}
}

// answer answers the questions that are open, one after the other.
func (u *updater) answer() error {
	for u.waiting {
		if u.handle != nil {
			if err := u.handle(u.stream); err != nil {
				return err
			}
		}
		u.waiting = false
		u.stream.Resume(time.Time{})
		if err := u.handleMessages(); err != nil {
			return err
		}
	}
	return nil
}

func (u *updater) Keys() (read, write suite.Keys) { return read, write }

func (u *updater) KeysExhausted(bool) {
	u.updates++
	u.stream.SendKeyUpdate((&wire.KeyUpdate{}).Append(nil), u.keys())
}

// TestKeysAreChangedBeforeTheirLimit: RFC 9846, Section 5.5.
func TestKeysAreChangedBeforeTheirLimit(t *testing.T) {
	limited := *suite.ByID(0x1301)
	limited.SealLimit = 3
	generation := byte(0)
	keys := func() suite.Keys {
		generation++
		return limited.TrafficKeys(suite.TLS, bytes.Repeat([]byte{generation}, 32))
	}
	u := &updater{keys: keys}
	u.stream = NewStream(u, &StreamOptions{MaxRecordData: record.MaxPlaintext, MaxCertificate: 1 << 16})
	u.stream.SetVersion(wire.VersionTLS13)
	u.stream.InstallWrite(handshake.Application, keys())
	u.stream.Complete()
	for range 7 {
		if _, err := u.stream.Seal(nil, []byte("data")); err != nil {
			t.Fatal(err)
		}
	}
	if u.updates != 2 {
		t.Errorf("7 records with a limit of 3 make %d KeyUpdates, want 2", u.updates)
	}
	if n := u.stream.out.Sequence(); n != 1 {
		t.Errorf("the last keys have sealed %d records, want 1", n)
	}
}

// TestMessagesInAnyRecords: a message may span records, and a record may hold
// several messages.
func TestMessagesInAnyRecords(t *testing.T) {
	messages := append(wire.AppendMessage(nil, wire.TypeServerHello, make([]byte, 100)), wire.AppendMessage(nil, wire.TypeFinished, make([]byte, 32))...)
	for size := 1; size <= len(messages); size++ {
		u := new(updater)
		u.stream = NewStream(u, &StreamOptions{MaxRecordData: size, MaxCertificate: 1 << 16})
		sender := NewStream(u, &StreamOptions{MaxRecordData: size})
		sender.Send(messages)
		for in := sender.Output(time.Time{}, nil); len(in) > 0; {
			_, n, err := u.open(in)
			if err != nil || n == 0 {
				t.Fatalf("records of %d bytes: %v", size, err)
			}
			in = in[n:]
		}
		if len(u.got) != 2 || u.got[0] != wire.TypeServerHello || u.got[1] != wire.TypeFinished {
			t.Errorf("records of %d bytes: got %v", size, u.got)
		}
	}
}

// TestStreamViolations: what no peer may send in well-formed records. The last record
// of each case is the one that is refused, also where each message opens a question that
// is answered late.
func TestStreamViolations(t *testing.T) {
	rec := func(typ record.ContentType, body ...byte) []byte {
		return append([]byte{byte(typ), 3, 3, 0, byte(len(body))}, body...)
	}
	var (
		hello     = []byte{byte(wire.TypeServerHello), 0, 0, 1, 9}
		two       = rec(record.Handshake, append(hello, hello...)...)
		oneAndBit = rec(record.Handshake, append(hello, hello[:2]...)...)
		half      = rec(record.Handshake, hello[:2]...)
		data      = rec(record.ApplicationData, make([]byte, 45)...)
		ccs       = rec(record.ChangeCipherSpec, 1)
		warning   = rec(record.Alert, 1, byte(alert.UserCanceled))
	)
	k := suite.ByID(0x1301).TrafficKeys(suite.TLS, make([]byte, 32))
	newKeys := func(s *Stream) error { return s.InstallRead(handshake.Handshake, k) }
	ccsNext := func(s *Stream) error { return s.ExpectChangeCipherSpec(k) }
	speak := func(s *Stream) error { s.Send(hello); return nil }
	complete := func(s *Stream) { s.Complete() }
	repeat := func(n int, records ...[]byte) (list [][]byte) {
		for range n {
			list = append(list, records...)
		}
		return list
	}
	empty, one := rec(record.ApplicationData), rec(record.Handshake, hello...)
	modern := func(s *Stream) { s.SetVersion(wire.VersionTLS13) }
	for _, c := range []struct {
		name    string
		prepare func(*Stream)
		handle  func(*Stream) error
		records [][]byte
		want    error
	}{
		{"a message after the last one under the old keys", modern, newKeys, [][]byte{two}, errKeyBoundary},
		{"a part of one after it", modern, newKeys, [][]byte{oneAndBit}, errKeyBoundary},
		{"a message after the last one before a ChangeCipherSpec", nil, ccsNext, [][]byte{two}, errKeyBoundary},
		{"a part of one before a ChangeCipherSpec", nil, ccsNext, [][]byte{oneAndBit}, errKeyBoundary},
		{"a message instead of a ChangeCipherSpec", nil, ccsNext, [][]byte{rec(record.Handshake, hello...), half}, errExpectedCCS},
		{"application data within a message", complete, nil, [][]byte{half, data}, errInterleaved},
		{"a ChangeCipherSpec within a message", modern, nil, [][]byte{ccs, half, ccs}, errUnexpectedCCS},
		{"a message after the end of a flight", modern, speak, [][]byte{two}, errFlightBoundary},
		{"a part of one after the end of a flight", nil, speak, [][]byte{oneAndBit}, errFlightBoundary},
		{"more early data than is skipped", func(s *Stream) { s.SkipEarlyData(56) }, nil, [][]byte{data, data, data}, errEarlyData},
		{"more of it, that cannot be decrypted", func(s *Stream) { s.SkipEarlyData(56); s.in.Install(k) }, nil, [][]byte{data, data, data}, errEarlyData},
		{"warnings without end", nil, nil, [][]byte{warning, warning, warning, warning, warning}, errWarnings},
		{"warnings without end in TLS 1.3", modern, nil, [][]byte{warning, warning, warning, warning, warning}, errWarnings},
		{"a warning within a message", modern, nil, [][]byte{half, warning}, errInterleaved},
		{"messages between the warnings after the handshake", complete, nil, append(repeat(4, one, warning), warning), errWarnings},
		{"empty records without end", complete, nil, repeat(maxEmptyRecords+1, empty), errEmptyRecords},
		{"messages between the empty records", complete, nil, append(append(repeat(16, one, empty, empty), one), empty), errEmptyRecords},
		{"warnings between the empty records", complete, nil, append(append(repeat(4, warning), repeat(maxEmptyRecords, empty)...), empty), errEmptyRecords},
		{"messages without end after the handshake", complete, nil, repeat(maxIdleMessages+1, one), errIdleMessages},
		{"empty records between the messages", complete, nil, append(repeat(maxIdleMessages-1, empty, one), one, one), errIdleMessages},
		{"ChangeCipherSpecs without end", modern, nil, repeat(maxDroppedCCS+1, ccs), errManyCCS},
		{"empty records between the warnings", complete, nil, [][]byte{warning, warning, warning, warning, rec(record.ApplicationData), warning}, errWarnings},
	} {
		wantNamedAlert(t, c.want)
		for _, late := range []bool{false, true} {
			u := &updater{handle: c.handle, late: late}
			u.stream = NewStream(u, &StreamOptions{MaxRecordData: record.MaxPlaintext, MaxCertificate: 1 << 16})
			if c.prepare != nil {
				c.prepare(u.stream)
			}
			for i, in := range c.records {
				var want error
				if i == len(c.records)-1 {
					want = c.want
				}
				_, _, err := u.open(bytes.Clone(in))
				if err == nil {
					err = u.answer()
				}
				if err != want {
					t.Errorf("%s, record %d, late answers %v: %v, want %v", c.name, i, late, err, want)
					break
				}
			}
			if u.stream.HasOutput() {
				t.Errorf("%s: it is answered", c.name)
			}
		}
	}
}

// TestShortRecordsMoveLittle: a long message in records of one byte is copied a few times
// as a whole, however many records it has.
func TestShortRecordsMoveLittle(t *testing.T) {
	const length = 1 << 18
	u := new(updater)
	u.stream = NewStream(u, &StreamOptions{Server: true, MaxVersion: wire.VersionTLS13, MaxCertificate: length})
	moved := 0
	var at *byte
	for _, b := range wire.AppendMessage(nil, wire.TypeCertificate, make([]byte, length)) {
		if _, _, err := u.open([]byte{byte(record.Handshake), 3, 1, 0, 1, b}); err != nil {
			t.Fatal(err)
		}
		if unread := u.stream.unread; len(unread) > 0 && &unread[0] != at {
			at, moved = &unread[0], moved+len(unread)
		}
	}
	if len(u.got) != 1 {
		t.Error("the message does not come")
	}
	if moved > 10*length {
		t.Errorf("%d bytes are moved for a message of %d", moved, length)
	}
}

// BenchmarkShortRecords: a message in records of one byte. A byte costs the same in a
// long message as in a short one.
func BenchmarkShortRecords(b *testing.B) {
	for _, length := range []int{1 << 12, 1 << 20} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			b.SetBytes(int64(length))
			opt := &StreamOptions{Server: true, MaxVersion: wire.VersionTLS13, MaxCertificate: length}
			message := wire.AppendHeader(nil, wire.TypeCertificate, length)
			for b.Loop() {
				u := new(updater)
				u.stream = NewStream(u, opt)
				for i := range len(message) + length {
					rec := []byte{byte(record.Handshake), 3, 1, 0, 1, 0}
					if i < len(message) {
						rec[5] = message[i]
					}
					if _, _, err := u.open(rec); err != nil {
						b.Fatal(err)
					}
				}
				if len(u.got) != 1 {
					b.Fatal("the message does not come")
				}
			}
		})
	}
}

// TestOpenedStaysInRegisters: the compiler keeps structs of up to four words in registers. A
// larger result costs 4 % of a small record.
func TestOpenedStaysInRegisters(t *testing.T) {
	if size, most := unsafe.Sizeof(Opened{}), 4*unsafe.Sizeof(uintptr(0)); size > most {
		t.Errorf("Opened has %d bytes, want at most %d", size, most)
	}
}
