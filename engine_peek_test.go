package hermetic

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
)

func TestPeekDatagram(t *testing.T) {
	random := strings.Repeat("r", 32)
	hello := "\xfe\xfd" + random + "\x00"
	message := "\x01\x00\x00\x23\x00\x00\x00\x00\x00\x00\x00\x23" + hello
	const start, number = "\x16\xfe\xfd\x00\x00", "\x00\x00\x00\x00\x00\x07"
	for _, test := range []struct {
		name     string
		datagram string
		cidLen   int
		want     Peeked
		ok       bool
	}{
		{"DTLS 1.2, a connection ID", "\x19\xfe\xfd\x00\x01seqnumabcd\x00\x01x", 4, Peeked{ConnectionID: []byte("abcd")}, true},
		{"DTLS 1.2, a connection ID cut off", "\x19\xfe\xfd\x00\x01seqnumabc", 4, Peeked{}, false},
		{"DTLS 1.2, a connection ID where there is none", "\x19\xfe\xfd\x00\x01seqnumabcd\x00\x01x", 0, Peeked{}, false},
		{"DTLS 1.2, content cut off", "\x19\xfe\xfd\x00\x01seqnumabcd\x00\x02x", 4, Peeked{}, false},
		{"DTLS 1.2, no connection ID", "\x17\xfe\xfd\x00\x01seqnum\x00\x01x", 4, Peeked{}, true},
		{"DTLS 1.2, an encrypted handshake message", "\x16\xfe\xfd\x00\x01seqnum\x00\x01x", 4, Peeked{Handshake: true}, true},
		{"DTLS 1.3, a connection ID", "\x3eabcdSS\x00\x01x", 4, Peeked{ConnectionID: []byte("abcd")}, true},
		{"DTLS 1.3, a connection ID, and a short number", "\x36abcdS\x00\x01x", 4, Peeked{ConnectionID: []byte("abcd")}, true},
		{"DTLS 1.3, a connection ID cut off", "\x3eabc", 4, Peeked{}, false},
		{"DTLS 1.3, a connection ID where there is none", "\x3eabcdSS\x00\x01x", 0, Peeked{}, false},
		{"DTLS 1.3, no connection ID", "\x2eSS\x00\x01x", 4, Peeked{}, true},
		{"a ClientHello", start + number + "\x00\x2f" + message, 4, Peeked{HelloRandom: []byte(random), Handshake: true}, true},
		{"a ClientHello, and another record", start + number + "\x00\x2f" + message + "x", 0, Peeked{HelloRandom: []byte(random), Handshake: true}, true},
		{"the first fragment of one", start + number + "\x00\x2f" + "\x01\x00\x01\x00" + message[4:], 0, Peeked{HelloRandom: []byte(random), Handshake: true}, true},
		{"a first fragment before the end of the random", start + number + "\x00\x2d" + message[:9] + "\x00\x00\x21" + message[12:45], 0, Peeked{Handshake: true}, true},
		{"another fragment", start + number + "\x00\x2f" + "\x01\x00\x01\x00\x00\x00\x00\x00\x01" + message[9:], 0, Peeked{Handshake: true}, true},
		{"another message", start + number + "\x00\x2f\x02" + message[1:], 0, Peeked{Handshake: true}, true},
		{"a ClientHello of another epoch", "\x16\xfe\xfd\x00\x01" + number + "\x00\x2f" + message, 0, Peeked{Handshake: true}, true},
		{"an alert", "\x15\xfe\xfd\x00\x00" + number + "\x00\x02\x02\x28", 0, Peeked{}, true},
		{"half a ClientHello", start + number + "\x00\x2f" + message[:20], 0, Peeked{}, false},
		{"another protocol", "\x16\x03\x01\x00\x00" + number + "\x00\x2f" + message, 0, Peeked{}, false},
		{"nothing", "", 4, Peeked{}, false},
	} {
		got, ok := PeekDatagram([]byte(test.datagram), test.cidLen)
		if ok != test.ok || string(got.ConnectionID) != string(test.want.ConnectionID) || string(got.HelloRandom) != string(test.want.HelloRandom) || got.Handshake != test.want.Handshake {
			t.Errorf("%s: %+v, %v, want %+v, %v", test.name, got, ok, test.want, test.ok)
		}
	}
}

// TestPeekHandshake: what is seen of the datagrams of whole connections.
func TestPeekHandshake(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		if !datagram {
			return
		}
		client, server, now := sessionConfigs(t, version)
		client.DTLS.ConnectionIDs, server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, true, 5
		m := newMeeting(t, true, client, server)
		first := m.client.Output(nil)
		p, ok := PeekDatagram(first, 5)
		if !ok || len(p.HelloRandom) != 32 || !p.Handshake {
			t.Errorf("of the first datagram: %+v, %v", p, ok)
		}
		if _, err := m.server.Open(first); err != nil {
			t.Fatal(err)
		}
		m.settle(now)
		out, err := m.client.Seal(nil, []byte("words"))
		if err != nil {
			t.Fatal(err)
		}
		local, _ := m.server.ConnectionIDs()
		if p, ok = PeekDatagram(out, 5); !ok || !bytes.Equal(p.ConnectionID, local[0]) || p.HelloRandom != nil || p.Handshake {
			t.Errorf("of data: %+v, %v, and the connection ID is %x", p, ok, local)
		}
		if out, err = m.server.Seal(nil, []byte("words")); err != nil {
			t.Fatal(err)
		}
		if p, ok = PeekDatagram(out, 0); !ok || p.ConnectionID != nil {
			t.Errorf("of data to an end without connection IDs: %+v, %v", p, ok)
		}
	})
}

// FuzzPeekDatagram: whatever the datagram, what is found has the size that it must have,
// and a server that is asked about it finds the same ClientHello.
func FuzzPeekDatagram(f *testing.F) {
	client, server := configs(f)
	client.DTLS.ConnectionIDs, server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, true, 4
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := client.Clone()
		c.MaxVersion = version
		m := newMeeting(f, true, c, server)
		hello := m.client.Output(nil)
		f.Add(bytes.Clone(hello), uint8(4))
		if _, err := m.server.Open(hello); err != nil {
			f.Fatal(err)
		}
		m.finish()
		out, err := m.client.Seal(nil, []byte("words"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out, uint8(4))
	}
	f.Fuzz(func(t *testing.T, datagram []byte, cidLen uint8) {
		p, ok := PeekDatagram(datagram, int(cidLen))
		if !ok && (p.ConnectionID != nil || p.HelloRandom != nil || p.Handshake) {
			t.Errorf("it does not parse, and has %+v", p)
		}
		if p.ConnectionID != nil && len(p.ConnectionID) != int(cidLen) {
			t.Errorf("a connection ID of %d bytes, want %d", len(p.ConnectionID), cidLen)
		}
		if p.HelloRandom == nil {
			return
		}
		if len(p.HelloRandom) != 32 || !p.Handshake {
			t.Errorf("a random of %d bytes, handshake %v", len(p.HelloRandom), p.Handshake)
		}
		if _, found := findHello(datagram); !found {
			t.Error("AnswerHello finds no ClientHello there")
		}
	})
}
