package main

import (
	"bytes"
	"container/heap"
	"container/list"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
)

// limits bound what clients can cost. A client that is quiet costs an engine and a socket: its
// buffers exist only while a record is incomplete, or the socket takes no more.
type limits struct {
	conns      int           // connections and handshakes; beyond it, clients wait in the kernel
	handshakes int           // of them, handshakes; beyond it, the oldest one is given up
	output     int           // bytes kept for a client; beyond it, we read nothing from it
	handshake  time.Duration // from accept on
	idle       time.Duration // without a byte in either direction
	linger     time.Duration // for the client to close too, after we have
	retry      time.Duration // until accept is tried again when there are no descriptors left
}

var defaultLimits = limits{
	conns:      10_000, // less than ulimit -n
	handshakes: 1_000,
	output:     256 << 10,
	handshake:  10 * time.Second,
	idle:       5 * time.Minute,
	linger:     2 * time.Second,
	retry:      time.Second,
}

const (
	inputSize = 64 << 10 // of the input buffer: more than the largest record, which has about 16 KB
	fairReads = 4        // of one client, before the others have their turn
	fairTurns = 64       // accepted clients, before the others have their turn
)

// A server is used by one goroutine, the one of run. So no engine needs a lock.
type server struct {
	address netip.AddrPort // that it listens on
	config  *hermetic.Config
	limits  limits
	now     func() time.Time

	epoll    int
	listener int       // -1: closed
	pausedAt time.Time // when accepting paused; zero: it has not
	stopBy   time.Time // when the last connections are closed; zero: stop was not called

	conns      map[int]*conn // by descriptor
	handshakes list.List     // of *conn, the oldest first
	timers     timers        // one entry for each connection
	in, out    []byte        // room that the connections share

	mu   sync.Mutex // of wake, which is what stop uses
	wake int        // an eventfd; -1: closed

	counts counts
}

// counts says what became of clients.
type counts struct {
	accepted int // clients
	complete int // handshakes
	failed   int // handshakes that ended with an alert, or by the client
	late     int // handshakes that took too long
	crowded  int // handshakes given up for newer ones
	paused   int // how often accepting paused
	closed   int // connections that the client ended with close_notify
	cut      int // connections that it ended otherwise
	broken   int // connections that ended with an alert
	silent   int // connections that ended because nothing moved
	kept     int // bytes: the most that were kept for one client
}

// A conn is a connection, or a handshake.
type conn struct {
	fd     int
	engine *hermetic.Engine
	in     []byte // what the engine has not used: the start of a record, or records that wait for out
	out    []byte // what the socket has not taken
	own    bool   // out is not the server's
	held   bool   // in has a whole record

	place    *list.Element // in handshakes; nil: the handshake is complete
	ending   bool          // nothing is opened any more: when out is sent, so is our FIN
	finished bool          // our FIN is sent
	dead     bool          // the socket has failed
	events   uint32        // that epoll waits for

	since time.Time // accepted, or a byte has moved, or the FIN was sent
	at    time.Time // when the timer is due
	index int       // in the heap
}

// newServer listens. A client is not accepted before run.
func newServer(address netip.AddrPort, config *hermetic.Config) (*server, error) {
	s := &server{
		config: config, limits: defaultLimits, now: time.Now,
		epoll: -1, listener: -1, wake: -1,
		conns: make(map[int]*conn),
		in:    make([]byte, inputSize),
	}
	if err := s.prepare(address); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) prepare(address netip.AddrPort) (err error) {
	// An error of the Config is found here, not by the first client.
	if _, err := hermetic.NewEngine(hermetic.TLSServer, s.config); err != nil {
		return err
	}
	if s.listener, s.address, err = listen(address); err != nil {
		return err
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	return errors.Join(
		s.control(unix.EPOLL_CTL_ADD, s.listener, unix.EPOLLIN),
		s.control(unix.EPOLL_CTL_ADD, s.wake, unix.EPOLLIN),
	)
}

// listen returns a non-blocking listener, and its address with the port that the kernel chose for 0.
func listen(address netip.AddrPort) (int, netip.AddrPort, error) {
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: address.Addr().As16(), Port: int(address.Port())})
	if address.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, address, err
	}
	// A server that starts again may use its port at once. We write whole flights, so Nagle's
	// algorithm only delays; sockets inherit the option from their listener.
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
	)
	if err == nil {
		err = unix.Bind(fd, to)
	}
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	var bound unix.Sockaddr
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, address, err
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		address = netip.AddrPortFrom(address.Addr(), uint16(bound.Port))
	case *unix.SockaddrInet6:
		address = netip.AddrPortFrom(address.Addr(), uint16(bound.Port))
	}
	return fd, address, nil
}

