package wire

import (
	"bytes"
	"fmt"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"testing"
)

// TestKeyExchangeParts: the cipher suite says what a key exchange message
// consists of, and it must consist of that.
func TestKeyExchangeParts(t *testing.T) {
	full := ServerKeyExchange{Hint: []byte("hint"), Group: 29, Public: []byte("public"), Scheme: 0x0403, Signature: []byte("signature")}
	client := ClientKeyExchange{Identity: []byte("identity"), Public: []byte("public")}
	all := []struct {
		name           string
		parts          KeyExchangeParts
		server, client string // as bytes
	}{
		{"ECDHE_ECDSA", KeyExchangeParts{ECDHE: true, Signed: true}, "\x03\x00\x1d\x06public\x04\x03\x00\x09signature", "\x06public"},
		{"PSK", KeyExchangeParts{PSK: true}, "\x00\x04hint", "\x00\x08identity"},
		{"ECDHE_PSK", KeyExchangeParts{PSK: true, ECDHE: true}, "\x00\x04hint\x03\x00\x1d\x06public", "\x00\x08identity\x06public"},
	}
	for _, sent := range all {
		s, c := full.Append(nil, sent.parts)[4:], client.Append(nil, sent.parts)[4:]
		if string(s) != sent.server || string(c) != sent.client {
			t.Errorf("%s: %q and %q", sent.name, s, c)
		}
		for _, read := range all {
			t.Run(fmt.Sprintf("%s read as %s", sent.name, read.name), func(t *testing.T) {
				gotServer, gotClient := full, client // what was there before must go
				errServer, errClient := gotServer.Parse(s, read.parts), gotClient.Parse(c, read.parts)
				if read != sent {
					roomtest.WantAlert(t, errServer, decode, "ServerKeyExchange")
					roomtest.WantAlert(t, errClient, decode, "ClientKeyExchange")
					return
				}
				if errServer != nil || !bytes.Equal(gotServer.Append(nil, read.parts)[4:], s) || read.parts.Signed != (gotServer.Signature != nil) {
					t.Errorf("ServerKeyExchange: %+v, %v", gotServer, errServer)
				}
				if errClient != nil || !bytes.Equal(gotClient.Append(nil, read.parts)[4:], c) || read.parts.PSK != (gotClient.Identity != nil) {
					t.Errorf("ClientKeyExchange: %+v, %v", gotClient, errClient)
				}
			})
		}
	}
}

// TestSignedParams: what the server has signed is what the client checks.
func TestSignedParams(t *testing.T) {
	m := ServerKeyExchange{Hint: []byte("hint"), Group: 23, Public: []byte("public"), Scheme: 0x0403, Signature: []byte("signature")}
	var got ServerKeyExchange
	if err := got.Parse(m.Append(nil, everyPart)[4:], everyPart); err != nil {
		t.Fatal(err)
	}
	if want := AppendECDHParams(nil, m.Group, m.Public); !bytes.Equal(got.Params, want) {
		t.Errorf("Params are %x, signed was %x", got.Params, want)
	}
}
