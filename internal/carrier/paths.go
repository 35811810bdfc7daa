package carrier

import (
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/record"
)

// Path is where a datagram comes from or goes to. The zero Path is the only one, or unknown.
type Path struct{ Local, Remote netip.AddrPort }

// PathPolicy says how a peer's new address is checked: RFC 9853, Section 5.
type PathPolicy uint8

const (
	// BasicCheck challenges the new path.
	BasicCheck PathPolicy = iota
	// EnhancedCheck challenges the current path before.
	EnhancedCheck
)

// The messages of RFC 9853, Section 4: a type, and a cookie of 8 bytes.
const (
	pathChallenge = 0
	pathResponse  = 1
	pathDrop      = 2

	cookieLen  = 8
	messageLen = 1 + cookieLen
)

const (
	// defaultPathTimeout: RFC 9853, Section 5.5: "If an implementation has no way to
	// obtain information regarding the RTT of the active path, T SHOULD be set to 1s."
	defaultPathTimeout = time.Second
	// maxChallenges is how many challenges one path gets while T runs, in case some are
	// lost.
	maxChallenges = 3
	// maxReplies bounds the replies that wait for Output. One datagram may have more
	// challenges.
	maxReplies = 32
)

var errCookie = alert.New(alert.InternalError, "the random source failed")

// paths are the path to the peer, and the check of another one (RFC 9853).
type paths struct {
	current  Path
	from     Path      // of the datagram that is being opened
	departed bool      // we have left a path of ours: only then are challenges on it answered by path_drop
	check    *check    // nil: none is under way
	rest     time.Time // no check begins before: one has failed
	replies  []reply   // to the peer's challenges
}

// reply is a message that is due on a path.
type reply struct {
	path    Path
	message [messageLen]byte
}

// check is the check of a new path. There is one at a time: "the presented algorithms are not
// designed to handle nested rebindings".
type check struct {
	path       Path
	current    bool // the current path is challenged, before this one
	credit     int  // bytes that may be sent on the new path: the anti-amplification limit
	challenges [maxChallenges][messageLen]byte
	made       int // challenges
	due        bool
	next       time.Time // when the next challenge is due
	end        time.Time // when T expires
}

// ways returns the paths. Only a caller that tells paths, and a peer that challenges, need
// them.
func (d *Datagram) ways() *paths {
	if d.paths == nil {
		d.paths = new(paths)
	}
	return d.paths
}

// CheckPaths: the hellos have agreed on rrc.
func (d *Datagram) CheckPaths() { d.path.checked = true }

// ChecksPaths reports whether CheckPaths was called.
func (d *Datagram) ChecksPaths() bool { return d.path.checked }

// From says where the following datagrams come from. The first one of a server's handshake is
// the path to the peer: its cookie was good, or its address is trusted.
func (d *Datagram) From(from Path) {
	if d.paths == nil && from == (Path{}) {
		return
	}
	w := d.ways()
	w.from = from
	if d.opt.Server && !d.complete && w.current == (Path{}) {
		w.current = from
	}
}

// SetPath changes the path to the peer without a check.
func (d *Datagram) SetPath(to Path) {
	w := d.ways()
	w.departed = w.departed || d.complete && to.Local != w.current.Local
	w.current, w.check = to, nil
}

// Path returns the path to the peer.
func (d *Datagram) Path() Path {
	if d.paths == nil {
		return Path{}
	}
	return d.paths.current
}

// CheckedPath returns the path that is being checked.
func (d *Datagram) CheckedPath() (p Path, ok bool) {
	if d.paths == nil || d.paths.check == nil {
		return p, false
	}
	return d.paths.check.path, true
}

// callerDecides reports whether the caller is told that a record may have come from a new
// address, because nothing checks that.
func (d *Datagram) callerDecides() bool {
	w := d.paths
	return w == nil || w.from == (Path{}) || !d.path.checked && w.moved()
}

// moved reports whether the datagram being opened has come from a new address of the peer. A
// new address of ours is our own decision.
func (w *paths) moved() bool { return w.from.Remote != w.current.Remote }

