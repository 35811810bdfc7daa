package main

import (
	"slices"
	"sync"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/trace"
)

const (
	// maxHandshakes is how many handshakes a server remembers for its page.
	maxHandshakes = 256
	// maxHandshakeEvents is how many events of each.
	maxHandshakeEvents = 200
)

// handshakes remembers the last handshakes of a server. A nil *handshakes remembers nothing.
type handshakes struct {
	mu     sync.Mutex
	events map[uint64][]trace.Event
	order  []uint64
}

// watch makes a Config tell of its handshakes, besides what it tells already.
func watch(cfg *hermetic.Config) *handshakes {
	h := &handshakes{events: map[uint64][]trace.Event{}}
	other := cfg.Trace
	cfg.Trace = func(e trace.Event) {
		h.add(e)
		if other != nil {
			other(e)
		}
	}
	return h
}

// add remembers an event.
func (h *handshakes) add(e trace.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.events[e.Conn]
	switch d := e.Data.(type) {
	case *trace.State:
		if d.State == "started" && known == nil {
			if len(h.order) == maxHandshakes {
				delete(h.events, h.order[0])
				h.order = slices.Delete(h.order, 0, 1)
			}
			h.order = append(h.order, e.Conn)
			h.events[e.Conn] = []trace.Event{}
		}
	case *trace.Record:
		if d.Type == "application_data" {
			return // there is no end to it
		}
	}
	if known = h.events[e.Conn]; known != nil && len(known) < maxHandshakeEvents {
		h.events[e.Conn] = append(known, withoutBytes(e))
	}
}

// of returns the events of a connection, or nil if they are forgotten.
func (h *handshakes) of(conn uint64) []trace.Event {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events[conn])
}