// control tells epoll what to wait for. It is level-triggered: what is not used up is reported
// again. So nothing may be waited for that is not acted on, or the loop would spin.
func (s *server) control(op, fd int, events uint32) error {
	return unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Fd: int32(fd), Events: events})
}

// run serves until stop.
func (s *server) run() error {
	defer s.close()
	events := make([]unix.EpollEvent, 256)
	for s.stopBy.IsZero() || len(s.conns) > 0 {
		if err := s.turn(events); err != nil {
			return err
		}
	}
	return nil
}

// turn waits for events, but not beyond the first deadline of all connections, and serves them.
func (s *server) turn(events []unix.EpollEvent) error {
	n, err := unix.EpollWait(s.epoll, events, s.timeout())
	if err != nil && err != unix.EINTR { // then n is -1
		return err
	}
	accept, stop := false, false
	for _, e := range events[:max(n, 0)] {
		switch fd := int(e.Fd); fd {
		case s.listener:
			accept = true
		case s.wake:
			stop = true
		default:
			if c := s.conns[fd]; c != nil {
				s.event(c, e.Events)
			}
		}
	}
	s.expire()
	// Last, for a new client may get the descriptor of one that was closed above, and must not
	// get its events.
	if accept {
		s.accept()
	}
	if stop && s.stopBy.IsZero() {
		s.stopping()
	}
	return nil
}

// timeout is what epoll_wait takes: milliseconds, or -1 for as long as it takes.
func (s *server) timeout() int {
	var at time.Time
	if len(s.timers) > 0 {
		at = s.timers[0].at
	}
	if !s.pausedAt.IsZero() {
		if retry := s.pausedAt.Add(s.limits.retry); at.IsZero() || retry.Before(at) {
			at = retry
		}
	}
	if at.IsZero() {
		return -1
	}
	// Rounded up, or the last millisecond would be spent spinning.
	return int((max(at.Sub(s.now()), 0) + time.Millisecond - 1) / time.Millisecond)
}

// accept takes the clients that wait.
func (s *server) accept() {
	for range fairTurns {
		if len(s.conns) >= s.limits.conns {
			s.pause()
			return
		}
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			s.meet(fd)
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO: // of this client only
		default:
			// EMFILE, ENFILE, ENOBUFS, ENOMEM: the client stays in the queue, and the listener
			// readable. Trying again at once would spin.
			s.pause()
			return
		}
	}
}

// pause stops accepting until a connection has ended, or for a while: somebody else may free
// what is missing.
func (s *server) pause() {
	if s.control(unix.EPOLL_CTL_MOD, s.listener, 0) == nil {
		s.pausedAt = s.now()
		s.counts.paused++
	}
}

func (s *server) resume() {
	if s.listener >= 0 && s.control(unix.EPOLL_CTL_MOD, s.listener, unix.EPOLLIN) == nil {
		s.pausedAt = time.Time{}
	}
}

// meet starts a handshake. The client speaks first, so there is nothing to send.
func (s *server) meet(fd int) {
	s.counts.accepted++
	engine, err := hermetic.NewEngine(hermetic.TLSServer, s.config)
	if err == nil {
		err = s.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN)
	}
	if err != nil { // epoll has its own limit, /proc/sys/fs/epoll/max_user_watches
		s.counts.failed++
		unix.Close(fd)
		return
	}
	// Clients that connect and say nothing would keep all others out until they are late. An
	// honest handshake takes a round trip or two, so the oldest one is the least likely to be.
	if s.handshakes.Len() >= s.limits.handshakes {
		oldest := s.handshakes.Front().Value.(*conn)
		if !oldest.ending {
			s.counts.crowded++
		}
		s.forget(oldest)
	}
	c := &conn{fd: fd, engine: engine, events: unix.EPOLLIN, since: s.now(), index: -1}
	c.place = s.handshakes.PushBack(c)
	s.conns[fd] = c
	s.timers.set(c, s.deadline(c))
}

// event is what epoll says about a connection.
func (s *server) event(c *conn, events uint32) {
	// Both come without being waited for, and again and again: a reset, or both ends have sent
	// FIN. Nobody is there to be answered.
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		s.over(c, &s.counts.cut)
		s.forget(c)
		return
	}
	s.begin(c)
	if events&unix.EPOLLOUT != 0 {
		s.write(c)
	}
	switch {
	case c.finished:
		s.discard(c)
	case s.reading(c):
		// Also when only EPOLLOUT came: records may be in c.in that had to wait for it.
		s.read(c)
	}
	s.settle(c)
}

// begin lends the connection the server's output buffer, unless it has one.
func (s *server) begin(c *conn) {
	if c.own = len(c.out) > 0; !c.own {
		c.out = s.out[:0]
	}
}

