// Package page draws a trace as one page of HTML, which needs no other file and no network: a
// sequence diagram to step through, each message with its fields and bytes, and for DTLS what
// became of each datagram.
//
// Whatever a trace says is text on the page: it is escaped, and so are its control characters.
// A Content-Security-Policy permits the page's own style and script, and nothing else.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// Options are the options of [Write].
type Options struct {
	// Title is the heading; empty means "TLS handshake".
	Title string

	// Note is a paragraph below the heading; it may be empty.
	Note string

	// Facts are a list below the note; they may be empty.
	Facts []flow.Fact
}

var (
	//go:embed page.html
	html string
	//go:embed page.css
	style string
	//go:embed page.js
	script string

	layout = template.Must(template.New("page").Parse(html))
)

// Policy is the Content-Security-Policy of a page, which is also in the page: a server may send
// it as a header.
var Policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", hash(style), hash(script))

// hash is the name of a style or a script in a policy.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Write writes the page of a trace. The same trace gives the same bytes. Of a long trace it has
// the start, and says so. Nil opts means the zero value. The error is the writer's.
func Write(w io.Writer, events []trace.Event, opts *Options) error {
	if opts == nil {
		opts = new(Options)
	}
	var b bytes.Buffer
	if err := layout.Execute(&b, newModel(events, opts)); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
