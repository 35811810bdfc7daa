package carrier

import (
	"bytes"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// sentRecord is a record of ours, as the peer reads it.
type sentRecord struct {
	outer, typ record.ContentType
	length     int // of what the header is followed by
	content    []byte
}

// readRecords opens records with a reader whose keys are new.
func readRecords(t *testing.T, in []byte, reader *record.Stream) (list []sentRecord) {
	t.Helper()
	for len(in) > 0 {
		n := int(in[3])<<8 | int(in[4])
		typ, content, err := reader.Open(in[:record.HeaderLen+n])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, sentRecord{record.ContentType(in[0]), typ, n, content})
		in = in[record.HeaderLen+n:]
	}
	return list
}

// TestOurStreamRecords: RFC 9846, Sections 5.1 to 5.4 and 6: what our records are like:
// their sizes, their types, messages that end where keys change, the numbers from zero on
// under each key, and one alert in a record, with its level.
func TestOurStreamRecords(t *testing.T) {
	s := suite.ByID(0x1301)
	keys := func(generation byte) suite.Keys {
		return s.TrafficKeys(suite.TLS, bytes.Repeat([]byte{generation}, 32))
	}
	reader := func(generation byte) *record.Stream {
		var r record.Stream
		r.Install(keys(generation))
		return &r
	}
	newStream := func() *Stream {
		stream := NewStream(new(updater), &StreamOptions{MaxRecordData: record.MaxPlaintext, MaxCertificate: 1 << 16})
		stream.SetVersion(wire.VersionTLS13)
		return stream
	}
	message := func(n int) []byte { return wire.AppendMessage(nil, wire.TypeCertificate, make([]byte, n)) }

	stream := newStream()
	now := time.Time{}
	var sent [][]byte // under no keys, and under each of three
	take := func() {
		sent = append(sent, stream.Output(now, nil))
	}
	stream.Send(message(20_000))
	stream.Send(message(0))
	take()
	// What is queued when keys change leaves under the old ones, and ends their last record.
	stream.InstallWrite(handshake.Handshake, keys(1))
	stream.Send(message(40_000))
	stream.Send(message(10))
	stream.SendCompatibilityCCS()
	take()
	stream.InstallWrite(handshake.Application, keys(2))
	stream.Complete()
	data, err := stream.Seal(nil, make([]byte, record.MaxPlaintext))
	if err != nil {
		t.Fatal(err)
	}
	stream.SendKeyUpdate((&wire.KeyUpdate{}).Append(nil), keys(3))
	sent = append(sent, append(data, stream.Output(now, nil)...))
	data, err = stream.Seal(nil, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	stream.SendAlert(alert.CloseNotify)
	sent = append(sent, append(data, stream.Output(now, nil)...))

	var types [][]record.ContentType
	for i, in := range sent {
		r := new(record.Stream)
		if i == 1 {
			ccs := []byte{byte(record.ChangeCipherSpec), 3, 3, 0, 1, 1}
			if !bytes.HasSuffix(in, ccs) {
				t.Fatal("the ChangeCipherSpec is encrypted")
			}
			in = bytes.TrimSuffix(in, ccs)
		}
		if i > 0 {
			r = reader(byte(i))
		}
		var list []record.ContentType
		var messages []byte
		for _, rec := range readRecords(t, in, r) {
			list = append(list, rec.typ)
			switch {
			case i > 0 && (rec.outer != record.ApplicationData || rec.length > record.MaxPlaintext+256), i == 0 && rec.length > record.MaxPlaintext:
				t.Errorf("a record of type %d has %d bytes", rec.outer, rec.length)
			case len(rec.content) == 0 || len(rec.content) > record.MaxPlaintext:
				t.Errorf("a record of type %d with %d bytes of content", rec.typ, len(rec.content))
			}
			if rec.typ == record.Handshake {
				messages = append(messages, rec.content...)
			}
		}
		for len(messages) > 0 {
			n := 4 + int(messages[1])<<16 + int(messages[2])<<8 + int(messages[3])
			if n > len(messages) {
				t.Fatalf("under keys %d a message is cut off", i)
			}
			messages = messages[n:]
		}
		types = append(types, list)
	}
	for i, want := range [][]record.ContentType{
		{record.Handshake, record.Handshake},
		{record.Handshake, record.Handshake, record.Handshake},
		{record.ApplicationData, record.Handshake},
		{record.ApplicationData, record.Alert},
	} {
		if !bytes.Equal(typesOf(types[i]), typesOf(want)) {
			t.Errorf("under keys %d: records of types %d, want %d", i, types[i], want)
		}
	}

	for d := alert.Description(0); d < 130; d++ {
		stream := newStream()
		stream.InstallWrite(handshake.Application, keys(1))
		stream.SendAlert(d)
		stream.SendAlert(d)
		level := byte(2)
		if d == alert.CloseNotify {
			level = 1
		}
		list := readRecords(t, stream.Output(now, nil), reader(1))
		if len(list) != 1 || list[0].typ != record.Alert || !bytes.Equal(list[0].content, []byte{level, byte(d)}) {
			t.Errorf("%v: %+v", d, list)
		}
	}
}

func typesOf(list []record.ContentType) (b []byte) {
	for _, typ := range list {
		b = append(b, byte(typ))
	}
	return b
}
