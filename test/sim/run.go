package sim

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
)

const (
	toServer = iota
	toClient
)

// datagram is a datagram on its way.
type datagram struct {
	at   time.Time
	nth  int // of all: ties are broken in order
	to   int
	peer int // the client's address, true or forged
	data []byte
}

type queue []*datagram

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].nth < q[j].nth
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*datagram)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	*q = (*q)[:last]
	return d
}

// traffic is what an address has sent and got, and whether it has proved that a peer is there.
type traffic struct {
	in, out int
	proved  bool
}

// run is one connection from beginning to end.
type run struct {
	plan
	rng      *rand.Rand
	start    time.Time
	now      time.Time
	queue    queue
	sent     int
	engines  [2]*hermetic.Engine // server, client: by where datagrams go
	configs  [2]*hermetic.Config
	failed   [2]error
	closed   [2]bool
	said     [2]int // datagrams with data that each has sent
	next     [2]time.Time
	heard    [2]map[string]bool
	must     [2]map[string]bool // what each must receive, since nothing is lost
	moved    [2]time.Time       // when a side last received or sent something
	rested   time.Time          // when a check was last seen under way: two may time out, and then it rests
	in, out  int                // bytes from and to the client before the server has completed
	flipped  bool
	proved   bool // the client's address
	address  int  // of the client: how often it has moved
	path     int  // where the server sends to
	newest   int  // of the client's datagrams that have arrived, by number
	followed int  // how often the server followed the client
	proofs   int  // how often the client has proved a new address
	paths    map[int]*traffic
	early    bool // the address changed before both had completed
	sleepy   bool // both are made small whenever that is possible
	slept    int  // how often they were
	events   strings.Builder
	problems []string
}

func newRun(o Options) *run {
	r := &run{rng: rand.New(rand.NewPCG(o.Seed, 1)), start: began, now: began}
	r.plan = newPlan(r.rng)
	if o.Loss != nil {
		r.loss = *o.Loss
	}
	client, server := r.plan.configs(o.Seed, func() time.Time { return r.now })
	client.Trace, server.Trace = o.Trace, o.Trace
	r.configs = [2]*hermetic.Config{server, client}
	r.paths = map[int]*traffic{}
	r.heard, r.must = [2]map[string]bool{{}, {}}, [2]map[string]bool{{}, {}}
	r.moved = [2]time.Time{r.now, r.now}
	for side, mode := range []hermetic.Mode{hermetic.DTLSServer, hermetic.DTLSClient} {
		if side == toServer && r.cookies {
			continue // made when a cookie comes back
		}
		r.engines[side] = r.engine(mode, r.configs[side])
	}
	return r
}

func (r *run) engine(mode hermetic.Mode, cfg *hermetic.Config) *hermetic.Engine {
	e, err := hermetic.NewEngine(mode, cfg)
	if err != nil {
		panic(err)
	}
	return e
}

func (r *run) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *run) event(format string, args ...any) {
	fmt.Fprintf(&r.events, "%8v ", r.now.Sub(r.start).Truncate(time.Millisecond))
	fmt.Fprintf(&r.events, format+"\n", args...)
}

// patience is more than any connection may take: each side's whole schedule of
// timeouts, one after the other, and the data after that.
const patience = 30 * time.Minute

// play plays it to its end.
func (r *run) play() {
	for r.now.Sub(r.start) < patience {
		r.flush()
		at, ok := r.nextEvent()
		if !ok {
			break
		}
		if at.After(r.now) {
			r.now = at
		}
		r.move()
		r.deliver()
		r.expire()
		r.speak()
		r.sleep()
	}
	r.judge()
}

// sleep makes the engines small.
func (r *run) sleep() {
	for side, e := range r.engines {
		if !r.sleepy || e == nil || r.failed[side] != nil {
			continue
		}
		switch err := e.Compact(); {
		case err == nil:
			r.slept++
		case !errors.Is(err, hermetic.ErrInvalidOperation):
			r.problem("Compact: %v", err)
		}
	}
}

// spoofed is an attacker's address.
const spoofed = -1

// move gives the client another address.
func (r *run) move() {
	for r.address < len(r.moves) && !r.start.Add(r.moves[r.address]).After(r.now) {
		r.address++
		r.early = r.early || !r.complete(toClient) || !r.complete(toServer)
		r.event("the client moves to address %d", r.address)
		if r.local {
			r.engines[toClient].SetPath(hermetic.Path{Local: pathOf(r.address).Remote})
		}
	}
}

// flush sends what the engines have.
func (r *run) flush() {
	for side, e := range r.engines {
		for e != nil && e.HasOutput() {
			d, path := e.OutputTo(nil)
			if len(d) == 0 {
				r.problem("HasOutput, and no output")
				break
			}
			to := r.peer(side)
			if side == toServer && path != (hermetic.Path{}) {
				to = r.answers(path, len(d))
			}
			r.send(1-side, to, d)
		}
	}
}

