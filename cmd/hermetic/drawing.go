package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// The limits of a drawing's width, in columns.
const (
	minWidth, maxWidth, usualWidth = 60, 200, 80
	timeColumn, sizeColumn         = 10, 11
)

// The colors say what a text is; each also differs in its words or its form.
var (
	plain     text.Colors
	faint     = text.Colors{text.Faint}
	bold      = text.Colors{text.Bold}
	good      = text.Colors{text.FgGreen, text.Bold}
	bad       = text.Colors{text.FgRed, text.Bold}
	warning   = text.Colors{text.FgYellow}
	handshake = text.Colors{text.FgCyan}
	encrypted = text.Colors{text.FgMagenta}
)

// drawing is a message flow, as in the figures of the RFCs.
type drawing struct {
	bytes.Buffer
	width    int
	colored  bool
	numbered bool // there may be several connections
	start    time.Time
}

// newDrawing returns a drawing that fits out.
func newDrawing(o *traceOptions, out io.Writer) *drawing {
	d := &drawing{width: usualWidth, colored: o.color == "always"}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		if w, _, err := term.GetSize(int(file.Fd())); err == nil {
			d.width = min(max(w, minWidth), maxWidth)
		}
		d.colored = d.colored || o.color == "auto" && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	if o.width != 0 {
		d.width = o.width
	}
	if d.colored {
		text.EnableColors()
	}
	return d
}

// A piece of a line. Its text is made safe when it is drawn: it may come from a peer, or from a
// file of anybody's.
type piece struct {
	color text.Colors
	text  string
}

// line draws a line.
func (d *drawing) line(pieces ...piece) {
	for _, p := range pieces {
		s := strings.Map(printable, p.text)
		if d.colored && len(p.color) > 0 && s != "" {
			s = p.color.Sprint(s)
		}
		d.WriteString(s)
	}
	d.WriteByte('\n')
}

// columns is how many columns a text takes.
func columns(s string) int { return text.StringWidthWithoutEscSequences(s) }

// fit makes a text exactly that wide: padded, or cut.
func fit(s string, width int) string {
	s = strings.Map(printable, s)
	if columns(s) > width {
		s = text.Snip(s, width, "…")
	}
	return s + strings.Repeat(" ", max(0, width-columns(s)))
}

// right is fit, but the text is at the right.
func right(s string, width int) string {
	return strings.Repeat(" ", max(0, width-columns(s))) + s
}

// wrapped draws a text over several lines, after an indent.
func (d *drawing) wrapped(color text.Colors, indent, s string) {
	s = strings.Map(printable, s)
	for _, l := range strings.Split(text.WrapSoft(s, d.width-columns(indent)), "\n") {
		d.line(piece{plain, indent}, piece{color, strings.TrimRight(l, " ")})
	}
}

// lanes is the room between the two lines of the sides.
func (d *drawing) lanes() int { return d.width - timeColumn - sizeColumn - 3 }

// row draws what is between the two sides.
func (d *drawing) row(left string, inside []piece, size string) {
	if size != "" {
		size = right(size, sizeColumn)
	}
	d.line(append(append([]piece{{faint, right(left, timeColumn-1) + " │"}}, inside...), piece{faint, "│" + size})...)
}

// empty draws a row with nothing in it.
func (d *drawing) empty() { d.row("", []piece{{plain, strings.Repeat(" ", d.lanes())}}, "") }

// arrow draws an arrow with a label.
func (d *drawing) arrow(left string, from trace.Side, label string, color text.Colors, size string) {
	room := d.lanes() - 6
	label = strings.Map(printable, label)
	if columns(label) > room {
		label = text.Snip(label, room, "…")
	}
	shaft := strings.Repeat("─", d.lanes()-3-columns(label))
	if from == trace.Client {
		d.row(left, []piece{{color, " " + label + " "}, {faint, shaft}, {color, "▶"}}, size)
		return
	}
	d.row(left, []piece{{color, "◀"}, {faint, shaft}, {color, " " + label + " "}}, size)
}

// remark draws a text between the two sides.
func (d *drawing) remark(left string, color text.Colors, s string) {
	d.row(left, []piece{{color, fit("   "+s, d.lanes())}}, "")
}

// exchange draws a connection, as its sides tell it.
func (d *drawing) exchange(x *flow.Exchange) {
	for i, c := range x.Views() {
		d.connection(c, i == 0)
	}
	if len(x.Datagrams) > 0 {
		d.datagrams(x)
	}
	d.failure(x)
}

// connection draws what one side tells. The choices are those of the other side as well.
func (d *drawing) connection(c *flow.Connection, choices bool) {
	d.start = c.Start
	title := fmt.Sprintf("Told by the %s", c.Side)
	if d.numbered {
		title = fmt.Sprintf("Connection %d, told by the %s", c.Conn, c.Side)
	}
	result, color := "the handshake is not complete", warning
	switch {
	case c.Failed != nil:
		result, color = "failed after "+flow.Duration(c.End.Sub(c.Start)), bad
	case c.Completed != nil:
		result, color = c.Completed.Version+" in "+flow.Duration(c.Handshake), good
	}
	d.line(piece{bold, title + ": "}, piece{color, result})
	d.line()
	sides := d.lanes() + 2
	d.line(piece{bold, strings.Repeat(" ", timeColumn) + "Client" + strings.Repeat(" ", sides-12) + "Server"})
	flight := 0
	for i := range c.Steps {
		s := &c.Steps[i]
		if s.Flight != flight {
			d.empty()
		}
		d.step(s, s.Flight != flight || s.Message == nil)
		flight = s.Flight
	}
	d.empty()
	d.line()
	if choices {
		d.choices(c)
	}
	d.summary(c)
}