// arrived notes an authentic record of the given size, and whether it is newer than all before.
// RFC 9853, Section 3.1: "the receiver SHOULD perform a return routability check".
func (d *Datagram) arrived(now time.Time, typ record.ContentType, size int, newer bool) error {
	w := d.paths
	if w == nil || w.from == (Path{}) || !d.path.checked || !d.complete || d.ending.closed || d.ending.ended {
		return nil
	}
	switch c := w.check; {
	case c != nil && w.from == c.path:
		c.credit += amplification * size
	case !newer:
	case !w.moved():
		if c != nil && typ == record.ApplicationData {
			// What came from elsewhere was a copy, or is out of date.
			w.giveUp(now, d.opt.pathTimeout())
		}
	case c == nil && !now.Before(w.rest):
		d.trace.Path("new_path", nil)
		w.check = &check{path: w.from, credit: amplification * size}
		return w.check.start(now, d.opt, d.opt.PathPolicy == EnhancedCheck)
	}
	return nil
}

// giveUp ends a check without a change of path. An attacker who forwards records from
// elsewhere must not cause one check after another.
func (w *paths) giveUp(now time.Time, rest time.Duration) {
	w.check, w.rest = nil, now.Add(rest)
}

// start starts T, for the challenge of one of the paths.
func (c *check) start(now time.Time, opt *DatagramOptions, current bool) error {
	c.current, c.made, c.end = current, 0, now.Add(opt.pathTimeout())
	return c.challenge(now, opt)
}

// challenge makes a new challenge: "Each `path_challenge` message MUST contain random data."
func (c *check) challenge(now time.Time, opt *DatagramOptions) error {
	m := &c.challenges[c.made]
	m[0] = pathChallenge
	if _, err := io.ReadFull(opt.Rand, m[1:]); err != nil {
		return errCookie
	}
	c.made++
	c.due, c.next = true, now.Add(opt.pathTimeout()/maxChallenges)
	return nil
}

// deadline returns when expire has something to do.
func (c *check) deadline() time.Time {
	if c.made < maxChallenges && c.next.Before(c.end) {
		return c.next
	}
	return c.end
}

// knows reports whether a cookie is one of this path's. Each is compared: the time tells
// nothing that the peer, which can read challenges, does not know.
func (c *check) knows(cookie []byte) bool {
	return slices.ContainsFunc(c.challenges[:c.made], func(m [messageLen]byte) bool { return string(m[1:]) == string(cookie) })
}

// to returns the path of the next challenge.
func (w *paths) to() Path {
	if w.check.current {
		return w.current
	}
	return w.check.path
}

// expirePaths does what is due.
func (d *Datagram) expirePaths(now time.Time) error {
	if d.paths == nil || d.paths.check == nil {
		return nil
	}
	w, c := d.paths, d.paths.check
	switch {
	case now.Before(c.deadline()):
	case now.Before(c.end):
		return c.challenge(now, d.opt)
	case c.current:
		// "If T expires the peer address binding is not updated. In this case, the
		// initiator MUST perform a return routability check on the observed new address".
		return c.start(now, d.opt, false)
	default:
		w.giveUp(now, d.opt.pathTimeout())
	}
	return nil
}

// handleRRC handles a return_routability_check. What is wrong or has no place is ignored, and
// counted: "The initiator MUST silently discard any invalid `path_response` or `path_drop` it
// receives", and messages of an unknown type. It counts as received: a copy of it is no more
// welcome.
func (d *Datagram) handleRRC(now time.Time, r *opened) (Opened, error) {
	switch {
	case r.clear():
		return Opened{}, record.Unprotected
	case !d.path.checked:
		return Opened{}, errContentType
	}
	// "using the currently active security context": not that of the handshake.
	if kind, err := d.protocol.data(r.number.Epoch); err != nil || kind != Data {
		return Opened{}, record.Misplaced
	}
	if d.ending.closed && orderOf(r.number) > d.ending.closedBy {
		return Opened{}, ErrClosed
	}
	if err := d.expirePaths(now); err != nil { // the time may be over, and nobody has called Expire
		return Opened{}, err
	}
	taken, kind := false, None
	if len(r.content) == messageLen {
		var err error
		switch typ, cookie := r.content[0], r.content[1:]; typ {
		case pathChallenge:
			taken = d.replyTo(r, cookie)
		case pathResponse, pathDrop:
			if taken, kind, err = d.takeReply(now, typ, cookie); err != nil {
				return Opened{}, err
			}
		}
	}
	if !taken {
		d.drop(record.Misplaced, r.size)
	}
	return Opened{Kind: kind}, nil
}