// pathOf is the path to a client's address, and addressOf its inverse.
func pathOf(address int) hermetic.Path {
	return hermetic.Path{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(address + 1)}), 4433)}
}

func addressOf(path hermetic.Path) int { return int(path.Remote.Addr().As4()[3]) - 1 }

// answers is where the server sends a datagram of that size: to the client, or to an address
// that it checks, which gets at most three times what has come from it.
func (r *run) answers(path hermetic.Path, size int) (to int) {
	to = addressOf(path)
	t := r.between(to)
	if t.out += size; r.complete(toServer) && to != r.path && !t.proved && t.out > 3*t.in {
		r.problem("address %d, which is not proved, got %d bytes for %d", to, t.out, t.in)
	}
	return to
}

// between is the traffic with an address.
func (r *run) between(address int) *traffic {
	if r.paths[address] == nil {
		r.paths[address] = new(traffic)
	}
	return r.paths[address]
}

// checked reports whether the two sides check paths.
func (r *run) checked() bool {
	return r.complete(toServer) && r.engines[toServer].State().PathValidation
}

// peer is the client's address, as a side sees it.
func (r *run) peer(side int) int {
	if side == toServer {
		return r.path
	}
	return r.address
}

// send gives a datagram to the network: from the client's address, or to it.
func (r *run) send(to, peer int, d []byte) {
	if to == toClient && !r.complete(toServer) && !r.proved {
		r.out += len(d)
		if !r.trusted && !r.cookies && r.out > 3*r.in {
			r.problem("an unproved address got %d bytes for %d", r.out, r.in)
		}
	}
	lost := r.rng.Float64() < r.loss || r.pathMTU > 0 && len(d) > r.pathMTU && r.now.Sub(r.start) >= r.narrow
	r.event("%s %d bytes, lost %v", []string{"->", "<-"}[to], len(d), lost)
	if lost {
		return
	}
	copies := 1
	if r.rng.Float64() < r.dup {
		copies = 2
	}
	number := r.sent + copies
	if to == toServer && r.spoof > 0 && r.rng.Float64() < r.spoof {
		heap.Push(&r.queue, &datagram{at: r.now, nth: number, to: to, peer: spoofed, data: bytes.Clone(d)})
	}
	for range copies {
		data := bytes.Clone(d)
		if r.rng.Float64() < r.flip {
			data[r.rng.IntN(len(data))] ^= 1 << r.rng.IntN(8)
			r.flipped = true
			r.event("   with a bit error")
		}
		at := r.now.Add(r.delay)
		if r.jitter > 0 {
			at = at.Add(time.Duration(r.rng.Int64N(int64(r.jitter))))
		}
		r.sent++
		heap.Push(&r.queue, &datagram{at: at, nth: r.sent, to: to, peer: peer, data: data})
	}
}

// nextEvent is when something happens.
func (r *run) nextEvent() (t time.Time, ok bool) {
	earliest := func(u time.Time) {
		if !ok || u.Before(t) {
			t, ok = u, true
		}
	}
	if len(r.queue) > 0 {
		earliest(r.queue[0].at)
	}
	for side, e := range r.engines {
		if e == nil || r.failed[side] != nil {
			continue
		}
		if u, has := e.Deadline(); has {
			earliest(u)
		}
		if r.mayspeak(side) {
			earliest(r.next[side])
		}
	}
	return t, ok
}

// deliver delivers what has arrived by now.
func (r *run) deliver() {
	for len(r.queue) > 0 && !r.queue[0].at.After(r.now) {
		d := heap.Pop(&r.queue).(*datagram)
		switch {
		case d.to == toClient && d.peer != r.address:
			r.event("nobody is at address %d any more", d.peer)
		case d.to == toClient || r.arrive(d):
			r.open(d)
			r.flush()
		}
	}
}

// arrive finds the engine that a datagram to the server is for: by the address it
// came from, or by its connection ID.
func (r *run) arrive(d *datagram) bool {
	e := r.engines[toServer]
	switch {
	case e == nil:
		if r.path = d.peer; !r.welcome(d.peer, d.data) {
			return false
		}
	case d.peer != r.path && !r.known(d.data):
		r.welcome(d.peer, d.data)
		return false
	case d.peer != r.path:
		r.between(d.peer).in += len(d.data)
		return true
	}
	r.between(d.peer).in += len(d.data)
	r.in += len(d.data)
	r.proved = r.proved || underKeys(d.data)
	return true
}

