package netconn

import (
	"container/heap"
	"time"
)

// timers are the deadlines of all peers of a socket: a heap, with one timer for
// the earliest. The socket's lock guards them.
type timers struct {
	peers byDeadline
	timer *time.Timer
	set   time.Time // what the timer is set to; zero: nothing
}

// schedule sets the peer's deadline; the zero time is none.
func (t *timers) schedule(p *peer, at time.Time, now time.Time, fire func()) {
	queued := p.index >= 0
	p.at = at
	switch {
	case at.IsZero() && queued:
		heap.Remove(&t.peers, p.index)
	case at.IsZero():
	case queued:
		heap.Fix(&t.peers, p.index)
	default:
		heap.Push(&t.peers, p)
	}
	t.arm(now, fire)
}

// due removes and returns the peers whose deadline has passed.
func (t *timers) due(now time.Time) (due []*peer) {
	for len(t.peers) > 0 && !now.Before(t.peers[0].at) {
		p := heap.Pop(&t.peers).(*peer)
		p.at = time.Time{}
		due = append(due, p)
	}
	return due
}

// minWait keeps a clock that stands still from making the timer a busy loop.
const minWait = time.Millisecond

// arm sets the timer to the earliest deadline.
func (t *timers) arm(now time.Time, fire func()) {
	switch {
	case len(t.peers) == 0:
		if t.timer != nil {
			t.timer.Stop()
		}
		t.set = time.Time{}
	case t.peers[0].at.Equal(t.set):
	default:
		t.set = t.peers[0].at
		wait := max(minWait, t.set.Sub(now))
		if t.timer == nil {
			t.timer = time.AfterFunc(wait, fire)
		} else {
			t.timer.Reset(wait)
		}
	}
}

// byDeadline is a heap.Interface.
type byDeadline []*peer

func (h byDeadline) Len() int           { return len(h) }
func (h byDeadline) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h byDeadline) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byDeadline) Push(p any) {
	p.(*peer).index = len(*h)
	*h = append(*h, p.(*peer))
}

func (h *byDeadline) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	p.index = -1
	return p
}
