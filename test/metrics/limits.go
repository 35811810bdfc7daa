package main

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// A limit finds what is beyond it: FILE:LINE and what is there.
type limit struct {
	name string
	find func(*source) []string
}

var limits = []limit{
	{"types of the core with more than 25 fields", wideTypes},
	{"functions with a cyclomatic complexity over 20", complexFunctions},
	{"embedded pointers that may be nil", embeddedPointers},
	{"exported names and fields without a doc comment", undocumented},
	{"Markdown lines over 140 columns", longLines},
	{"Markdown table cells over 15 words", longCells},
	{"words of the glossary", glossaryWords},
}

// lists are types that are lists by nature, as the messages of internal/wire are.
var lists = []string{"Config", "DTLSConfig", "Params", "ConnectionState"}

func wideTypes(s *source) (found []string) {
	for _, f := range s.files {
		if !core(f.room) || f.room == "internal/wire" {
			continue
		}
		for _, t := range structs(f) {
			if n := width(t.fields); n > 25 && !slices.Contains(lists, t.name.Name) {
				found = append(found, fmt.Sprintf("%s %s has %d", s.line(t.name.Pos()), t.name.Name, n))
			}
		}
	}
	return found
}

func complexFunctions(s *source) (found []string) {
	for _, f := range s.files {
		for _, fn := range functions(f) {
			if n := complexity(fn); n > 20 {
				found = append(found, fmt.Sprintf("%s %s has %d", s.line(fn.Pos()), fn.Name.Name, n))
			}
		}
	}
	return found
}

// neverNil says why an embedded pointer, PACKAGE.TYPE.EMBEDDED, is never nil.
var neverNil = map[string]string{
	"main.sessionFile.SessionCache":      "openSessionFile sets it, and makes all",
	"hermetic.handler.Engine":            "a handler is an engine under another name",
	"carrier.generation.Reader13":        "a reader is made of one",
	"handshake.client12.Machine":         "the machine whose state it is",
	"handshake.client13.Machine":         "the machine whose state it is",
	"handshake.clientStart.Machine":      "the machine whose state it is",
	"handshake.serverStart.Machine":      "the machine whose state it is",
	"handshake.server12.serverStart":     "the state that came before",
	"handshake.server13.serverStart":     "the state that came before",
	"handshake.offeredPSK.PSK":           "a PSK is what was offered",
	"suite.key768.DecapsulationKey768":   "mlkem768.newKey makes it",
	"suite.key1024.DecapsulationKey1024": "mlkem1024.newKey makes it",
	"netconn.udp.UDPConn":                "transportOf is given it",
}

func embeddedPointers(s *source) (found []string) {
	used := make(map[string]bool)
	for _, f := range s.files {
		for _, t := range structs(f) {
			for _, field := range t.fields.List {
				star, ok := field.Type.(*ast.StarExpr)
				if !ok || len(field.Names) > 0 {
					continue
				}
				name := f.ast.Name.Name + "." + t.name.Name + "." + embedded(star.X)
				used[name] = true
				if neverNil[name] == "" {
					found = append(found, s.line(field.Pos())+" "+name)
				}
			}
		}
	}
	for name := range neverNil {
		if !used[name] {
			found = append(found, "the list of those that are never nil has "+name+", which is no more")
		}
	}
	return found
}

func embedded(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.SelectorExpr:
		return t.Sel.Name
	case *ast.IndexExpr:
		return embedded(t.X)
	case *ast.Ident:
		return t.Name
	}
	return "?"
}

func undocumented(s *source) (found []string) {
	for _, f := range s.files {
		if !f.public() {
			continue
		}
		for _, n := range exported(f) {
			if !n.documented {
				found = append(found, s.line(n.ident.Pos())+" "+n.of+n.ident.Name)
			}
		}
	}
	return found
}

// markdown calls visit with each line of the Markdown files; code is one within a fence.
func markdown(s *source, visit func(at, line string, code bool)) {
	for _, name := range s.others {
		if path.Ext(name) != ".md" {
			continue
		}
		text, _ := s.text(name)
		code := false
		for i, line := range strings.Split(text, "\n") {
			fence := strings.HasPrefix(strings.TrimSpace(line), "```")
			visit(fmt.Sprintf("%s:%d", name, i+1), line, code || fence)
			code = code != fence
		}
	}
}

func longLines(s *source) (found []string) {
	markdown(s, func(at, line string, code bool) {
		if n := utf8.RuneCountInString(line); n > 140 {
			found = append(found, fmt.Sprintf("%s has %d", at, n))
		}
	})
	return found
}

func longCells(s *source) (found []string) {
	markdown(s, func(at, line string, code bool) {
		if code || !strings.HasPrefix(line, "|") {
			return
		}
		for cell := range strings.SplitSeq(strings.ReplaceAll(line, `\|`, ""), "|") {
			if n := len(strings.Fields(cell)); n > 15 {
				found = append(found, fmt.Sprintf("%s has %d: %.40s…", at, n, strings.TrimSpace(cell)))
			}
		}
	})
	return found
}
