package wire

import (
	"bytes"
	"testing"
)

// FuzzMessages: nothing panics; what parses, and is appended, parses to the
// same again; and walking its lists ends.
func FuzzMessages(f *testing.F) {
	list := structures()
	for i, c := range list {
		f.Add(uint8(i), c.body())
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		c := list[int(kind)%len(list)]
		m := c.zero()
		before := bytes.Clone(body)
		if err := c.parse(m, body); err != nil {
			return
		}
		walk(t, m)
		if !bytes.Equal(body, before) {
			t.Errorf("%s: parsing changed the message", c.name)
		}
		once := c.append(m)
		twice, err := c.again(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s: %v\n once %x\ntwice %x", c.name, err, once, twice)
		}
	})
}

// walk reads the lists of a message as the states do, and checks what Parse
// has promised of them.
func walk(t *testing.T, m any) {
	switch m := m.(type) {
	case *ClientHello:
		walkClientHello(t, m)
	case *ServerHello:
		for sct := range SCTs(m.SCTs) {
			notEmpty(t, "SCT", sct)
		}
	case *CertificateRequest13:
		walkNames(t, m.Authorities)
	case *CertificateRequest12:
		walkNames(t, m.Authorities)
	case *CertificateEntry:
		for sct := range SCTs(m.SCTs) {
			notEmpty(t, "SCT", sct)
		}
	case *Certificate13:
		for rest := m.Entries; len(rest) > 0; {
			e, after, err := NextEntry(rest, everything)
			if err != nil {
				break
			}
			notEmpty(t, "certificate", e.Data)
			rest = shorter(t, rest, after)
		}
	case *Certificate12:
		for rest := m.List; len(rest) > 0; {
			der, after, err := NextCertificate(rest)
			if err != nil {
				break
			}
			notEmpty(t, "certificate", der)
			rest = shorter(t, rest, after)
		}
	}
}

func walkClientHello(t *testing.T, m *ClientHello) {
	size := 0
	for s := range m.KeyShares.All() {
		notEmpty(t, "key share", s.Data)
		if found, ok := m.KeyShares.Find(s.Group); !ok || !bytes.Equal(found.Data, s.Data) {
			t.Errorf("the share of group %d is not found", s.Group)
		}
		size += 4 + len(s.Data)
	}
	for p := range m.ALPN.All() {
		notEmpty(t, "protocol", p)
	}
	walkNames(t, m.Authorities)
	if size != len(m.KeyShares) {
		t.Errorf("the key shares are %d bytes of %d", size, len(m.KeyShares))
	}
	identities, binders := 0, 0
	for id, binder := range m.PSK.All() {
		notEmpty(t, "identity", id.Identity)
		if len(binder) < 32 {
			t.Errorf("a binder of %d bytes", len(binder))
		}
		identities += 2 + len(id.Identity) + 4
		binders += 1 + len(binder)
	}
	if identities != len(m.PSK.Identities) || binders != len(m.PSK.Binders) {
		t.Errorf("identities of %d bytes in %d, binders of %d in %d", identities, len(m.PSK.Identities), binders, len(m.PSK.Binders))
	}
}

func walkNames(t *testing.T, n Names) {
	for name := range n.All() {
		notEmpty(t, "name", name)
	}
}

func notEmpty(t *testing.T, what string, b []byte) {
	if len(b) == 0 {
		t.Errorf("an empty %s", what)
	}
}

// shorter returns after, which must be.
func shorter(t *testing.T, before, after []byte) []byte {
	if len(after) >= len(before) {
		t.Fatalf("%d bytes left of %d", len(after), len(before))
	}
	return after
}

// FuzzLists: a list that nobody has parsed ends nevertheless.
func FuzzLists(f *testing.F) {
	hello := sampleClientHello(Stream)
	for _, list := range [][]byte{
		hello.KeyShares, hello.ALPN, hello.Authorities, hello.PSK.Identities, hello.PSK.Binders, hello.Groups, sampleEntry.SCTs,
	} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		n := 0
		for range KeyShares(list).All() {
			n++
		}
		for range ALPN(list).All() {
			n++
		}
		for range Names(list).All() {
			n++
		}
		for range (OfferedPSKs{Identities: list, Binders: list}).All() {
			n++
		}
		for range Uint16s(list).All() {
			n++
		}
		for range SCTs(list) {
			n++
		}
		if n > 6*len(list) {
			t.Errorf("%d items in lists of %d bytes", n, len(list))
		}
	})
}

// FuzzFragmentHeader: what parses is the header, its fragment and the rest.
func FuzzFragmentHeader(f *testing.F) {
	h := FragmentHeader{Type: TypeCertificate, Length: 10, Seq: 3, Offset: 4, FragmentLength: 5}
	f.Add(append(h.Append(nil), "fragment"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h FragmentHeader
		fragment, rest, ok := h.Parse(b)
		if !ok {
			return
		}
		if h.Offset+h.FragmentLength > h.Length || len(fragment) != h.FragmentLength {
			t.Errorf("%+v with %d bytes", h, len(fragment))
		}
		if again := append(append(h.Append(nil), fragment...), rest...); !bytes.Equal(again, b) {
			t.Errorf(" got %x\nwant %x", again, b)
		}
	})
}