// reading reports whether the client may send more. One that does not read our answers may
// not: TCP's window closes, and it waits itself.
func (s *server) reading(c *conn) bool {
	return !c.ending && !c.dead && len(c.out) < s.limits.output
}

// read opens what has arrived, in the buffer that all share. Only what the engine cannot use yet
// is kept for the connection.
func (s *server) read(c *conn) {
	in := s.in[:copy(s.in, c.in)]
	c.held = false
	for reads := 0; ; reads++ {
		in = s.open(c, in)
		if !s.reading(c) || reads == fairReads {
			break // what is still in the socket, epoll reports again
		}
		// What is left is less than a record, so there is always room after it.
		n := copy(s.in, in)
		got := s.receive(c, s.in[n:])
		in = s.in[:n+got]
		if got == 0 {
			break
		}
	}
	if c.in = append(c.in[:0], in...); c.ending || len(in) == 0 {
		c.in = nil
	}
}

// receive reads once, and returns 0 when nothing is there or nothing will come.
func (s *server) receive(c *conn, buf []byte) int {
	for {
		n, err := unix.Read(c.fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0
		case err != nil: // ECONNRESET, ETIMEDOUT
			s.over(c, &s.counts.cut)
			c.dead = true
			return 0
		case n == 0:
			// FIN without close_notify: anybody on the path may have sent it. What has come is
			// authentic, but perhaps not all: where the end of input means something, do not
			// act on it. We still send the answers that we owe.
			s.over(c, &s.counts.cut)
			s.end(c)
			return 0
		}
		s.moved(c)
		return n
	}
}

// moved starts the time of silence again. A handshake has its time, however slowly bytes come.
func (s *server) moved(c *conn) {
	if c.place == nil {
		c.since = s.now()
	}
}

// over counts, once, how a connection ends; a handshake has failed in any case. Nothing that the
// client sends is opened any more.
func (s *server) over(c *conn, how *int) {
	switch {
	case c.ending:
		return
	case c.place != nil:
		how = &s.counts.failed
	}
	*how++
	c.ending = true
}

// open gives input to the engine, record by record, and returns what it has not used.
func (s *server) open(c *conn, in []byte) []byte {
	for len(in) > 0 && !c.ending {
		if len(c.out) >= s.limits.output {
			// Some of it may fit into the socket; if not, the records must wait.
			if s.write(c); !s.reading(c) {
				c.held = true
				return in
			}
		}
		o, err := c.engine.Open(in)
		if c.place != nil && c.engine.HandshakeComplete() {
			s.completed(c)
		}
		if len(o.Data) > 0 { // in s.in, and valid until the next call of this engine
			s.data(c, o.Data)
		}
		switch {
		case errors.Is(err, hermetic.ErrClosed):
			// The client sends no more, but may still read: it gets all answers, and then
			// our close_notify (RFC 9846, Section 6.1).
			s.over(c, &s.counts.closed)
			s.end(c)
		case err != nil:
			// Never ErrPending, for our Config has no Async. Output has the alert; it is the last
			// thing that we send.
			s.over(c, &s.counts.broken)
		}
		// Handshake messages, tickets, an answer to a KeyUpdate, an alert.
		c.out = c.engine.Output(c.out)
		if o.N == 0 {
			break // the record is incomplete
		}
		in = in[o.N:]
	}
	return in
}

// completed makes a handshake a connection.
func (s *server) completed(c *conn) {
	s.handshakes.Remove(c.place)
	c.place = nil
	c.since = s.now()
	s.counts.complete++
}

// data is your application: here it sends everything back. What it appends for one record must be
// bounded; limits.output is checked before the next one.
func (s *server) data(c *conn, data []byte) {
	out, err := c.engine.Seal(c.out, data)
	if err != nil {
		s.over(c, &s.counts.broken) // the keys are used up, for example
		s.end(c)
		return
	}
	c.out = out
}

// end says close_notify after everything that is in out.
func (s *server) end(c *conn) {
	c.ending = true
	c.engine.Close()
	c.out = c.engine.Output(c.out)
}

// write sends what the socket takes. It may be a part of a record: the rest goes first next time.
func (s *server) write(c *conn) {
	sent := 0
	for sent < len(c.out) && !c.dead {
		n, err := unix.Write(c.fd, c.out[sent:]) // no SIGPIPE: Go makes it EPIPE for all but stdout and stderr
		switch {
		case err == nil:
			sent += n
			s.moved(c)
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			c.out = c.out[:copy(c.out, c.out[sent:])]
			return
		default: // EPIPE, ECONNRESET
			s.over(c, &s.counts.cut)
			c.dead = true
		}
	}
	c.out = c.out[:0]
}

