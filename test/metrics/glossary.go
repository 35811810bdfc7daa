package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// A word is one that the house no longer uses.
type word struct {
	pattern *regexp.Regexp // \s+ is between words, which may be on two lines
	instead string
	except  *regexp.Regexp // where it means what it says; matched with what is around it
}

func phrase(text string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b` + strings.ReplaceAll(text, " ", `\s+`) + `\b`)
}

var glossary = []word{
	{phrase(`behind`), "after, or what it really is", phrase(`(behind (an?|the|its|one|some|many) (` + "[`*]*" + `[\w-]+ )?` + "`?" + `(NAT|NATs|balancers?|proxy|proxies|firewall|gateway|router|interface|transport|io\.\w+|net\.\w+)|(fall|falls|lag|lags|stay|stays|far|left|leave|leaves) behind)`)},
	{phrase(`in clear`), "unencrypted, or in the clear", nil},
	{phrase(`of now`), "current", phrase(`as of now`)},
	{phrase(`for ever`), "forever", nil},
	{phrase(`of (its|their) own`), "its own, new, or separate", phrase(`of (its|their) own (algorithms|flight|handshake|later|protocol|verification)`)},
	{phrase(`(go|goes|going|went|gone) on with`), "continues with", nil},
	{phrase(`the one that there is`), "name it", nil},
	{phrase(`whoever`), "for things: what, or that which; for people: anyone who", nil},
	{phrase(`who`), "for things: that, or which", phrase(`((those|they|people|person|anybody|anyone|somebody|someone|everybody|everyone|nobody|strangers?|users?|programmers?|authors?|attackers?|developers?|operators?|administrators?|readers?|reviewers?|contributors?),? who|\n\| who \||who\b[^.?!]*\?)`)},
	{phrase(`(behaviours?|licences?|colours?|favours?|honours?|neighbours?|neighbouring|recognise[sd]?|initialise[sd]?|serialise[sd]?|normalise[sd]?|authorise[sd]?|whilst)`), "US spelling", nil},
}

// quoted is what somebody else has written: a sentence in quotation marks.
var quoted = regexp.MustCompile(`"[^"]*"|“[^”]*”`)

// glossaryWords looks at comments, texts of programs and Markdown.
func glossaryWords(s *source) (found []string) {
	visit := func(name string, line int, text string) {
		for _, w := range glossary {
			for _, at := range w.pattern.FindAllStringIndex(text, -1) {
				if w.excepted(text, at) {
					continue
				}
				n := line + strings.Count(text[:at[0]], "\n")
				found = append(found, fmt.Sprintf("%s:%d %q: %s", name, n, around(text, at), w.instead))
			}
		}
	}
	for _, f := range append(s.files, s.tests...) {
		if f.name == "test/metrics/glossary.go" || f.name == "test/metrics/metrics_test.go" {
			continue
		}
		for _, group := range f.ast.Comments {
			visit(f.name, s.set.Position(group.Pos()).Line, unquoted(comment(group)))
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					visit(f.name, s.set.Position(lit.Pos()).Line, text)
				}
			}
			return true
		})
	}
	for _, name := range s.others {
		text, err := s.text(name)
		if err != nil {
			continue
		}
		switch path.Ext(name) {
		case ".md":
			visit(name, 1, unquoted(text))
		case ".c", ".h":
			visit(name, 1, only(text, cText))
		case ".lua", ".rockspec":
			visit(name, 1, only(text, luaText))
		case "":
			if strings.HasPrefix(text, "#!") {
				visit(name, 1, only(text, shellText))
			}
		}
	}
	return found
}

// What of a file in another language is prose.
var (
	cText     = regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"`)
	luaText   = regexp.MustCompile(`--[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"`)
	shellText = regexp.MustCompile(`(?m)^\s*#[^\n]*| # [^\n]*|'[^'\n]*'|"[^"\n]*"`)
)

// only blanks what is not prose.
func only(text string, prose *regexp.Regexp) string {
	b := []byte(text)
	end := 0
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if b[i] != '\n' {
				b[i] = ' '
			}
		}
	}
	for _, at := range prose.FindAllStringIndex(text, -1) {
		blank(end, at[0])
		end = at[1]
	}
	blank(end, len(b))
	return string(b)
}

// comment is a group's text, each line where it was.
func comment(group *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range group.List {
		b.WriteString(strings.TrimPrefix(c.Text, "//"))
		b.WriteByte('\n')
	}
	return b.String()
}

// unquoted blanks quotations.
func unquoted(text string) string {
	return quoted.ReplaceAllStringFunc(text, func(q string) string {
		return strings.Repeat("\n", strings.Count(q, "\n")) + " "
	})
}

// excepted reports whether what is around a word lets it mean what it says.
func (w *word) excepted(text string, at []int) bool {
	if w.except == nil {
		return false
	}
	from, to := max(0, at[0]-40), min(len(text), at[1]+60)
	for _, e := range w.except.FindAllStringIndex(text[from:to], -1) {
		if from+e[0] <= at[0] && at[1] <= from+e[1] {
			return true
		}
	}
	return false
}

// around is a word with those beside it, on one line.
func around(text string, at []int) string {
	from, to := max(0, at[0]-30), min(len(text), at[1]+30)
	return strings.ToValidUTF8(strings.Join(strings.Fields(text[from:to]), " "), "")
}
