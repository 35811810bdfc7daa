package page

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// A page has at most so much of a trace.
const (
	maxExchanges = 20
	maxSteps     = 400
	maxDatagrams = 300
	maxFields    = 10_000 // of all messages
	maxRaw       = 8 << 10
	maxBytes     = 256 << 10 // of all messages
	maxText      = 400       // runes of a text
)

// model is what the template draws. All of its texts are safe: see clean.
type model struct {
	Title, Note template.HTML
	Name        string // the title without markup
	Facts       []flow.Fact
	Style       template.CSS
	Script      template.JS
	Policy      string
	Exchanges   []exchange
	Omitted     int

	fields int // that are left
	bytes  int
}

// exchange is a connection as its sides tell it.
type exchange struct {
	ID        string
	Heading   string
	Class     string
	Diagnosis *diagnosis
	Facts     []flow.Fact
	Views     []*view
	Choices   []choice
	Charts    []*chart
	Datagrams []row
	Omitted   int // datagrams
}

// diagnosis is a flow.Diagnosis.
type diagnosis struct {
	Cause, Advice template.HTML
	Evidence      []string
}

// view is what one side tells.
type view struct {
	ID, Side string
	Flights  []flight
	Steps    int
	Omitted  int
	Facts    []flow.Fact
	Bars     []bar
}

// flight is what one side sends before the other answers.
type flight struct {
	Name  string
	Steps []step
}

// step is an arrow or a note.
type step struct {
	ID, Number    string
	Class         string
	Time          string
	From, To      string // empty: a note
	Label, Size   string
	Notes         []string
	Facts         []flow.Fact
	Fields        []field
	Raw, RawLimit string
}

// field is a field of a message, in a flat list.
type field struct {
	Level          int
	Name, Value    string
	Offset, Length int
}

// choice is what was negotiated.
type choice struct {
	What, Chosen, Why string
	Offered           []offer
}

// offer is one of the offers.
type offer struct {
	Name   string
	Chosen bool
}

// bar is a part of the time.
type bar struct {
	Name, Time string
	Share      int // percent
}

// row is a datagram in the table.
type row struct{ Time, From, Content, Size, Fate string }

func newModel(events []trace.Event, o *Options) *model {
	m := &model{
		Title: whole(cmp.Or(o.Title, "TLS handshake")), Name: clean(cmp.Or(o.Title, "TLS handshake")), Note: whole(o.Note), Facts: facts(o.Facts),
		Style: template.CSS(style), Script: template.JS(script), Policy: Policy, fields: maxFields, bytes: maxBytes,
	}
	all := flow.Exchanges(flow.Connections(events))
	if n := len(all) - maxExchanges; n > 0 {
		all, m.Omitted = all[:maxExchanges], n
	}
	for i, x := range all {
		m.Exchanges = append(m.Exchanges, m.exchange(fmt.Sprintf("x%d", i+1), x))
	}
	return m
}

