package alert

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// TestPeersText: what a peer writes becomes no line of a log, no command of a
// terminal, and no page.
func TestPeersText(t *testing.T) {
	for _, c := range []struct{ name, text, quoted, clean string }{
		{"a name", "example.com", `"example.com"`, `example.com`},
		{"another script", "bücher.example", `"bücher.example"`, `bücher.example`},
		{"a line", "x\r\nroot logged in", `"x\r\nroot logged in"`, `x\r\nroot logged in`},
		{"a terminal's command", "\x1b[2J\x9b", `"\x1b[2J\x9b"`, `\x1b[2J\x9b`},
		{"writing from right to left", "a\u202eb", `"a\u202eb"`, `a\u202eb`},
		{"quotes", `"; "`, `"\"; \""`, `"; "`},
		{"no UTF-8", "\xff\xfe", `"\xff\xfe"`, `\xff\xfe`},
	} {
		if got := Quote(c.text); got != c.quoted {
			t.Errorf("%s: %s, want %s", c.name, got, c.quoted)
		}
		if got := Clean(c.text); got != c.clean {
			t.Errorf("%s: %s, want %s", c.name, got, c.clean)
		}
	}
	for _, long := range []string{strings.Repeat("a", 1<<16), strings.Repeat("\x00", 1<<16), strings.Repeat("ü", 1<<15), strings.Repeat("\x80", 1<<16)} {
		err := Wrap(BadCertificate, "the certificate of "+Quote(long)+" does not verify", errors.New(long))
		if n := len(err.Error()); n > 1000 {
			t.Errorf("%q: an error of %d bytes", long[:4], n)
		}
		if i := strings.IndexFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q: the error has %q", long[:4], err.Error()[i:i+4])
		}
	}
}
