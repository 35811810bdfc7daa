package carrier

import (
	"bytes"
	"testing"
	"time"

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
}

func (u *updater) Handle(m wire.Message) error {
	u.got = append(u.got, m.Type)
	return nil
}

func (u *updater) Waiting() bool { return false }

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
	u.stream = NewStream(u, StreamOptions{MaxFragment: record.MaxPlaintext, MaxCertificate: 1 << 16})
	u.stream.SetVersion(wire.VersionTLS13)
	u.stream.InstallWrite(handshake.Application, keys())
	u.stream.Complete()
	for range 7 {
		if _, err := u.stream.Seal(time.Time{}, nil, []byte("data")); err != nil {
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
		u.stream = NewStream(u, StreamOptions{MaxFragment: size, MaxCertificate: 1 << 16})
		sender := NewStream(u, StreamOptions{MaxFragment: size})
		sender.Send(messages)
		for in := sender.Output(time.Time{}, nil); len(in) > 0; {
			o, err := u.stream.Open(time.Time{}, in)
			if err != nil || o.N == 0 {
				t.Fatalf("records of %d bytes: %v", size, err)
			}
			in = in[o.N:]
		}
		if len(u.got) != 2 || u.got[0] != wire.TypeServerHello || u.got[1] != wire.TypeFinished {
			t.Errorf("records of %d bytes: got %v", size, u.got)
		}
	}
}
