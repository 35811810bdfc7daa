package gnettls

import (
	"container/list"
	"sync"
	"time"
)

// handshakes are the connections whose handshake is under way, the oldest
// first. All have the same time, so the list is in the order of their deadlines.
// It is shared by the event loops.
type handshakes struct {
	timeout time.Duration // negative: none
	mu      sync.Mutex
	list    list.List // of *conn
}

func (h *handshakes) add(c *conn, now time.Time) {
	if h.timeout < 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c.deadline = now.Add(h.timeout)
	c.waiting = h.list.PushBack(c)
}

func (h *handshakes) remove(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.waiting != nil {
		h.list.Remove(c.waiting)
		c.waiting = nil
	}
}

// expire closes those whose time is up.
func (h *handshakes) expire(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for front := h.list.Front(); front != nil; front = h.list.Front() {
		c := front.Value.(*conn)
		if c.deadline.After(now) {
			return
		}
		h.list.Remove(front)
		c.waiting = nil
		c.Conn.Close() // from any goroutine
	}
}
