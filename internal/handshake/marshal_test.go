package handshake

import (
	"bytes"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// forms are connections as they are written.
func forms(t testing.TB) (forms [][]byte) {
	for _, h := range []setting{hello12, hello13} {
		client, server := h.ends(t, identity(t), new(pki.Cache))
		if _, c, s := play(client, server, unchanged); c != nil || s != nil {
			t.Fatal(c, s)
		}
		for _, e := range []*end{client, server} {
			form, ok := e.machine.Connection().Append(nil, pkitest.Now)
			if !ok {
				t.Fatal("it has no form")
			}
			forms = append(forms, form)
		}
	}
	return forms
}

// TestConnectionForm: a connection that has moved is written as the same bytes again, and
// one that is not whole is none.
func TestConnectionForm(t *testing.T) {
	for _, form := range forms(t) {
		c, err := ParseConnection(form, new(pki.Cache))
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := c.Append(nil, pkitest.Now); !ok || !bytes.Equal(again, form) {
			t.Errorf("%x became %x, %v", form, again, ok)
		}
		for n := range form {
			if _, err := ParseConnection(form[:n], new(pki.Cache)); err == nil {
				t.Errorf("%d of %d bytes are a connection", n, len(form))
			}
		}
	}
}

// TestRetryForm is the content of a HelloRetryRequest's cookie.
func TestRetryForm(t *testing.T) {
	const want = "\x13\x01\x00\x1dthe hash"
	r := statelessRetry{suite: suite.ByID(0x1301), group: suite.X25519, hello1: []byte("the hash")}
	if got := codec.Append(nil, r.fields); string(got) != want {
		t.Errorf("%x, want %x", got, want)
	}
	var again statelessRetry
	if !codec.Parse([]byte(want), again.fields) || again.suite != r.suite || again.group != r.group || !bytes.Equal(again.hello1, r.hello1) {
		t.Errorf("%+v, want %+v", again, r)
	}
}

// FuzzConnection: what has the form of a connection is written as the same bytes.
func FuzzConnection(f *testing.F) {
	for _, form := range forms(f) {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed := form{conn: new(Connection)}
		if !codec.Parse(data, parsed.fields) {
			return
		}
		if again := codec.Append(nil, parsed.fields); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
		if c, err := ParseConnection(data, new(pki.Cache)); err == nil {
			c.Keys(false)
			c.Append(nil, time.Time{})
		}
	})
}

// FuzzRetryCookie: the content of a cookie is read as it was written, if its suite is known.
func FuzzRetryCookie(f *testing.F) {
	f.Add([]byte("\x13\x01\x00\x1dthe hash"))
	f.Fuzz(func(t *testing.T, content []byte) {
		var r statelessRetry
		if !codec.Parse(content, r.fields) || r.suite == nil {
			return
		}
		if again := codec.Append(nil, r.fields); !bytes.Equal(again, content) {
			t.Errorf("%x became %x", content, again)
		}
		var hrr wire.ServerHello
		if r.cookie = []byte("cookie"); hrr.Parse(r.message()[4:]) != nil {
			t.Errorf("the HelloRetryRequest of %x does not parse", content)
		}
	})
}
