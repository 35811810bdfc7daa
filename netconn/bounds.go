package netconn

import (
	"net"
	"os"
	"sync"
	"time"
)

// which is a set of what may end the wait of a call, besides the connection's end.
type which uint8

const (
	readDeadline which = 1 << iota
	writeDeadline
	limit  // of what is still written after the connection failed or was closed
	recall // of a flight, by the call that sends it

	bothDeadlines = readDeadline | writeDeadline
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// bounds are what ends the waits of a stream's calls: the user's deadlines and the
// connection's end. They reach calls that wait for a lock and calls that wait for
// the transport.
type bounds struct {
	transport net.Conn
	ended     chan struct{} // closed when no call may wait any longer

	mu        sync.Mutex // guards the following; nobody waits for anything while holding it
	cause     error      // why ended is closed
	failure   error      // fatal, but Close has not been called yet
	complete  bool       // the handshake: no context ends the connection from now on
	flightErr error      // why a flight has not left, for the handshake's reader
	recalled  bool       // the flight
	userRead  time.Time
	userWrite time.Time
	limit     time.Time
	readFor   which // what bounds the transport's current read
	writeFor  which // what bounds its current write
	setRead   time.Time
	setWrite  time.Time     // as the transport has it
	changed   chan struct{} // closed when a deadline changes; nil: nobody waits for that
}

// end ends all waits. It reports whether the caller is the first.
func (b *bounds) end(cause error, at time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause == net.ErrClosed {
		return false
	}
	if b.cause == nil {
		close(b.ended)
	}
	b.cause, b.limit = cause, at
	b.apply(0)
	return true
}

// fail keeps the first fatal error. Writes in progress, and the alert that is owed,
// have until the limit.
func (b *bounds) fail(err error, at time.Time) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure != nil {
		return false
	}
	b.failure, b.limit = err, at
	b.apply(0)
	return true
}

// over is the error of all calls from now on, or nil.
func (b *bounds) over() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause != nil {
		return b.cause
	}
	return b.failure
}

// establish marks the handshake as complete, unless the connection has ended.
func (b *bounds) establish() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complete = b.cause == nil
	return b.cause
}

// cancel is end, unless the handshake is complete.
func (b *bounds) cancel(cause error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.complete || b.cause != nil {
		return false
	}
	b.cause = cause
	close(b.ended)
	return true
}

// interrupt ends the handshake's read: a flight that has not left gets no answer.
func (b *bounds) interrupt(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.readFor == bothDeadlines {
		b.flightErr = err
		b.apply(0)
	}
}

// unsent is why the flight has not left, or nil.
func (b *bounds) unsent() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flightErr
}

// recall ends a flight's write.
func (b *bounds) recall(now bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recalled = now
	b.apply(0)
}

// set sets deadlines of the user.
func (b *bounds) set(w which, t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause != nil {
		return net.ErrClosed
	}
	if w&readDeadline != 0 {
		b.userRead = t
	}
	if w&writeDeadline != 0 {
		b.userWrite = t
	}
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.apply(w)
}

// reads and writes set what bounds the transport's next reads and writes; a call that
// has done so sets 0 when it ends.
func (b *bounds) reads(w which) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readFor, b.flightErr = w, nil
	b.apply(0)
}

func (b *bounds) writes(w which) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writeFor = w
	b.apply(0)
}

// apply sets the transport's deadlines that have changed, and those in force in any case.
func (b *bounds) apply(force which) error {
	read, write := b.userRead, b.userWrite
	switch {
	case b.cause != nil || b.flightErr != nil && b.readFor == bothDeadlines:
		read = longAgo // readers do not wait while Close sends a close_notify
	case b.readFor != 0:
		read = b.earliest(b.readFor)
	}
	switch {
	case b.recalled && b.failure == nil && b.writeFor&recall != 0: // an alert may follow a failure
		write = longAgo
	case b.writeFor != 0:
		write = b.earliest(b.writeFor)
	}
	setRead := force&readDeadline != 0 || read != b.setRead
	setWrite := force&writeDeadline != 0 || write != b.setWrite
	b.setRead, b.setWrite = read, write
	switch {
	case setRead && setWrite && read == write:
		return b.transport.SetDeadline(read)
	case setRead && setWrite:
		if err := b.transport.SetReadDeadline(read); err != nil {
			return err
		}
		return b.transport.SetWriteDeadline(write)
	case setRead:
		return b.transport.SetReadDeadline(read)
	case setWrite:
		return b.transport.SetWriteDeadline(write)
	}
	return nil
}

// earliest is the first time of w, or zero.
func (b *bounds) earliest(w which) (first time.Time) {
	for i, t := range [...]time.Time{b.userRead, b.userWrite, b.limit} {
		if w>>i&1 != 0 && !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func (b *bounds) passed(w which) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.earliest(w)
	return !t.IsZero() && !time.Now().Before(t)
}

// A lock is a mutex that can be waited for with a deadline. The channel is full while
// the lock is held.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) try() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l lock) unlock() { <-l }

// lock takes l, or returns what has ended the wait.
func (b *bounds) lock(l lock, w which) error {
	if l.try() {
		return nil
	}
	for {
		again, err := b.waitFor(l, w)
		if !again {
			return err
		}
	}
}

// waitFor waits for l until something changes.
func (b *bounds) waitFor(l lock, w which) (again bool, err error) {
	b.mu.Lock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	changed, at, ended := b.changed, b.earliest(w), b.ended
	b.mu.Unlock()
	if w == limit {
		ended = nil // the caller is Close
	}
	var passed <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case l <- struct{}{}:
		return false, nil
	case <-ended:
		return false, b.over()
	case <-passed:
		return false, os.ErrDeadlineExceeded
	case <-changed:
		return true, nil
	}
}
