package codec

import (
	"bytes"
	"reflect"
	"testing"
)

// every is a structure with every kind of field.
type every struct {
	U8         uint8
	U16        uint16
	U32        uint32
	U64        uint64
	A, B, C    bool
	Fixed      [3]byte
	V8         []byte
	V16        []byte
	V24        []byte
	F8         []byte
	F16        []byte
	O8         []byte
	O24        []byte
	S8, S16    string
	List       [][]byte
	Nested     nested
	Everything []byte
}

type nested struct{ U8 uint8 }

func (n *nested) fields(c *Coder) { c.Uint8(&n.U8) }

func (e *every) fields(c *Coder) {
	c.Const8(7)
	c.Uint8(&e.U8)
	c.Uint16(&e.U16)
	c.Uint32(&e.U32)
	c.Uint64(&e.U64)
	c.Flags(&e.A, &e.B, &e.C)
	c.Fixed(e.Fixed[:])
	c.Vec8(&e.V8)
	c.Vec16(&e.V16)
	c.Vec24(&e.V24)
	c.Filled8(&e.F8)
	c.Filled16(&e.F16)
	c.Optional8(&e.O8)
	c.Optional24(&e.O24)
	c.String8(&e.S8)
	c.String16(&e.S16)
	List8(c, &e.List, c.Vec8)
	c.Nested24(e.Nested.fields)
	c.Rest(&e.Everything)
}

func samples() map[string]struct {
	value every
	bytes string
} {
	return map[string]struct {
		value every
		bytes string
	}{
		"the least": {
			every{V8: []byte{}, V16: []byte{}, V24: []byte{}, F8: []byte{1}, F16: []byte{2}, Everything: []byte{}},
			"\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00" +
				"\x01\x01\x00\x01\x02" + "\x00\x00\x00\x00" + "\x00\x00\x00" + "\x00" + "\x00\x00\x01\x00",
		},
		"everything": {
			every{1, 0x203, 0x4050607, 0x8090a0b0c0d0e0f, true, false, true, [3]byte{1, 2, 3}, []byte("8"), []byte("16"), []byte("24"),
				[]byte("f8"), []byte("f16"), []byte("o8"), []byte("o24"), "s8", "s16", [][]byte{[]byte("a"), []byte("bc")}, nested{9}, []byte("rest")},
			"\x07\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x05\x01\x02\x03" + "\x018\x00\x0216\x00\x00\x0224" +
				"\x02f8\x00\x03f16" + "\x02o8\x00\x00\x03o24" + "\x02s8\x00\x03s16" + "\x02\x01a\x02bc" + "\x00\x00\x01\x09rest",
		},
	}
}

func TestCoder(t *testing.T) {
	for name, test := range samples() {
		if got := Append([]byte("before"), test.value.fields); string(got) != "before"+test.bytes {
			t.Errorf("%s: appended %x, want %x", name, got, test.bytes)
		}
		var e every
		if !Parse([]byte(test.bytes), e.fields) || !reflect.DeepEqual(e, test.value) {
			t.Errorf("%s: parsed\n%+v, want\n%+v", name, e, test.value)
		}
	}
}

// TestMalformed: what is cut off, or not what it must be, does not parse.
func TestMalformed(t *testing.T) {
	least := samples()["the least"].bytes
	for n := range least {
		if Parse([]byte(least[:n]), new(every).fields) {
			t.Errorf("%d of %d bytes parse", n, len(least))
		}
	}
	one := uint8(1)
	for _, test := range []struct {
		name   string
		bytes  string
		fields func(*Coder)
	}{
		{"another constant", "\x08", func(c *Coder) { c.Const8(7) }},
		{"a flag too many", "\x02", func(c *Coder) { c.Flags(new(bool)) }},
		{"an empty Filled8", "\x00", func(c *Coder) { c.Filled8(new([]byte)) }},
		{"an empty Filled16", "\x00\x00", func(c *Coder) { c.Filled16(new([]byte)) }},
		{"what is required", "\x01", func(c *Coder) { c.Uint8(&one); c.Require(false) }},
		{"bytes after a nested structure", "\x00\x00\x02\x00\x00", func(c *Coder) { c.Nested24(new(nested).fields) }},
		{"bytes after the structure", "\x01\x00", func(c *Coder) { c.Uint8(&one) }},
	} {
		if Parse([]byte(test.bytes), test.fields) {
			t.Errorf("%s: it parses", test.name)
		}
	}
	if !Parse([]byte("whatever"), func(c *Coder) { c.Skip() }) {
		t.Error("what is skipped does not parse")
	}
}

func TestBeginEnd(t *testing.T) {
	b, at := Begin16([]byte("x"))
	if b = End16(append(b, "two"...), at); string(b) != "x\x00\x03two" {
		t.Errorf("%x", b)
	}
	b, at = Begin24([]byte("x"))
	if b = End24(append(b, bytes.Repeat([]byte{1}, 1<<16)...), at); string(b[:4]) != "x\x01\x00\x00" {
		t.Errorf("%x", b[:4])
	}
}

// FuzzCoder: what parses is appended as the same bytes.
func FuzzCoder(f *testing.F) {
	for _, test := range samples() {
		f.Add([]byte(test.bytes))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e every
		if !Parse(data, e.fields) {
			return
		}
		if again := Append(nil, e.fields); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
	})
}
