package gnettls

import (
	"container/list"
	"os"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// handshakes are the connections whose handshake is in progress, the oldest
// first. All have the same timeout, so the list is in the order of their
// deadlines. The event loops share it.
type handshakes struct {
	timeout time.Duration // negative: no limit
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

// expire closes those whose deadline has passed, unless they complete meanwhile.
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
		c.execute(c.expired)
	}
}

// expired ends a handshake that took too long.
func (c *conn) expired() gnet.Action {
	if c.opened {
		return gnet.None
	}
	c.err = os.ErrDeadlineExceeded
	return gnet.Close
}