// underKeys reports whether a datagram has a record under keys: its sender has seen
// our answer.
func underKeys(d []byte) bool {
	const header, epochAt, lengthAt = 13, 4, 11
	for len(d) > header {
		if d[0]>>5 == 1 || d[epochAt] > 0 {
			return true
		}
		d = d[min(len(d), header+int(binary.BigEndian.Uint16(d[lengthAt:]))):]
	}
	return false
}

// known reports whether a datagram has the server's connection ID: after the clear
// part of a tls12_cid record (RFC 9146, Section 4), or after the first byte of a
// unified header (RFC 9147bis, Section 4).
func (r *run) known(d []byte) bool {
	const tls12CID, cidAt = 25, 11
	if !r.complete(toServer) {
		return false // an unauthenticated peer is not followed
	}
	local, _ := r.engines[toServer].ConnectionIDs()
	return slices.ContainsFunc(local, func(id []byte) bool {
		switch {
		case len(id) == 0:
			return false
		case d[0] == tls12CID:
			return len(d) > cidAt && bytes.HasPrefix(d[cidAt:], id)
		}
		return d[0]>>4 == 3 && bytes.HasPrefix(d[1:], id)
	})
}

// welcome is a server that keeps nothing about strangers, and waits for one client.
func (r *run) welcome(peer int, d []byte) bool {
	id := fmt.Appendf(nil, "address %d", peer)
	if !r.cookies {
		return false
	}
	size := len(d)
	answer, ok := r.configs[toServer].AnswerHello(nil, id, d)
	if !ok {
		if len(answer) > size {
			r.problem("a stranger got %d bytes for %d", len(answer), size)
		}
		if len(answer) > 0 {
			r.send(toClient, peer, answer)
		}
		return false
	}
	if r.engines[toServer] != nil {
		return false
	}
	e := r.engine(hermetic.DTLSServer, r.configs[toServer])
	if err := e.SetPeerID(id); err != nil {
		r.problem("SetPeerID: %v", err)
	}
	r.engines[toServer] = e
	return true
}

func (r *run) open(from *datagram) {
	side, d := from.to, from.data
	e := r.engines[side]
	r.moved[side] = r.now
	for len(d) > 0 && r.failed[side] == nil && !r.closed[side] {
		path := hermetic.Path{Local: pathOf(from.peer).Remote} // nobody is at another address of the client
		if side == toServer {
			path = pathOf(from.peer)
		}
		o, err := e.OpenFrom(path, d)
		switch {
		case err == hermetic.ErrClosed:
			r.closed[side] = true
			return
		case err != nil:
			r.fail(side, err)
			return
		case o.N == 0:
			r.problem("Open makes no progress")
			return
		}
		if side == toServer {
			r.follow(from, o.Kind)
		}
		if o.Data != nil {
			r.hear(side, o.Data)
		}
		d = d[o.N:]
	}
}

// follow is what a server does about a client that moves: it follows the newest
// record that came with its connection ID.
func (r *run) follow(from *datagram, kind hermetic.Kind) {
	newest := from.nth > r.newest
	r.newest = max(r.newest, from.nth)
	_, checks := r.engines[toServer].NewPath()
	switch {
	case kind == hermetic.KindPathChanged:
		r.event("the client has proved that it is at address %d", from.peer)
		r.path = from.peer
		r.followed++
		r.between(from.peer).proved = true
		r.proofs++
		if from.peer == spoofed {
			r.problem("the attacker has proved that it is the client")
		}
		if got := r.engines[toServer].Path(); got != pathOf(r.path) {
			r.problem("the client's path is %v, and the server's %v", pathOf(r.path), got)
		}
	case r.path == from.peer:
	case r.checked():
		if kind == hermetic.KindNewPath {
			r.problem("the caller is to decide, and the engine checks")
		}
		if kind == hermetic.KindData && newest && !checks && r.now.Sub(r.rested) > 3*time.Second && !r.closed[toServer] {
			r.problem("the newest record comes from elsewhere, and nobody checks")
		}
	case kind == hermetic.KindData && newest:
		r.problem("the newest record comes from elsewhere, and nobody notices")
	case kind == hermetic.KindNewPath:
		r.event("the server follows the client from address %d to %d", r.path, from.peer)
		r.path = from.peer
		r.followed++
		r.engines[toServer].SetPath(pathOf(from.peer))
	}
	if checks {
		r.rested = r.now // at the earliest
	}
}

func words(side, n int) string {
	return fmt.Sprintf("side %d says %d %s", side, n, strings.Repeat("x", n*17%200))
}

// hear checks received data: each datagram once, and as it was sent.
func (r *run) hear(side int, data []byte) {
	text := string(data)
	known := false
	for n := range r.said[1-side] {
		known = known || text == words(1-side, n)
	}
	switch {
	case !known:
		r.problem("%q was never said", text)
	case r.heard[side][text]:
		r.problem("%q came twice", text)
	}
	r.heard[side][text] = true
}