// clean makes a text safe to see: control characters and those that change the direction of a
// text are shown as �, and what is too long is cut.
func clean(s string) string {
	if utf8.RuneCountInString(s) > maxText {
		s = string([]rune(s)[:maxText]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

func facts(list []flow.Fact) (safe []flow.Fact) {
	for _, f := range list {
		safe = append(safe, flow.Fact{Name: clean(f.Name), Value: clean(f.Value)})
	}
	return safe
}

func (m *model) exchange(id string, x *flow.Exchange) exchange {
	views := x.Views()
	e := exchange{ID: id, Diagnosis: newDiagnosis(x.Diagnose())}
	e.Heading, e.Class = heading(views)
	for _, c := range views {
		if d := c.Completed; d != nil && e.Facts == nil {
			e.Facts = facts(slices.DeleteFunc([]flow.Fact{
				{Name: "Cipher suite", Value: d.CipherSuite}, {Name: "Key exchange", Value: d.Group}, {Name: "Server name", Value: d.ServerName},
				{Name: "Protocol", Value: d.Protocol}, {Name: "Round trips", Value: fmt.Sprint(c.RoundTrips)},
			}, func(f flow.Fact) bool { return f.Value == "" }))
		}
		e.Views = append(e.Views, m.view(id+string(c.Side[0]), c))
	}
	for _, c := range views[0].Choices {
		e.Choices = append(e.Choices, newChoice(c))
	}
	datagrams := x.Datagrams
	if n := len(datagrams) - maxDatagrams; n > 0 {
		datagrams, e.Omitted = datagrams[:maxDatagrams], n
	}
	if len(datagrams) > 0 {
		start := datagrams[0].Sent
		if start.IsZero() {
			start = datagrams[0].Received
		}
		for _, width := range []int{1000, 640, 312} {
			e.Charts = append(e.Charts, newChart(datagrams, start, width))
		}
		for i := range datagrams {
			e.Datagrams = append(e.Datagrams, newRow(&datagrams[i], start))
		}
	}
	return e
}

// heading says how a connection has ended.
func heading(views []*flow.Connection) (text, class string) {
	for _, c := range views {
		if c.Failed != nil {
			return "The handshake failed after " + flow.Duration(c.End.Sub(c.Start)), "bad"
		}
	}
	for _, c := range views {
		if c.Completed == nil {
			return "The handshake is not complete", "open"
		}
	}
	c := views[0]
	if c.Completed.Resumed {
		return clean(fmt.Sprintf("%s resumed in %s", c.Completed.Version, flow.Duration(c.Handshake))), "good"
	}
	return clean(fmt.Sprintf("%s handshake in %s", c.Completed.Version, flow.Duration(c.Handshake))), "good"
}

func newDiagnosis(d *flow.Diagnosis) *diagnosis {
	if d == nil {
		return nil
	}
	safe := &diagnosis{Cause: whole(d.Cause), Advice: whole(d.Advice)}
	for _, e := range d.Evidence {
		safe.Evidence = append(safe.Evidence, clean(e))
	}
	return safe
}

// whole is clean as HTML, in which no line ends inside a flag such as --cacert.
func whole(s string) template.HTML {
	const longest = 24
	words := strings.Split(clean(s), " ")
	for i, w := range words {
		words[i] = template.HTMLEscapeString(w)
		if strings.HasPrefix(strings.TrimLeft(w, "("), "--") && len(w) <= longest {
			words[i] = `<span class="flag">` + words[i] + `</span>`
		}
	}
	return template.HTML(strings.Join(words, " "))
}

func newChoice(c flow.Choice) choice {
	safe := choice{What: clean(c.What), Chosen: clean(cmp.Or(flow.Bare(c.Chosen), "none")), Why: clean(c.Why)}
	for i, o := range c.Offered {
		if i == 100 {
			safe.Offered = append(safe.Offered, offer{Name: fmt.Sprintf("and %d more", len(c.Offered)-i)})
			break
		}
		safe.Offered = append(safe.Offered, offer{clean(flow.Bare(o)), o == c.Chosen})
	}
	return safe
}

func (m *model) view(id string, c *flow.Connection) *view {
	v := &view{ID: id, Side: string(c.Side), Facts: facts(flow.Facts(c))}
	for _, t := range []struct {
		name string
		time time.Duration
	}{
		{"Waiting for the peer", c.Times.Peer}, {"Waiting for timers", c.Times.Timers}, {"Waiting for the caller", c.Times.Caller}, {"Own work", c.Times.Local},
	} {
		if share := int(100*float64(t.time)/float64(max(c.Handshake, 1)) + 0.5); t.time > 0 && share > 0 {
			v.Bars = append(v.Bars, bar{t.name, flow.Duration(t.time), min(share, 100)})
		}
	}
	steps := c.Steps
	if n := len(steps) - maxSteps; n > 0 {
		steps, v.Omitted = steps[:maxSteps], n
	}
	v.Steps = len(steps)
	last := -1
	for i := range steps {
		s := &steps[i]
		if s.Flight != last {
			last = s.Flight
			v.Flights = append(v.Flights, flight{Name: fmt.Sprintf("Flight %d", max(1, s.Flight))})
		}
		f := &v.Flights[len(v.Flights)-1]
		f.Steps = append(f.Steps, m.step(fmt.Sprintf("%ss%d", id, i+1), i+1, s, c))
	}
	return v
}

// step draws a step.
func (m *model) step(id string, number int, s *flow.Step, c *flow.Connection) step {
	d := step{
		ID: id, Number: fmt.Sprint(number), Class: string(s.Kind), Time: flow.Duration(s.Time.Sub(c.Start)),
		From: string(s.From), To: other(s.From), Label: clean(s.Notation()),
	}
	if s.Bytes > 0 {
		d.Size = fmt.Sprintf("%d B", s.Bytes)
	}
	add := func(name, value string) { d.Facts = append(d.Facts, flow.Fact{Name: name, Value: clean(value)}) }
	switch s.Kind {
	case flow.Message:
		m.message(&d, s.Message)
	case flow.Alert:
		d.Label = "Alert: " + d.Label
		if s.Label == "close_notify" {
			d.Class += " close"
			d.Notes = []string{"nothing more is sent in this direction"}
		}
		d.Size = ""
	case flow.Retransmission:
		d.Label = "Sent again"
		d.Notes = []string{clean(flow.Trigger(s.Label))}
		add("records", fmt.Sprint(s.Records))
	case flow.Drop:
		d.To = ""
		d.Label = fmt.Sprintf("The %s drops %s", s.From, records(s.Records))
		d.Notes = []string{clean(strings.ReplaceAll(s.Label, "_", " "))}
	case flow.Wait:
		d.To = ""
		d.Label = fmt.Sprintf("The %s waits for an answer", s.From)
		d.Notes = []string{clean(s.Label), flow.Duration(s.Duration)}
	case flow.Data:
		add("records", fmt.Sprint(s.Records))
	}
	if d.To != "" && s.Kind != flow.Retransmission {
		d.Class += protection(s.Epoch, c)
		add("protected by", keys(s.Epoch, c))
	}
	add("time", s.Time.UTC().Format("2006-01-02 15:04:05.000000 UTC"))
	return d
}

// message fills in the fields of a message and its bytes.
func (m *model) message(d *step, msg *trace.Message) {
	for _, note := range flow.Notes(msg) {
		d.Notes = append(d.Notes, clean(note))
	}
	if msg.Malformed {
		d.Class += " malformed"
		d.Notes = append(d.Notes, "it does not parse")
	}
	m.list(d, msg.Fields, 1)
	raw := msg.Raw
	if most := min(maxRaw, m.bytes); len(raw) > most {
		d.RawLimit = fmt.Sprintf("the first %d of %d bytes", most, msg.Length)
		raw = raw[:most]
	}
	m.bytes -= len(raw)
	d.Raw = hex.EncodeToString(raw)
}

// list adds fields, and what they contain.
func (m *model) list(d *step, fields []trace.Field, level int) {
	for i := range fields {
		f := &fields[i]
		if m.fields--; m.fields < 0 {
			return
		}
		d.Fields = append(d.Fields, field{level, clean(f.Name), clean(f.Value), f.Offset, f.Length})
		m.list(d, f.Fields, min(level+1, 9))
	}
}

func other(s trace.Side) string {
	if s == trace.Client {
		return string(trace.Server)
	}
	return string(trace.Client)
}

func records(n int) string {
	if n == 1 {
		return "a record"
	}
	return fmt.Sprintf("%d records", n)
}

// is13 reports whether epochs have the meaning that they have in TLS 1.3.
func is13(c *flow.Connection) bool {
	for i := range c.Steps {
		if m := c.Steps[i].Message; m != nil && (m.Type == "EncryptedExtensions" || m.Epoch > 1) {
			return true
		}
	}
	return c.Completed != nil && strings.HasSuffix(c.Completed.Version, "1.3")
}

// protection is the class of a step that is protected by the keys of that epoch.
func protection(epoch uint64, c *flow.Connection) string {
	switch {
	case epoch == 0:
		return " clear"
	case epoch == 1 && is13(c):
		return " early"
	case epoch == 2:
		return " handshake"
	}
	return " application"
}

func keys(epoch uint64, c *flow.Connection) string {
	return map[string]string{
		" clear": "nothing", " early": "the keys of early data", " handshake": "the keys of the handshake", " application": "the keys of application data",
	}[protection(epoch, c)] + fmt.Sprintf(" (epoch %d)", epoch)
}

func newRow(d *flow.Datagram, start time.Time) row {
	r := row{From: string(d.From), Content: clean(strings.Join(d.Labels, ", ")), Size: fmt.Sprintf("%d B", d.Bytes), Fate: d.Fate}
	if d.Again {
		r.Content = "again: " + r.Content
	}
	switch {
	case d.Sent.IsZero():
		r.Time = flow.Duration(d.Received.Sub(start))
	default:
		r.Time = flow.Duration(d.Sent.Sub(start))
	}
	switch {
	case d.Fate == "dropped":
		r.Fate = "dropped: " + clean(strings.ReplaceAll(d.Reason, "_", " "))
	case d.Fate == "received" && !d.Sent.IsZero():
		r.Fate = "received after " + flow.Duration(d.Received.Sub(d.Sent))
	case d.Fate == "unknown":
		r.Fate = "sent"
	}
	return r
}
