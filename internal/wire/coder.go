package wire

import (
	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
)

// A coder is a [codec.Coder] for messages, which have a type and lists of extensions.
type coder struct {
	codec.Coder
	what string // the structure's name, for errors
	body int    // offset in Out of the message's body
	err  error  // the first error that says more than malformed

	// The fields below are used while a list of extensions is read.
	foreign      ExtensionSet // known extensions that are treated as unknown
	unknown      bool         // the list has an unknown extension
	last         Extension    // the last one read
	illegalTwice bool         // a duplicate is an illegal_parameter
	wrong        *[2]error    // errors in extensions that only one version has: see ClientHello.Check
}

// malformed returns a decode_error that names the message or extension.
func malformed(what string) error {
	return alert.New(alert.DecodeError, what+" does not parse")
}

// parser returns a coder that reads a structure from b. The caller finishes with end.
func parser(what string, b []byte) coder {
	return coder{Coder: codec.Coder{In: codec.Cursor{B: b}}, what: what}
}

// appender returns a coder that appends a handshake message to b. The caller finishes
// with message.
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

// fail notes an error that says more than malformed.
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

// extensions codes the list of extensions at the end of a structure, with its length.
// Reading adds each one to has; appending writes those in has, in the given order.
// fields codes the content of one extension.
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

// readExtensions reads a list of extensions, without its length. It may have any number
// of unknown ones (RFC 9846, Section 9.3).
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
