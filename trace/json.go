package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// fileSchema and fileFormat are what the first line says: see docs/trace-schema.md.
	fileSchema = "urn:hermetic:trace:1"
	fileFormat = "application/jsonl"
	// defaultLimit bounds what a Writer writes, and maxLine what a Reader reads at once.
	defaultLimit = 64 << 20
	maxLine      = 16 << 20
)

// header is the first line of a trace.
type header struct {
	Schema string `json:"file_schema"`
	Format string `json:"serialization_format"`
	Title  string `json:"title,omitempty"`
	Common struct {
		Reference time.Time `json:"reference_time"`
	} `json:"common_fields"`
}

// line is every other line.
type line struct {
	Time json.Number     `json:"time"` // in ms after the reference time
	Name string          `json:"name"`
	Conn uint64          `json:"conn,omitempty"`
	Side Side            `json:"side,omitempty"`
	Data json.RawMessage `json:"data"`
}

// WriterOptions are the options of [NewWriter].
type WriterOptions struct {
	// Title is a line that says what the trace is of.
	Title string

	// Limit is the most that is written, in bytes. Then an [End] follows, and nothing else.
	// Zero means 64 MiB, negative means no limit.
	Limit int64
}

// A Writer writes events as lines of JSON: docs/trace-schema.md has their form. Its methods may
// be called from many goroutines.
type Writer struct {
	mu        sync.Mutex
	w         io.Writer
	opt       WriterOptions
	reference time.Time
	written   int64
	begun     bool
	err       error
}

var errEnded = errors.New("trace: the limit is reached")

// NewWriter returns a Writer to w. Nil opts means the zero value.
func NewWriter(w io.Writer, opts *WriterOptions) *Writer {
	t := &Writer{w: w}
	if opts != nil {
		t.opt = *opts
	}
	if t.opt.Limit == 0 {
		t.opt.Limit = defaultLimit
	}
	return t
}

// Write writes an event. It fits Config.Trace. After an error, or once the limit is reached, it
// does nothing: see Err.
func (t *Writer) Write(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return
	}
	if !t.begun {
		t.begun, t.reference = true, e.Time
		h := header{Schema: fileSchema, Format: fileFormat, Title: t.opt.Title}
		h.Common.Reference = e.Time.UTC()
		if t.put(h, -1); t.err != nil {
			return
		}
	}
	if !t.put(t.line(e), t.opt.Limit) && t.err == nil {
		t.put(t.line(Event{Time: e.Time, Data: &End{Reason: "limit", Limit: t.opt.Limit}}), -1)
		if t.err == nil {
			t.err = errEnded
		}
	}
}

// Err returns the first error of the underlying writer, or nil.
func (t *Writer) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == errEnded {
		return nil
	}
	return t.err
}

func (t *Writer) line(e Event) line {
	data, err := json.Marshal(e.Data)
	if err != nil {
		t.err = err
	}
	return line{Time: milliseconds(e.Time.Sub(t.reference)), Name: e.Data.Name(), Conn: e.Conn, Side: e.Side, Data: data}
}

// put writes v as a line, unless it exceeds the limit.
func (t *Writer) put(v any, limit int64) bool {
	b, err := json.Marshal(v)
	if err != nil {
		t.err = err
		return false
	}
	if limit >= 0 && t.written+int64(len(b))+1 > limit {
		return false
	}
	n, err := t.w.Write(append(b, '\n'))
	t.written += int64(n)
	t.err = err
	return err == nil
}