func (r *run) expire() {
	for side, e := range r.engines {
		if e == nil || r.failed[side] != nil {
			continue
		}
		if at, ok := e.Deadline(); ok && !at.After(r.now) {
			if err := e.Expire(); err != nil {
				r.fail(side, err)
			} else if at, ok := e.Deadline(); ok && !at.After(r.now) && !e.HasOutput() {
				r.problem("a deadline that does not move")
				r.failed[side] = errors.New("stuck")
			}
			r.flush()
		}
	}
}

func (r *run) fail(side int, err error) {
	r.event("side %d fails: %v", side, err)
	r.failed[side] = err
	if quiet := r.now.Sub(r.moved[side]); errors.Is(err, hermetic.ErrTimeout) && (r.now.Sub(r.start) < schedule || quiet > schedule+maxTimeout) {
		r.problem("side %d gives up after %v, %v after the last datagram", side, r.now.Sub(r.start), quiet)
	}
}

// schedule is how long the retransmission timer runs: 1 s doubling to 60 s, and
// maxTimeout its last value: what comes meanwhile starts that again.
const (
	schedule   = (1+2+4+8+16+32)*time.Second + maxTimeout
	maxTimeout = 60 * time.Second
)

func (r *run) complete(side int) bool {
	return r.engines[side] != nil && r.engines[side].HandshakeComplete()
}

func (r *run) mayspeak(side int) bool {
	return r.complete(side) && r.failed[side] == nil && r.said[side] < r.words
}

// speak sends data every now and then.
func (r *run) speak() {
	for side, e := range r.engines {
		if !r.mayspeak(side) || r.next[side].After(r.now) {
			continue
		}
		if r.keyUpdates && e.State().Version == 0x0304 && r.rng.IntN(3) == 0 {
			if err := e.KeyUpdate(hermetic.KeyUpdateRequest(r.rng.IntN(2) == 0)); err != nil {
				r.problem("KeyUpdate: %v", err)
			}
		}
		text := words(side, r.said[side])
		r.said[side]++
		r.moved[side] = r.now
		if r.reliable() && r.complete(toClient) && r.complete(toServer) {
			r.must[1-side][text] = true
		}
		d, err := e.Seal(nil, []byte(text))
		if err != nil {
			r.problem("Seal: %v", err)
			continue
		}
		r.send(1-side, r.peer(side), d)
		r.next[side] = r.now.Add(time.Duration(r.rng.IntN(2000)) * time.Millisecond)
	}
}

// reliable reports whether the network loses nothing, and no attacker diverts the
// server. A small engine has no keys for what a KeyUpdate has overtaken.
func (r *run) reliable() bool {
	return !(r.sleepy && r.keyUpdates) && r.loss == 0 && r.flip == 0 && r.pathMTU == 0 && len(r.moves) == 0 && (r.spoof == 0 || r.cids <= 0)
}

// judge checks the outcome.
func (r *run) judge() {
	for side, err := range r.failed {
		var fault *hermetic.AlertError
		switch {
		case err == nil || errors.Is(err, hermetic.ErrTimeout):
		case errors.As(err, &fault) && (r.flipped || r.early): // the cookie was for another address
		default:
			r.problem("side %d: %v", side, err)
		}
	}
	client, server := r.complete(toClient), r.complete(toServer)
	if r.now.Sub(r.start) >= patience {
		r.problem("it never ends: client complete %v, server %v", client, server)
	}
	if !client && r.failed[toClient] == nil {
		r.problem("the client neither completes nor gives up")
	}
	if client && server {
		r.compare()
	}
	for side, must := range r.must {
		for text := range must {
			if !r.heard[side][text] {
				r.problem("nothing is lost, and %q was not heard", text)
			}
		}
	}
}

// compare: both have the same connection, or none.
func (r *run) compare() {
	a, b := r.engines[toServer].State(), r.engines[toClient].State()
	if a.Version != b.Version || a.CipherSuite != b.CipherSuite || a.CurveID != b.CurveID || a.NegotiatedProtocol != b.NegotiatedProtocol {
		r.problem("the sides have agreed on different things: %v, %v", a, b)
	}
	if r.failed[toServer] != nil || r.failed[toClient] != nil {
		return // a failed engine has no secrets
	}
	ka, errA := a.ExportKeyingMaterial("sim", nil, 32)
	kb, errB := b.ExportKeyingMaterial("sim", nil, 32)
	if errA != nil || errB != nil || !bytes.Equal(ka, kb) {
		r.problem("the sides have different keys")
	}
}
