package wire

import (
	"bytes"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"reflect"
	"slices"
	"testing"
)

func TestUint16s(t *testing.T) {
	u := AppendUint16s(AppendUint16s(nil, 0x1301), 0xfffe, 3)
	if want := (Uint16s{0x13, 0x01, 0xff, 0xfe, 0, 3}); !bytes.Equal(u, want) {
		t.Errorf("appended as %x", u)
	}
	if u.Len() != 3 || u.At(0) != 0x1301 || u.At(1) != 0xfffe || u.At(2) != 3 {
		t.Errorf("%d: %#x %#x %#x", u.Len(), u.At(0), u.At(1), u.At(2))
	}
	// 0x01ff stands there, but not where a value begins.
	if !u.Contains(0xfffe) || !u.Contains(3) || u.Contains(0x01ff) || u.Contains(0) || Uint16s(nil).Contains(0) {
		t.Error("Contains is wrong")
	}
	if got := slices.Collect(u.All()); !slices.Equal(got, []uint16{0x1301, 0xfffe, 3}) {
		t.Errorf("All yields %#x", got)
	}
}

// TestLists: each list yields what was appended to it, in order, and stops when
// it is told to.
func TestLists(t *testing.T) {
	texts := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
	names := AppendNames(nil, texts...)
	if got := slices.Collect(names.All()); !reflect.DeepEqual(got, texts) {
		t.Errorf("Names yields %q", got)
	}
	alpn := AppendALPN(nil, "one", "two", "three")
	if got := slices.Collect(alpn.All()); !reflect.DeepEqual(got, texts) {
		t.Errorf("ALPN yields %q", got)
	}
	scts := AppendSCTs([]byte("before"), texts)[len("before"):]
	if got := slices.Collect(SCTs(scts)); !reflect.DeepEqual(got, texts) {
		t.Errorf("SCTs yields %q", got)
	}
	for range names.All() {
		break
	}
	for range alpn.All() {
		break
	}
	for range SCTs(scts) {
		break
	}
	for range AppendUint16s(nil, 1, 2).All() {
		break
	}
	for range AppendKeyShare(AppendKeyShare(nil, 1, texts[0]), 2, texts[1]).All() {
		break
	}
}

func TestKeyShares(t *testing.T) {
	s := AppendKeyShare(AppendKeyShare(nil, 29, []byte("x25519")), 23, []byte("p256"))
	want := []KeyShare{{29, []byte("x25519")}, {23, []byte("p256")}}
	if got := slices.Collect(s.All()); !reflect.DeepEqual(got, want) {
		t.Errorf("All yields %v", got)
	}
	if got, ok := s.Find(23); !ok || !reflect.DeepEqual(got, want[1]) {
		t.Errorf("Find: %v, %v", got, ok)
	}
	if got, ok := s.Find(24); ok {
		t.Errorf("found %v", got)
	}
}

func TestOfferedPSKs(t *testing.T) {
	first, second := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 48)
	var p OfferedPSKs
	p.Identities = AppendPSKIdentity(p.Identities, PSKIdentity{[]byte("ticket"), 0x01020304})
	p.Identities = AppendPSKIdentity(p.Identities, PSKIdentity{[]byte("external"), 0})
	p.Binders = AppendPSKBinder(AppendPSKBinder(p.Binders, first), second)
	var ids []PSKIdentity
	var binders [][]byte
	for id, binder := range p.All() {
		ids, binders = append(ids, id), append(binders, binder)
	}
	if !reflect.DeepEqual(ids, []PSKIdentity{{[]byte("ticket"), 0x01020304}, {[]byte("external"), 0}}) {
		t.Errorf("identities %+v", ids)
	}
	if !reflect.DeepEqual(binders, [][]byte{first, second}) {
		t.Errorf("binders %x", binders)
	}
	var cut [][]byte
	for id, _, rest, ok := p.Cut(); ok; id, _, rest, ok = rest.Cut() {
		cut = append(cut, id.Identity)
	}
	if !reflect.DeepEqual(cut, [][]byte{[]byte("ticket"), []byte("external")}) {
		t.Errorf("cut into %q", cut)
	}
	for _, c := range []struct {
		list, all string
		want      bool
	}{{"", "", true}, {"", "a", true}, {"a", "", false}, {"a", "a", true}, {"b", "ab", true}, {"ac", "abc", true}, {"ca", "abc", false}, {"aa", "a", false}} {
		list := func(names string) (p OfferedPSKs) {
			for i := range names {
				p.Identities = AppendPSKIdentity(p.Identities, PSKIdentity{[]byte(names[i : i+1]), uint32(i)})
				p.Binders = AppendPSKBinder(p.Binders, first)
			}
			return p
		}
		if got := list(c.list).PartOf(list(c.all)); got != c.want {
			t.Errorf("%q is part of %q: %v", c.list, c.all, got)
		}
	}
	if !p.Has([]byte("external")) || p.Has([]byte("extern")) {
		t.Error("Has is wrong")
	}
	for range p.All() {
		break
	}
	if n := p.BindersLen(); n != 2+1+32+1+48 {
		t.Errorf("the binders are %d bytes", n)
	}
}

// TestCertificateLists: a chain is read one certificate at a time.
func TestCertificateLists(t *testing.T) {
	want := []CertificateEntry{sampleEntry, {Data: []byte("intermediate")}, {Data: []byte("root"), Has: Extensions(ExtSCT), SCTs: AppendSCTs(nil, [][]byte{{9}})}}
	var entries []byte
	for i := range want {
		entries = AppendEntry(entries, &want[i])
	}
	for i, rest := 0, entries; i < len(want) || len(rest) > 0; i++ {
		var e CertificateEntry
		var err error
		if e, rest, err = NextEntry(rest, everything); err != nil || !reflect.DeepEqual(e, want[i]) {
			t.Fatalf("entry %d: %+v, %v", i, e, err)
		}
	}
	list := AppendCertificate(AppendCertificate(nil, []byte("leaf")), []byte("root"))
	leaf, rest, err := NextCertificate(list)
	if string(leaf) != "leaf" || err != nil {
		t.Errorf("%q, %v", leaf, err)
	}
	if root, rest, err := NextCertificate(rest); string(root) != "root" || len(rest) != 0 || err != nil {
		t.Errorf("%q, then %d bytes, %v", root, len(rest), err)
	}
	for _, bad := range []string{"", "\x00\x00", "\x00\x00\x00", "\x00\x00\x02a"} {
		der, rest, err := NextCertificate([]byte(bad))
		roomtest.WantAlert(t, err, decode, "%x yields %x and %x", bad, der, rest)
	}
}