// milliseconds writes d exactly.
func milliseconds(d time.Duration) json.Number {
	sign := ""
	if d < 0 {
		sign = "-"
	}
	ms, ns := d/time.Millisecond, d%time.Millisecond
	text := fmt.Sprintf("%d.%06d", max(ms, -ms), max(ns, -ns))
	return json.Number(sign + strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
}

// duration is the inverse of milliseconds.
func duration(n json.Number) (time.Duration, error) {
	ms, fraction, _ := strings.Cut(string(n), ".")
	whole, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || len(fraction) > 6 || max(whole, -whole) > int64(1<<62)/int64(time.Millisecond) {
		return 0, fmt.Errorf("%q is not a time", string(n))
	}
	part, err := strconv.ParseUint("0"+fraction+strings.Repeat("0", 6-len(fraction)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time", string(n))
	}
	d := time.Duration(whole) * time.Millisecond
	if strings.HasPrefix(ms, "-") {
		return d - time.Duration(part), nil
	}
	return d + time.Duration(part), nil
}

// A FormatError says where a trace is damaged.
type FormatError struct {
	// Offset is where the damaged line begins, in bytes.
	Offset int64

	// Line is its number, from 1.
	Line int

	// Err is what is wrong.
	Err error
}

// Error returns the place and the reason.
func (e *FormatError) Error() string {
	return fmt.Sprintf("the trace is damaged at byte %d (line %d): %v", e.Offset, e.Line, e.Err)
}

// Unwrap returns Err.
func (e *FormatError) Unwrap() error { return e.Err }

// A Reader reads what a [Writer] has written.
type Reader struct {
	r         *bufio.Reader
	offset    int64 // of the next line
	lines     int
	reference time.Time
	title     string
	err       error
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReader(r)} }

// Title returns the title of the trace, once Next was called.
func (r *Reader) Title() string { return r.title }

// Next returns the next event, or io.EOF at the end. A line that is damaged, cut or of a later
// version is a *[FormatError]; every later call repeats it. Another error is the underlying
// reader's.
func (r *Reader) Next() (Event, error) {
	if r.err == nil && r.lines == 0 {
		r.err = r.header()
	}
	if r.err != nil {
		return Event{}, r.err
	}
	e, err := r.event()
	r.err = err
	return e, err
}

// ReadAll reads a whole trace. After a *[FormatError], the events before the damage are
// returned with it.
func ReadAll(r io.Reader) ([]Event, error) {
	var list []Event
	for reader := NewReader(r); ; {
		switch e, err := reader.Next(); err {
		case nil:
			list = append(list, e)
		case io.EOF:
			return list, nil
		default:
			return list, err
		}
	}
}

var (
	errNotTrace = errors.New("it is not a trace of hermetic")
	errVersion  = errors.New("it is a trace of another version of hermetic")
	errCut      = errors.New("the line is cut")
	errLongLine = errors.New("the line is too long")
)

func (r *Reader) header() error {
	b, at, err := r.line()
	if err == io.EOF {
		return r.fault(0, errNotTrace)
	}
	if err != nil {
		return err
	}
	var h header
	if err := json.Unmarshal(b, &h); err != nil || h.Schema == "" {
		return r.fault(at, errNotTrace)
	}
	if h.Schema != fileSchema {
		return r.fault(at, errVersion)
	}
	r.reference, r.title = h.Common.Reference, h.Title
	return nil
}

func (r *Reader) event() (e Event, err error) {
	b, at, err := r.line()
	if err != nil {
		return e, err
	}
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return e, r.fault(at, err)
	}
	after, err := duration(l.Time)
	if err != nil {
		return e, r.fault(at, err)
	}
	e = Event{Time: r.reference.Add(after), Conn: l.Conn, Side: l.Side, Data: dataOf(l.Name)}
	switch {
	case e.Data == nil:
		return e, r.fault(at, fmt.Errorf("no event is called %.100q", l.Name))
	case l.Side != Client && l.Side != Server && l.Side != "":
		return e, r.fault(at, fmt.Errorf("no side is called %.100q", l.Side))
	case len(l.Data) == 0 || l.Data[0] != '{':
		return e, r.fault(at, errors.New("the event has no data"))
	}
	if err := json.Unmarshal(l.Data, e.Data); err != nil {
		return e, r.fault(at, err)
	}
	return e, nil
}

// line reads a line, and returns where it begins.
func (r *Reader) line() (b []byte, at int64, err error) {
	at = r.offset
	r.lines++
	for {
		part, err := r.r.ReadSlice('\n')
		b = append(b, part...)
		r.offset += int64(len(part))
		switch {
		case len(b) > maxLine:
			return nil, at, r.fault(at, errLongLine)
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(b) > 0:
			return nil, at, r.fault(at, errCut)
		case err != nil:
			return nil, at, err
		}
		return bytes.TrimRight(b, "\r\n"), at, nil
	}
}

func (r *Reader) fault(at int64, err error) error {
	return &FormatError{Offset: at, Line: r.lines, Err: err}
}

// dataOf returns an empty event of that name, or nil.
func dataOf(name string) Data {
	for _, d := range []Data{
		&Record{Sent: true}, &Record{}, &Message{Sent: true}, &Message{}, &KeyChange{Sent: true}, &KeyChange{}, &Alert{Sent: true}, &Alert{},
		&Timer{}, &Retransmission{}, &Drop{}, &Path{}, &Question{}, &Answer{}, &State{}, &Completed{}, &Failed{}, &End{},
	} {
		if d.Name() == name {
			return d
		}
	}
	return nil
}
