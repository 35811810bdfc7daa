package wire

import (
	"bytes"
	"testing"
)

// TestNames: what errors are made of.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		got  interface{ String() string }
		want string
	}{
		{TypeClientHello, "ClientHello"},
		{TypeMessageHash, "message_hash"},
		{TypeNewConnectionID, "NewConnectionId"},
		{Type(99), "message type 99"},
		{Types(TypeFinished), "Finished"},
		{Types(TypeCertificateRequest, TypeCertificate), "Certificate or CertificateRequest"},
		{Types(), ""},
		{ExtALPN, "application_layer_protocol_negotiation"},
		{ExtRenegotiationInfo, "renegotiation_info"},
		{Extension(0x1234), "extension 4660"},
		{Extensions(ExtKeyShare, ExtServerName), "server_name, key_share"},
		{Extensions(), ""},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestTypeSet: a peer's message type is any byte.
func TestTypeSet(t *testing.T) {
	s := Types(TypeHelloRequest, TypeCertificate, TypeKeyUpdate)
	for i := range 256 {
		typ := Type(i)
		want := typ == TypeHelloRequest || typ == TypeCertificate || typ == TypeKeyUpdate
		if s.Has(typ) != want {
			t.Errorf("Has(%v) is %v", typ, !want)
		}
	}
}

func TestExtensionSet(t *testing.T) {
	for i := range known {
		e := known[i].number
		if s := Extensions(e); !s.Has(e) || s.Minus(s) != 0 || s.Minus(0) != s || ExtensionSet(0).Has(e) {
			t.Errorf("the set of %v is wrong", e)
		}
		for j := range known[:i] {
			if Extensions(e).Has(known[j].number) || known[j].name == known[i].name {
				t.Errorf("%v and %v are the same", e, known[j].number)
			}
		}
	}
	s := Extensions(ExtALPN, ExtCookie)
	if s != Extensions(ExtCookie, ExtALPN, ExtALPN) || s.Minus(Extensions(ExtALPN, ExtSCT)) != Extensions(ExtCookie) {
		t.Errorf("%v", s)
	}
	if all := ^ExtensionSet(0); all.Has(0x1234) {
		t.Error("a set has an extension that is not known")
	}
}

func TestHeader(t *testing.T) {
	b := AppendHeader([]byte("before"), TypeCertificate, 0x010203)
	if string(b) != "before\x0b\x01\x02\x03" {
		t.Errorf("%x", b)
	}
	if typ, n, ok := ParseHeader(b[6:]); typ != TypeCertificate || n != 0x010203 || !ok {
		t.Errorf("%v, %d, %v", typ, n, ok)
	}
	for n := range 4 {
		if _, _, ok := ParseHeader(b[6 : 6+n]); ok {
			t.Errorf("%d bytes are a header", n)
		}
	}
	if got := AppendMessage(nil, TypeServerHelloDone, nil); !bytes.Equal(got, []byte{14, 0, 0, 0}) {
		t.Errorf("ServerHelloDone is %x", got)
	}
	if got := AppendMessage(nil, TypeFinished, []byte("verify_data!")); string(got) != "\x14\x00\x00\x0cverify_data!" {
		t.Errorf("Finished is %q", got)
	}
}

func TestFragmentHeader(t *testing.T) {
	h := FragmentHeader{Type: TypeCertificate, Length: 0x010203, Seq: 0x0405, Offset: 0x000102, FragmentLength: 3}
	b := append(h.Append(nil), "abcnext"...)
	if want := "\x0b\x01\x02\x03\x04\x05\x00\x01\x02\x00\x00\x03abcnext"; string(b) != want {
		t.Errorf(" got %q\nwant %q", b, want)
	}
	var got FragmentHeader
	fragment, rest, ok := got.Parse(b)
	if got != h || string(fragment) != "abc" || string(rest) != "next" || !ok {
		t.Errorf("%+v, %q, then %q, %v", got, fragment, rest, ok)
	}
	for n := range FragmentHeaderLen + 3 {
		if _, _, ok := got.Parse(b[:n]); ok {
			t.Errorf("%d bytes are a header and a fragment", n)
		}
	}
	for _, tt := range []struct {
		name   string
		header FragmentHeader
		ok     bool
	}{
		{"an empty message", FragmentHeader{}, true},
		{"a whole message", FragmentHeader{Length: 3, FragmentLength: 3}, true},
		{"the end of a message", FragmentHeader{Length: 5, Offset: 2, FragmentLength: 3}, true},
		{"an empty fragment at the end", FragmentHeader{Length: 5, Offset: 5}, true},
		{"beyond the end by a byte", FragmentHeader{Length: 4, Offset: 2, FragmentLength: 3}, false},
		{"empty, but beyond the end", FragmentHeader{Length: 4, Offset: 5}, false},
		{"as far beyond as can be", FragmentHeader{Length: 3, Offset: 1<<24 - 1, FragmentLength: 3}, false},
	} {
		if _, _, ok := new(FragmentHeader).Parse(append(tt.header.Append(nil), "abc"...)); ok != tt.ok {
			t.Errorf("%s: %v", tt.name, ok)
		}
	}
}
