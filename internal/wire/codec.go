package wire

// A coder goes through the fields of a structure in one of two directions: it
// reads them from in, or it appends them to out. A structure has one method that
// names its fields in their order, and so what is appended is what parses.
//
//	func (m *CertificateVerify) fields(c *coder) {
//		c.uint16(&m.Scheme)
//		c.vec16(&m.Signature)
//	}
type coder struct {
	what      string // the structure's name, for errors
	appending bool
	in        cursor
	out       []byte
	body      int   // where the body of a message starts in out
	err       error // what is wrong, if it is more than malformed
	// Of lists of extensions that are read:
	foreign      ExtensionSet // known ones that mean nothing here: they are as good as unknown
	unknown      bool         // there was an unknown one
	last         Extension    // of the list
	illegalTwice bool         // a duplicate is an illegal_parameter
	wrong        *[2]error    // takes what is wrong with those of one version: see ClientHello.Check
}

// parser reads the structure of that name from b, up to end.
func parser(what string, b []byte) coder { return coder{what: what, in: cursor{b: b}} }

// appender appends a handshake message to b, up to message.
func appender(b []byte, t Type) coder {
	out, body := begin24(append(b, byte(t)))
	return coder{appending: true, out: out, body: body}
}

// message is what there was and the whole message behind it.
func (c *coder) message() []byte { return end24(c.out, c.body) }

// end is the failure of a structure that was read, and should end here.
func (c *coder) end() error {
	if c.err == nil && !c.in.done() {
		return malformed(c.what)
	}
	return c.err
}

// require makes the structure malformed unless ok.
func (c *coder) require(ok bool) { c.in.bad = c.in.bad || !ok }

// fail notes an error that is more than malformed.
func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *coder) uint8(v *uint8) {
	if c.appending {
		c.out = append(c.out, *v)
	} else {
		*v = c.in.uint8()
	}
}

func (c *coder) uint16(v *uint16) {
	if c.appending {
		c.out = appendUint16(c.out, *v)
	} else {
		*v = c.in.uint16()
	}
}

func (c *coder) uint32(v *uint32) {
	if c.appending {
		c.out = appendUint32(c.out, *v)
	} else {
		*v = c.in.uint32()
	}
}

func (c *coder) random(v *[32]byte) {
	if c.appending {
		c.out = append(c.out, v[:]...)
	} else {
		copy(v[:], c.in.bytes(32))
	}
}

// vec8, vec16 and vec24 are vectors with a length of as many bits.
func (c *coder) vec8(v *[]byte) {
	if c.appending {
		c.out = append8(c.out, *v)
	} else {
		*v = c.in.vec8()
	}
}

func (c *coder) vec16(v *[]byte) {
	if c.appending {
		c.out = append16(c.out, *v)
	} else {
		*v = c.in.vec16()
	}
}

func (c *coder) vec24(v *[]byte) {
	if c.appending {
		c.out = append24(c.out, *v)
	} else {
		*v = c.in.vec24()
	}
}

// filled8 and filled16 are vectors that must not be empty.
func (c *coder) filled8(v *[]byte) {
	c.vec8(v)
	c.require(len(*v) > 0)
}

func (c *coder) filled16(v *[]byte) {
	c.vec16(v)
	c.require(len(*v) > 0)
}

// uint16s is a vector of at least one 16-bit value.
func (c *coder) uint16s(v *Uint16s) {
	c.filled16((*[]byte)(v))
	c.require(len(*v)%2 == 0)
}

// rest is all that is left, as it stands.
func (c *coder) rest(v *[]byte) {
	if c.appending {
		c.out = append(c.out, *v...)
	} else {
		*v, c.in.b = c.in.b, nil
	}
}

// skip is an extension whose content does not matter.
func (c *coder) skip() { c.in.b = nil }

// extensions goes through the list of extensions that ends a structure, with its
// length: those that are read, which has notes, or those in has that are to be
// appended, in that order. fields codes the content of one.
func (c *coder) extensions(has *ExtensionSet, order []Extension, fields func(Extension)) {
	if !c.appending {
		block := c.in.vec16()
		if !c.in.done() {
			c.fail(malformed(c.what))
		}
		c.in.b = block
		c.readExtensions(has, fields)
		return
	}
	var list int
	c.out, list = begin16(c.out)
	for _, e := range order {
		if has.Has(e) {
			var at int
			c.out, at = begin16(appendUint16(c.out, uint16(e)))
			fields(e)
			c.out = end16(c.out, at)
		}
	}
	c.out = end16(c.out, list)
}

// readExtensions reads them, without the length of the list. Any number of unknown
// ones may stand in it: RFC 9846, Section 9.3.
func (c *coder) readExtensions(has *ExtensionSet, fields func(Extension)) {
	var seen numbers
	for list := c.in; c.err == nil && list.more(); {
		e := Extension(list.uint16())
		c.last, c.in = e, cursor{b: list.vec16()}
		switch {
		case list.bad:
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
		if err == nil && !c.in.done() {
			err = malformed(e.String())
		}
		if c.err = err; err == nil {
			has.Add(e)
		} else if c.wrong != nil && note(c.wrong, e, err) {
			c.err = nil
		}
	}
	if c.err == nil {
		c.in = cursor{}
	}
}