// step draws a step.
func (d *drawing) step(s *flow.Step, timed bool) {
	left := ""
	if timed {
		left = flow.Duration(s.Time.Sub(d.start))
	}
	switch s.Kind {
	case flow.Message:
		d.arrow(left, s.From, s.Notation(), colorOf(s), fmt.Sprintf("%d B", s.Bytes))
		for _, note := range flow.Notes(s.Message) {
			d.remark("", faint, note)
		}
		if s.Message.Malformed {
			d.remark("", bad, "it does not parse")
		}
	case flow.Alert:
		color := bad
		if s.Label == "close_notify" {
			color = plain
		}
		d.arrow(left, s.From, "Alert: "+s.Notation(), color, "")
	case flow.Data:
		d.arrow(left, s.From, s.Notation(), colorOf(s), fmt.Sprintf("%d B", s.Bytes))
	case flow.CCS, flow.ACK:
		d.arrow(left, s.From, s.Notation(), faint, "")
	case flow.Retransmission:
		d.arrow(left, s.From, "sent again: "+flow.Trigger(s.Label), warning, fmt.Sprintf("%d B", s.Bytes))
	case flow.Drop:
		d.remark(left, warning, fmt.Sprintf("✕ the %s drops %s, %d B: %s", s.From, plural(s.Records, "record"), s.Bytes, strings.ReplaceAll(s.Label, "_", " ")))
	case flow.Wait:
		d.remark(left, warning, fmt.Sprintf("… the %s waits %s for an answer: %s", s.From, flow.Duration(s.Duration), s.Label))
	}
}

func colorOf(s *flow.Step) text.Colors {
	switch s.Epoch {
	case 0:
		return bold
	case 2:
		return handshake
	}
	return encrypted
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// labelColumn is the width of the names in a summary.
const labelColumn = 24

// choices draws what was negotiated, out of what, and why.
func (d *drawing) choices(c *flow.Connection) {
	for _, choice := range c.Choices {
		d.fact(choice.What, cmp.Or(flow.Bare(choice.Chosen), "none")+": "+choice.Why, bold)
		if len(choice.Offered) > 1 {
			offered := make([]string, len(choice.Offered))
			for i, o := range choice.Offered {
				offered[i] = flow.Bare(o)
			}
			d.fact("", "offered: "+strings.Join(offered, ", "), faint)
		}
	}
}

// fact draws a name and a text beside it.
func (d *drawing) fact(name, value string, color text.Colors) {
	for l := range strings.Lines(text.WrapSoft(strings.Map(printable, value), d.width-labelColumn)) {
		d.line(piece{faint, fit(name, labelColumn)}, piece{color, strings.TrimRight(l, " \n")})
		name = ""
	}
}

// summary draws what the connection has come to.
func (d *drawing) summary(c *flow.Connection) {
	for _, f := range flow.Facts(c) {
		d.fact(f.Name, f.Value, plain)
	}
	d.times(c)
	d.line()
}

// times draws where the time went.
func (d *drawing) times(c *flow.Connection) {
	if c.Handshake <= 0 {
		return
	}
	const most = 30
	name := "time"
	for _, part := range []struct {
		what string
		time time.Duration
	}{
		{"waiting for the peer", c.Times.Peer}, {"waiting for timers", c.Times.Timers}, {"waiting for the caller", c.Times.Caller}, {"own work", c.Times.Local},
	} {
		share := float64(part.time) / float64(c.Handshake)
		if share < 0.005 {
			continue
		}
		bar := strings.Repeat("█", max(1, int(share*min(most, float64(d.width-labelColumn-32))+0.5)))
		d.line(piece{faint, fit(name, labelColumn)}, piece{plain, fit(part.what, 23) + right(flow.Duration(part.time), 8) + " "}, piece{handshake, bar})
		name = ""
	}
}

// datagrams draws what became of each datagram.
func (d *drawing) datagrams(x *flow.Exchange) {
	d.start = x.Views()[0].Start
	d.line(piece{bold, "Datagrams"})
	d.line()
	for _, g := range x.Datagrams {
		at := g.Sent
		if at.IsZero() {
			at = g.Received
		}
		label, color := strings.Join(g.Labels, ", "), plain
		if g.Again {
			label, color = "again: "+label, warning
		}
		switch g.Fate {
		case "lost":
			label, color = "LOST "+label, bad
		case "dropped":
			label, color = "DROPPED ("+strings.ReplaceAll(g.Reason, "_", " ")+") "+label, bad
		}
		left := flow.Duration(at.Sub(d.start))
		size := fmt.Sprintf("%d B", g.Bytes)
		if g.Fate == "lost" {
			d.lost(left, g.From, label, size)
			continue
		}
		d.arrow(left, g.From, label, color, size)
	}
	d.empty()
	d.line()
}

// lost draws an arrow that does not arrive.
func (d *drawing) lost(left string, from trace.Side, label, size string) {
	const end = "── ✕"
	room := d.lanes()
	label = strings.TrimRight(fit(label, room-columns(end)-6), " ")
	if from == trace.Client {
		d.row(left, []piece{{bad, fit(" "+label+" "+end, room)}}, size)
		return
	}
	d.row(left, []piece{{bad, right("✕ ── "+label+" ", room)}}, size)
}

// failure draws the cause of a failure, and what to do.
func (d *drawing) failure(x *flow.Exchange) {
	f := x.Diagnose()
	if f == nil {
		return
	}
	d.wrapped(bad, "", "Failed: "+f.Cause)
	for _, e := range f.Evidence {
		d.wrapped(plain, "  ", e)
	}
	if f.Advice != "" {
		d.wrapped(warning, "  ", "What to do: "+f.Advice)
	}
	d.line()
}