// discard reads what the client still sends after our FIN. If we closed with unread input, the
// kernel would send a reset, which may destroy our last words on their way.
func (s *server) discard(c *conn) {
	for range fairReads {
		n, err := unix.Read(c.fd, s.in)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return
		case err != nil || n == 0:
			c.dead = true // both ends have closed
			return
		}
	}
}

// settle does what can be due after each use of a connection: it sends, tells epoll what to wait
// for, and sets the timer.
func (s *server) settle(c *conn) {
	s.write(c)
	if c.ending && len(c.out) == 0 && !c.finished && !c.dead {
		c.finished = true
		c.since = s.now()
		c.dead = unix.Shutdown(c.fd, unix.SHUT_WR) != nil
	}
	s.counts.kept = max(s.counts.kept, len(c.in)+len(c.out))
	if !c.own {
		s.out = c.out // it may have grown
		c.out = bytes.Clone(c.out)
	}
	if len(c.out) == 0 {
		c.out = nil
	}
	if c.dead {
		s.forget(c)
		return
	}
	var events uint32
	// The socket may have taken everything just now. The records that had to wait must not wait
	// for the client, which perhaps waits for our answers.
	if len(c.out) > 0 || c.held && !c.ending {
		events |= unix.EPOLLOUT
	}
	if c.finished || s.reading(c) {
		events |= unix.EPOLLIN
	}
	if events != c.events {
		if s.control(unix.EPOLL_CTL_MOD, c.fd, events) != nil {
			s.forget(c)
			return
		}
		c.events = events
	}
	s.timers.set(c, s.deadline(c))
}

// deadline is when the connection has waited too long.
func (s *server) deadline(c *conn) time.Time {
	wait := s.limits.idle
	switch {
	case c.finished:
		wait = s.limits.linger
	case c.place != nil:
		wait = s.limits.handshake
	}
	at := c.since.Add(wait)
	if !s.stopBy.IsZero() && s.stopBy.Before(at) {
		at = s.stopBy
	}
	return at
}

// expire serves the deadlines that have passed.
func (s *server) expire() {
	if !s.pausedAt.IsZero() && !s.now().Before(s.pausedAt.Add(s.limits.retry)) {
		s.resume()
	}
	for len(s.timers) > 0 && !s.now().Before(s.timers[0].at) {
		c := s.timers[0]
		switch {
		case c.ending: // and counted
			s.forget(c)
		case c.place != nil:
			s.counts.late++
			s.forget(c)
		case len(c.out) > 0: // it does not read: it would not read close_notify
			s.counts.silent++
			s.forget(c)
		default:
			s.over(c, &s.counts.silent)
			s.begin(c)
			s.end(c)
			s.settle(c)
		}
	}
}

// forget closes the socket, which also leaves epoll.
func (s *server) forget(c *conn) {
	unix.Close(c.fd) // never again after EINTR: on Linux the descriptor is gone
	delete(s.conns, c.fd)
	s.timers.remove(c)
	if c.place != nil {
		s.handshakes.Remove(c.place)
	}
	if !s.pausedAt.IsZero() && len(s.conns) < s.limits.conns {
		s.resume()
	}
}

// stop makes run end every connection with close_notify, and return. Any goroutine may call it,
// at any time, for an eventfd ends the wait of epoll.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake >= 0 {
		unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // 1, or 1<<56: all that counts is that it is readable
	}
}

// stopping accepts nobody any more. Clients get what they are owed, if they take it in time.
func (s *server) stopping() {
	s.stopBy = s.now().Add(s.limits.linger)
	s.control(unix.EPOLL_CTL_DEL, s.wake, 0) // it stays readable
	unix.Close(s.listener)
	s.listener, s.pausedAt = -1, time.Time{}
	for _, c := range s.conns {
		if c.place != nil {
			s.over(c, &s.counts.failed)
			s.forget(c)
			continue
		}
		s.begin(c)
		if !c.ending {
			s.end(c)
		}
		s.settle(c)
	}
}

// close releases every descriptor.
func (s *server) close() {
	for _, c := range s.conns { // after an error of epoll
		s.forget(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range []*int{&s.listener, &s.epoll, &s.wake} {
		if *fd >= 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
}

// timers is a heap of connections, the one that is due first on top.
type timers []*conn

func (t *timers) set(c *conn, at time.Time) {
	c.at = at
	if c.index < 0 {
		heap.Push(t, c)
	} else {
		heap.Fix(t, c.index)
	}
}

func (t *timers) remove(c *conn) {
	if c.index >= 0 {
		heap.Remove(t, c.index)
	}
}

// The methods of heap.Interface.

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

func (t *timers) Push(x any) {
	x.(*conn).index = len(*t)
	*t = append(*t, x.(*conn))
}

func (t *timers) Pop() any {
	last := len(*t) - 1
	c := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	c.index = -1
	return c
}
