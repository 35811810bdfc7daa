package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
	"github.com/hermetic-tls/hermetic/trace/page"
	"github.com/hermetic-tls/hermetic/trace/pcapng"
)

const (
	// maxKept is how many connections are kept for the page, and drawn at the end.
	maxKept = 20
	// maxEvents is how many events of a connection are kept.
	maxEvents = 5000
)

// sinks is what becomes of the events of a command.
type sinks struct {
	options *traceOptions
	title   string
	note    string // for the end of a drawing
	live    bool   // each connection is drawn when its handshake is over
	out     io.Writer
	json    *trace.Writer
	packets *pcapng.Writer
	file    *os.File // of packets

	mu    sync.Mutex
	conns []*told // the last ones, in order
	err   error
}

// told is what one side has told of a connection.
type told struct {
	conn   uint64
	side   trace.Side
	events []trace.Event
	drawn  bool
}

// newSinks opens the files of the flags.
func newSinks(o *traceOptions, title string, out io.Writer) (*sinks, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &sinks{options: o, title: title, out: out}
	if o.asJSON {
		s.json = trace.NewWriter(out, &trace.WriterOptions{Title: title})
	}
	if o.html != "" {
		file, err := os.OpenFile(o.html, os.O_CREATE|os.O_WRONLY, 0o600) // an error now, not after the handshake
		if err != nil {
			return nil, misuse("--html: %w", err)
		}
		file.Close()
	}
	if o.pcapng != "" {
		file, err := os.OpenFile(o.pcapng, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, misuse("--pcapng: %w", err)
		}
		s.file, s.packets = file, pcapng.NewWriter(file, nil)
	}
	return s, nil
}

// keyLog is where secrets go, or nil.
func (s *sinks) keyLog() io.Writer {
	if s.options.secrets {
		return s.packets.KeyLog()
	}
	return nil
}

// write takes an event. It may be called from many goroutines.
func (s *sinks) write(e trace.Event) {
	if s.json != nil {
		s.json.Write(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.of(e)
	if s.packets != nil && (len(s.conns) == 0 || s.conns[0].side == e.Side) { // of one side: see pcapng.Writer
		s.packets.Write(e)
	}
	if t == nil || len(t.events) >= maxEvents {
		return
	}
	t.events = append(t.events, withoutBytes(e))
	switch e.Data.(type) {
	case *trace.Completed, *trace.Failed:
		if s.live && !t.drawn {
			t.drawn = true
			s.draw(t.events)
			s.err = errors.Join(s.err, s.writePage())
		}
	}
}

// whole takes all events of a connection that is over.
func (s *sinks) whole(events []trace.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.of(events[0])
	for _, e := range events {
		if s.json != nil {
			s.json.Write(e)
		}
		if s.packets != nil {
			s.packets.Write(e)
		}
		if len(t.events) < maxEvents {
			t.events = append(t.events, withoutBytes(e))
		}
	}
	s.draw(t.events)
	s.err = errors.Join(s.err, s.writePage())
}

// of finds what was told of a connection. Of one that was forgotten, nothing is kept.
func (s *sinks) of(e trace.Event) *told {
	if e.Side == "" || e.Conn == 0 {
		return nil
	}
	i := slices.IndexFunc(s.conns, func(t *told) bool { return t.conn == e.Conn && t.side == e.Side })
	if i >= 0 {
		return s.conns[i]
	}
	if state, ok := e.Data.(*trace.State); s.live && (!ok || state.State != "started") {
		return nil
	}
	if len(s.conns) >= maxKept {
		if !s.live {
			return nil
		}
		s.conns = slices.Delete(s.conns, 0, 1)
	}
	t := &told{conn: e.Conn, side: e.Side}
	s.conns = append(s.conns, t)
	return t
}

// withoutBytes is an event without the bytes of its record.
func withoutBytes(e trace.Event) trace.Event {
	switch d := e.Data.(type) {
	case *trace.Record:
		r := *d
		r.Bytes = nil
		e.Data = &r
	case *trace.Drop:
		r := *d
		r.Bytes = nil
		e.Data = &r
	}
	return e
}

// blame adds an error to a connection that has not said why it failed.
func (s *sinks) blame(err error) {
	if err == nil || len(s.conns) == 0 {
		return
	}
	t := s.conns[len(s.conns)-1]
	last := t.events[len(t.events)-1]
	if slices.ContainsFunc(t.events, func(e trace.Event) bool {
		_, failed := e.Data.(*trace.Failed)
		return failed
	}) {
		return
	}
	s.write(trace.Event{Time: last.Time, Conn: t.conn, Side: t.side, Data: &trace.Failed{Cause: fromPeer(err.Error())}})
}

// all returns all events that are kept.
func (s *sinks) all() (events []trace.Event) {
	for _, t := range s.conns {
		events = append(events, t.events...)
	}
	slices.SortStableFunc(events, func(a, b trace.Event) int { return a.Time.Compare(b.Time) })
	return events
}

// draw draws connections, unless the output is JSON.
func (s *sinks) draw(events []trace.Event) {
	if s.json != nil {
		return
	}
	d := newDrawing(s.options, s.out)
	all := flow.Exchanges(flow.Connections(events))
	d.numbered = s.live || len(all) > 1
	for _, x := range all {
		d.exchange(x)
	}
	if s.note != "" {
		d.wrapped(plain, "", s.note)
	}
	_, err := s.out.Write(d.Bytes())
	s.err = errors.Join(s.err, err)
}

// writePage writes the file of --html.
func (s *sinks) writePage() error {
	if s.options.html == "" {
		return nil
	}
	var b bytes.Buffer
	if err := page.Write(&b, s.all(), &page.Options{Title: s.title, Note: s.note}); err != nil {
		return err
	}
	if err := os.WriteFile(s.options.html, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

// finish draws what was not drawn yet, and closes the files.
func (s *sinks) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		s.draw(s.all())
	}
	s.err = errors.Join(s.err, s.writePage())
	if s.packets != nil {
		s.err = errors.Join(s.err, s.packets.Close(), s.file.Close())
	}
	if s.json != nil {
		s.err = errors.Join(s.err, s.json.Err())
	}
	return s.err
}
