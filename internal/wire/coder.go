package wire

import (
	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
)

// A coder is a [codec.Coder] of messages, which have a type, and extensions.
type coder struct {
	codec.Coder
	what string // the structure's name, for errors
	body int    // where the body of a message starts in Out
	err  error  // what is wrong, if it is more than malformed
	// For lists of extensions that are read:
	foreign      ExtensionSet // known extensions that mean nothing here, and are treated as unknown
	unknown      bool         // there was an unknown one
	last         Extension    // of the list
	illegalTwice bool         // a duplicate is an illegal_parameter
	wrong        *[2]error    // receives the errors of extensions that only one version has: see ClientHello.Check
}

// malformed is a decode_error that names the message or extension.
func malformed(what string) error {
	return alert.New(alert.DecodeError, what+" does not parse")
}

// parser reads the structure of that name from b, up to end.
func parser(what string, b []byte) coder {
	return coder{Coder: codec.Coder{In: codec.Cursor{B: b}}, what: what}
}

// appender appends a handshake message to b, up to message.
func appender(b []byte, t Type) coder {
	out, body := codec.Begin24(append(b, byte(t)))
	return coder{Coder: codec.Coder{Appending: true, Out: out}, body: body}
}

// message returns the caller's slice with the message appended.
func (c *coder) message() []byte { return codec.End24(c.Out, c.body) }

// end reports trailing bytes or an earlier failure.
func (c *coder) end() error {
	if c.err == nil && !c.In.Done() {
		return malformed(c.what)
	}
	return c.err
}

// fail notes an error that is more than malformed.
func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// uint16s is a vector of at least one 16-bit value.
func (c *coder) uint16s(v *Uint16s) {
	c.Filled16((*[]byte)(v))
	c.Require(len(*v)%2 == 0)
}

// extensions goes through the list of extensions that ends a structure, with its
// length: those that are read, which has notes, or those in has that are to be
// appended, in that order. fields codes the content of one.
func (c *coder) extensions(has *ExtensionSet, order []Extension, fields func(Extension)) {
	if !c.Appending {
		block := c.In.Vec16()
		if !c.In.Done() {
			c.fail(malformed(c.what))
		}
		c.In.B = block
		c.readExtensions(has, fields)
		return
	}
	var list int
	c.Out, list = codec.Begin16(c.Out)
	for _, e := range order {
		if has.Has(e) {
			var at int
			c.Out, at = codec.Begin16(codec.AppendUint16(c.Out, uint16(e)))
			fields(e)
			c.Out = codec.End16(c.Out, at)
		}
	}
	c.Out = codec.End16(c.Out, list)
}

// readExtensions reads them, without the length of the list. Any number of unknown
// ones may stand in it: RFC 9846, Section 9.3.
func (c *coder) readExtensions(has *ExtensionSet, fields func(Extension)) {
	var seen numbers
	for list := c.In; c.err == nil && list.More(); {
		e := Extension(list.Uint16())
		c.last, c.In = e, codec.Cursor{B: list.Vec16()}
		switch {
		case list.Bad:
			c.err = malformed("the list of extensions")
			return
		case !seen.add(uint16(e)):
			c.err = c.duplicate()
			return
		case e.bit() < 0 || c.foreign.Has(e):
			c.unknown = true
			continue
		}
		fields(e)
		err := c.err
		if err == nil && !c.In.Done() {
			err = malformed(e.String())
		}
		if c.err = err; err == nil {
			has.Add(e)
		} else if c.wrong != nil && note(c.wrong, e, err) {
			c.err = nil
		}
	}
	if c.err == nil {
		c.In = codec.Cursor{}
	}
}
