package pcapng_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/pcapng"
)

// block is a block of a file.
type block struct {
	typ  uint32
	body []byte
}

// blocks takes a file apart, and checks its structure.
func blocks(t *testing.T, file []byte) (list []block) {
	t.Helper()
	for len(file) > 0 {
		if len(file) < 12 {
			t.Fatalf("%d bytes are left", len(file))
		}
		size := int(binary.LittleEndian.Uint32(file[4:]))
		if size%4 != 0 || size < 12 || size > len(file) || binary.LittleEndian.Uint32(file[size-4:]) != uint32(size) {
			t.Fatalf("a block of %d bytes", size)
		}
		list = append(list, block{binary.LittleEndian.Uint32(file), file[8 : size-4]})
		file = file[size:]
	}
	return list
}

// packets are the IP packets of a file.
func packets(t *testing.T, file []byte) (list [][]byte) {
	for _, b := range blocks(t, file) {
		if b.typ == 6 {
			list = append(list, b.body[20:][:binary.LittleEndian.Uint32(b.body[12:])])
		}
	}
	return list
}

// TestPackets: every packet is one that IP, TCP or UDP permit, in the right direction.
func TestPackets(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		for _, side := range []trace.Side{trace.Client, trace.Server} {
			list := packets(t, capture(t, datagram, tls.VersionTLS13, false, side))
			if len(list) < 4 {
				t.Fatalf("%d packets", len(list))
			}
			for i, ip := range list {
				if ip[0] != 0x45 || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) || (ip[9] == 17) != datagram {
					t.Fatalf("a header of IP: % x", ip[:20])
				}
				if fromClient := ip[12] == 192; i == 0 && !fromClient || fromClient == (ip[16] == 192) {
					t.Errorf("packet %d is from %d to %d", i, ip[12:16], ip[16:20])
				}
			}
		}
	}
}

// TestDatagramsStayWhole: the records of a datagram are one packet.
func TestDatagramsStayWhole(t *testing.T) {
	var file bytes.Buffer
	w := pcapng.NewWriter(&file, nil)
	rec := func(sent bool, offset int, text string) {
		w.Write(trace.Event{Time: time.Unix(1, 5), Conn: 1, Side: trace.Server, Data: &trace.Record{Sent: sent, Offset: offset, Bytes: trace.Bytes("\x16\xfe" + text)}})
	}
	rec(false, 0, "a")
	rec(false, 3, "b")
	rec(true, 0, "c")
	rec(true, 0, "d")
	w.Write(trace.Event{Time: time.Unix(1, 5), Conn: 1, Side: trace.Server, Data: &trace.Drop{Offset: 0, Bytes: trace.Bytes("garbage")}})
	w.Write(trace.Event{Time: time.Unix(1, 5), Conn: 1, Side: trace.Server, Data: &trace.Drop{Reason: "misplaced"}})
	rec(false, 7, "e") // the garbage was the start of its datagram
	rec(false, 90, "f")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ip := range packets(t, file.Bytes()) {
		got = append(got, strings.ReplaceAll(string(ip[28:]), "\x16\xfe", ""))
	}
	if text := strings.Join(got, " "); text != "ab c d garbagee f" {
		t.Errorf("got %q", got)
	}
}

// TestSecretsAreOnlyThereOnRequest: without KeyLog the file has no block for them.
func TestSecretsAreOnlyThereOnRequest(t *testing.T) {
	for _, secrets := range []bool{false, true} {
		n := 0
		for _, b := range blocks(t, capture(t, false, tls.VersionTLS13, secrets, trace.Client)) {
			if b.typ == 0xa {
				n++
				if binary.LittleEndian.Uint32(b.body) != 0x544c534b || !strings.Contains(string(b.body), "_SECRET") {
					t.Errorf("the block is %q", b.body)
				}
			}
		}
		if (n > 0) != secrets {
			t.Errorf("with secrets: %v, and %d blocks with them", secrets, n)
		}
	}
}

// TestLimit: the file ends with a whole block before the limit.
func TestLimit(t *testing.T) {
	for limit := int64(1); limit < 1000; limit += 41 {
		var file bytes.Buffer
		w := pcapng.NewWriter(&file, &pcapng.Options{Limit: limit})
		for range 10 {
			w.Write(trace.Event{Time: time.Unix(1, 5), Conn: 1, Side: trace.Client, Data: &trace.Record{Sent: true, Bytes: trace.Bytes("\x16\x03\x03 a record")}})
		}
		if err := w.Close(); err != nil || int64(file.Len()) > limit {
			t.Errorf("limit %d: %d bytes, %v", limit, file.Len(), err)
		}
		blocks(t, file.Bytes())
	}
}

var errFull = errors.New("the disk is full")

// full is a disk with room for some bytes.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// TestWriterFails: the first error is kept.
func TestWriterFails(t *testing.T) {
	for room := range 300 {
		w := pcapng.NewWriter(&full{room}, nil)
		for range 5 {
			w.Write(trace.Event{Time: time.Unix(1, 5), Conn: 1, Side: trace.Client, Data: &trace.Record{Sent: true, Bytes: trace.Bytes("\x16\x03\x03 a record")}})
		}
		if _, err := w.KeyLog().Write([]byte("line\n")); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != errFull {
			t.Errorf("%d bytes: %v", room, err)
		}
	}
}