// replyTo queues the reply to a challenge, for the path that the challenge has come on. An
// observer may have sent the challenge from an address that is not the peer's: the reply is
// within the anti-amplification limit, too, or there is none.
func (d *Datagram) replyTo(r *opened, cookie []byte) bool {
	w := d.ways()
	if d.ending.ended || len(w.replies) == maxReplies {
		return false
	}
	if w.moved() && d.rrcSize() > amplification*r.size {
		return false
	}
	answer := reply{path: w.from}
	if answer.message[0] = pathResponse; w.departed && w.from != (Path{}) && w.from.Local != w.current.Local {
		answer.message[0] = pathDrop
	}
	copy(answer.message[1:], cookie)
	w.replies = append(w.replies, answer)
	return true
}

// takeReply takes a path_response or a path_drop, if it answers a challenge on the path on
// which that was sent.
func (d *Datagram) takeReply(now time.Time, typ byte, cookie []byte) (taken bool, kind Kind, err error) {
	if d.paths == nil || d.paths.check == nil {
		return false, None, nil
	}
	w, c := d.paths, d.paths.check
	switch {
	case w.from != w.to() || !c.knows(cookie):
		return false, None, nil
	case c.current && typ == pathDrop:
		return true, None, c.start(now, d.opt, false)
	case c.current: // the peer still prefers it
		w.giveUp(now, d.opt.pathTimeout())
		return true, None, nil
	case typ == pathDrop: // only the current path can be left
		return false, None, nil
	}
	w.current, w.check = c.path, nil
	d.trace.Path("validated", nil)
	return true, PathChanged, nil
}

// hasRRC reports whether a reply or a challenge can be sent.
func (d *Datagram) hasRRC() bool {
	w := d.paths
	if w == nil {
		return false
	}
	c := w.check
	return len(w.replies) > 0 || c != nil && c.due && (c.current || d.rrcSize() <= c.credit)
}

// rrcSize is how large a datagram with a message is.
func (d *Datagram) rrcSize() int { return messageLen + d.sending.Overhead() }

// appendRRC appends a datagram with one message. "The responder MUST NOT delay sending an
// elicited `path_response` or `path_drop`", so that those come first.
func (d *Datagram) appendRRC(dst []byte) ([]byte, Path) {
	w, c := d.paths, d.paths.check
	var next reply
	if len(w.replies) > 0 {
		next = w.replies[0]
		if w.replies = w.replies[1:]; len(w.replies) == 0 {
			w.replies = nil
		}
	} else {
		next = reply{w.to(), c.challenges[c.made-1]}
		c.due = false
	}
	out := d.sealRRC(dst, &next.message)
	if c != nil && next.path == c.path {
		c.credit -= len(out) - len(dst)
	}
	return out, next.path
}

// sealRRC seals a message. One that is lost because the keys are spent costs a path, not the
// connection.
func (d *Datagram) sealRRC(dst []byte, message *[messageLen]byte) []byte {
	d.Wake()
	d.trace.BeginDatagram(len(dst))
	out, err := d.seal(d.sending, dst, record.RRC, message[:])
	if err != nil {
		return dst
	}
	d.reportExhausted()
	return out
}

// stopPaths ends what is under way.
func (d *Datagram) stopPaths() {
	if d.paths != nil {
		d.paths.check, d.paths.replies = nil, nil
	}
}
