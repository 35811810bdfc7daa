package main

import (
	"go/parser"
	"go/token"
	"testing"
)

// TestGlossary shows what is found, and what is not.
func TestGlossary(t *testing.T) {
	for text, want := range map[string]int{
		"// it comes behind the message":                     1,
		"// many servers behind a load balancer":             0,
		"// the same engine behind an io.ReadWriter":         0,
		"// in DTLS the clock falls behind":                  0,
		"// an alert in clear":                               1,
		"// a message in\n// clear":                          1,
		"// the epoch of now":                                1,
		"// as of now":                                       0,
		"// it waits for ever":                               1,
		"// it waits forever":                                0,
		"// it goes on with the next":                        1,
		"// whoever has it":                                  1,
		"// the peer who sent it":                            1,
		"// for those who read the log":                      0,
		"// the RFC: \"the server, who waits\n// for ever\"": 0,
		"var s = \"a record in clear\"":                      1,
		"var behind = 1":                                     0,
		"// behaviour":                                       1,
	} {
		s := &source{set: token.NewFileSet()}
		syntax, err := parser.ParseFile(s.set, "a.go", "package a\n\n"+text+"\n", parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		s.files = []*file{{name: "a.go", ast: syntax}}
		if found := glossaryWords(s); len(found) != want {
			t.Errorf("%q: found %q, want %d", text, found, want)
		}
	}
}

// TestFigures counts a file whose figures are known.
func TestFigures(t *testing.T) {
	text := `package a

// T has two fields without their own comments.
type T struct {
	// A, B and C share one.
	A, B, C int
	d       int
	*U
}

func (t *T) M(x any) bool { // RFC 9147, Section 4
	switch x.(type) {
	case int, string:
		return true
	default:
	}
	for range t.A {
		if t.A > 1 && t.B > 1 || t.d > 1 {
			return func() bool { return t.C == 0 || t.C == 1 }()
		}
	}
	return false
}
`
	s := &source{set: token.NewFileSet()}
	syntax, err := parser.ParseFile(s.set, "a.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	in := &file{name: "a.go", room: "hermetic", text: text, lines: 24, ast: syntax}
	s.files = []*file{in}
	var f figures
	f.count(s, in)
	if f.complexity.n != 7 || f.fields.n != 5 || f.function.n != 13 || f.exported != 5 || f.missing != 3 || f.comments != 3 || f.cites != 1 {
		t.Errorf("got %+v", f)
	}
	if found := embeddedPointers(s); len(found) == 0 || found[0] != "a.go:8 a.T.U" {
		t.Errorf("embedded pointers: %q", found)
	}
}
