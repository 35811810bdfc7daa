// Package requirements compares docs/requirements.md with the texts of RFC 9846 and
// RFC 9147bis: each sentence that obliges an endpoint has a row there, with the tests
// that show it.
package requirements

import (
	"fmt"
	"regexp"
	"strings"
)

// A sentence is one that requires something.
type sentence struct {
	section string // its number, as in "4.2.2" or "D.5"
	text    string // on one line
}

var (
	// obliges matches the key words of BCP 14 that leave no choice.
	obliges = regexp.MustCompile(`\b(MUST|SHALL|REQUIRED)\b`)
	heading = regexp.MustCompile(`^(#+) +(.*?)(?: *\{#[^}]*\})?$`)
	// item matches the line that starts an item of a list, or a definition.
	item = regexp.MustCompile(`^\s*([-*:]|[1-9][0-9]?\.)\s+`)
	// end matches what can end a sentence, and the character that the next starts with.
	end = regexp.MustCompile(`[.?!]["')]*\s+["'({*]*\p{Lu}`)
	// reference matches a reference to a section or another document.
	reference = regexp.MustCompile(`\{\{[?!]?([^}]*)\}\}`)
)

// extract finds the sentences of a specification that require something: its source
// in kramdown, as the RFC editor has it. Figures are no sentences.
func extract(spec string) []sentence {
	var found []sentence
	var numbers counter
	var block []string
	flush := func() {
		text := strings.Join(strings.Fields(strings.Join(block, " ")), " ")
		block = block[:0]
		for _, s := range split(reference.ReplaceAllString(text, "$1")) {
			if obliges.MatchString(s) {
				found = append(found, sentence{numbers.String(), s})
			}
		}
	}
	figure, middle := false, false
	for line := range strings.Lines(spec) {
		line = strings.TrimRight(line, " \r\n\f")
		switch h := heading.FindStringSubmatch(line); {
		case strings.HasPrefix(line, "~~~"), strings.HasPrefix(line, "```"):
			flush()
			figure = !figure
		case figure:
		case line == "--- middle":
			middle = true
		case line == "--- back":
			flush()
			numbers = counter{appendix: true}
		case !middle:
		case h != nil:
			flush()
			numbers.next(len(h[1]))
		case line == "", strings.HasPrefix(line, "|"), strings.HasPrefix(line, "{:"):
			flush()
			if strings.HasPrefix(line, "|") {
				block = append(block, line)
			}
		case item.MatchString(line):
			flush()
			block = append(block, item.ReplaceAllString(line, ""))
		default:
			block = append(block, line)
		}
	}
	flush()
	return found
}

// split divides a paragraph into its sentences.
func split(text string) (sentences []string) {
	start := 0
	for at := 0; ; {
		m := end.FindStringIndex(text[at:])
		if m == nil {
			return append(sentences, text[start:])
		}
		stop := at + m[0] + 1
		at += m[0] + strings.IndexByte(text[at+m[0]:], ' ')
		if before := text[start:stop]; strings.HasSuffix(before, "e.g.") || strings.HasSuffix(before, "i.e.") {
			continue
		}
		sentences = append(sentences, text[start:at])
		start = at + 1
	}
}

// A counter numbers sections. Those of the back are letters first.
type counter struct {
	at       []int
	appendix bool
}

func (c *counter) next(level int) {
	for len(c.at) < level {
		c.at = append(c.at, 0)
	}
	c.at = c.at[:level]
	c.at[level-1]++
}

func (c *counter) String() string {
	var parts []string
	for i, n := range c.at {
		if i == 0 && c.appendix {
			parts = append(parts, string(rune('A'+n-1)))
		} else {
			parts = append(parts, fmt.Sprint(n))
		}
	}
	return strings.Join(parts, ".")
}
