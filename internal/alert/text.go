package alert

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxQuoted = 100 // bytes of one name from a peer, before it is escaped
	maxText   = 500 // bytes of an error that may repeat what a peer wrote
)

// Quote returns text from a peer as it may stand in an error: in quotes, with
// anything that does not print escaped, and cut: 200 bytes at most.
func Quote(s string) string { return cut(strconv.Quote(cut(s, maxQuoted)), 2*maxQuoted) }

// Clean returns the text of an error that may repeat what a peer wrote: with
// anything that does not print escaped, and cut to 500 bytes.
func Clean(s string) string {
	s = cut(s, maxText)
	if strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r != utf8.RuneError && unicode.IsPrint(r) {
			b.WriteString(s[:n])
		} else {
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return cut(b.String(), maxText)
}

// cut shortens s to at most n bytes and three dots, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
