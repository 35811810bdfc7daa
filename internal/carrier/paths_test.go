package carrier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// at is the path to a host of that number.
func at(host byte) Path {
	return Path{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 4433)}
}

// The hosts of the tests: the client's first address, its second one, and an attacker's.
var home, away, thief = at(1), at(2), at(66)

// numbers is a source of cookies that are all different.
type numbers struct{ n uint64 }

func (r *numbers) Read(p []byte) (int, error) {
	r.n++
	binary.BigEndian.PutUint64(p, r.n)
	return len(p), nil
}

// empty is a random source that has failed.
type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// movers are a connected pair whose ends check each other's paths, with the server telling
// where datagrams come from.
type movers struct{ *pair }

func newMovers(t *testing.T, version uint16, edit func(server *DatagramOptions)) movers {
	t.Helper()
	po := playOptions{version: version, localCID: [2][]byte{[]byte("to-client"), []byte("to-server")}}
	m := movers{newPair(t, po, func(client, server *DatagramOptions) {
		client.Rand, server.Rand = new(numbers), new(numbers)
		if edit != nil {
			edit(server)
		}
	})}
	m.client.CheckPaths()
	m.server.CheckPaths()
	m.server.From(home)
	m.connect()
	return m
}

// comes gives the server a datagram that comes on a path.
func (m movers) comes(from Path, datagram []byte) (Kind, error) {
	m.t.Helper()
	m.server.From(from)
	defer m.server.From(Path{})
	o, _, err := m.server.open(m.now, bytes.Clone(datagram))
	return o.Kind, err
}

// mustCome is comes without an error, and checks what it means.
func (m movers) mustCome(why string, from Path, datagram []byte, want Kind) {
	m.t.Helper()
	if kind, err := m.comes(from, datagram); err != nil || kind != want {
		m.t.Errorf("%s: kind %d, %v; want kind %d", why, kind, err, want)
	}
}

// message is a message about paths from e, as a peer could send it.
func (m movers) message(e *end, typ record.ContentType, content string) []byte {
	m.t.Helper()
	d, err := e.sending.Seal(nil, typ, []byte(content))
	if err != nil {
		m.t.Fatal(err)
	}
	return d
}

// reply is the client's reply to a datagram with a challenge.
func (m movers) reply(challenge []byte) []byte {
	m.t.Helper()
	m.mustInput(m.client, challenge)
	out := m.output(m.client)
	if len(out) != 1 {
		m.t.Fatalf("%d datagrams answer a challenge", len(out))
	}
	return out[0]
}

// sends checks what the server sends, and where, and returns it.
func (m movers) sends(why string, want ...string) (datagrams [][]byte) {
	m.t.Helper()
	var got []string
	for m.server.HasOutput() {
		d, to := m.server.OutputTo(m.now, nil)
		if len(d) == 0 || len(datagrams) > 100 {
			m.t.Fatalf("%s: HasOutput, and %d bytes of output after %d datagrams", why, len(d), len(datagrams))
		}
		datagrams = append(datagrams, d)
		_, message, _ := strings.Cut(m.describe(m.server, d), ":")
		got = append(got, fmt.Sprintf("%s to %v", message, to.Remote.Addr()))
	}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		m.t.Fatalf("%s: the server sends %q, want %q", why, got, want)
	}
	return datagrams
}

// stays checks the server's paths: where it sends, and whether it checks another.
func (m movers) stays(why string, at Path, checks bool) {
	m.t.Helper()
	if got := m.server.Path(); got != at {
		m.t.Errorf("%s: the path is %v, want %v", why, got.Remote, at.Remote)
	}
	if _, ok := m.server.CheckedPath(); ok != checks {
		m.t.Errorf("%s: another is checked: %v", why, ok)
	}
}

// data is a datagram with data from the client.
func (m movers) data() []byte { return m.seal(m.client, "data") }

const (
	challengeHome = "RRC(0) to 192.0.2.1"
	challengeAway = "RRC(0) to 192.0.2.2"
)

func TestBasicCheck(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		m := newMovers(t, version, nil)
		m.mustCome("from where it was", home, m.data(), Data)
		m.sends("nothing is new")
		m.mustCome("from a new address", away, m.data(), Data)
		m.stays("data is no proof", home, true)
		out := m.sends("a challenge on the new path", challengeAway)
		m.wantDeadline("the next challenge", m.server, time.Second/3)
		m.mustCome("the proof", away, m.reply(out[0]), PathChanged)
		m.stays("the peer has moved", away, false)
		m.wantDeadline("nothing is under way", m.server, -1)
		m.sends("nothing more")
		m.mustCome("from there", away, m.data(), Data)
		m.mustCome("back again", home, m.data(), Data)
		m.mustCome("at once: no check has failed", home, m.reply(m.sends("another challenge", challengeHome)[0]), PathChanged)
	})
}

// TestCheckIsRepeated: challenges are lost; each has its own cookie, and any is answered.
func TestCheckIsRepeated(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for answered := range maxChallenges + 1 {
			m := newMovers(t, version, nil)
			m.mustCome("moves", away, bytes.Clone(m.seal(m.client, strings.Repeat("x", 100))), Data)
			var out [][]byte
			for range maxChallenges {
				out = append(out, m.sends("a challenge", challengeAway)...)
				m.passTime(time.Second / 3)
			}
			if answered == maxChallenges {
				m.passTime(time.Second / 3)
				m.stays("T expires", home, false)
				m.sends("no more challenges")
				m.mustCome("too late for this check", away, m.reply(out[2]), None)
				m.stays("and too early for the next", home, false)
				m.passTime(time.Second)
				m.mustCome("moves", away, m.data(), Data)
				m.mustCome("an answer to the last check", away, m.message(m.client, record.RRC, "\x01\x00\x00\x00\x00\x00\x00\x00\x03"), None)
				m.stays("a cookie serves once", home, true)
				continue
			}
			m.now = m.now.Add(-time.Millisecond)
			m.mustCome("an answer to one of them", away, m.reply(out[answered]), PathChanged)
			m.stays("the peer has moved", away, false)
		}
	})
}

// TestLateAnswer: T has expired, and the caller has not said so.
func TestLateAnswer(t *testing.T) {
	m := newMovers(t, wire.VersionTLS13, nil)
	m.mustCome("moves", away, m.data(), Data)
	response := m.reply(m.sends("a challenge", challengeAway)[0])
	m.now = m.now.Add(time.Second)
	m.mustCome("after T", away, response, None)
	m.stays("after T", home, false)
}

func TestEnhancedCheck(t *testing.T) {
	enhanced := func(o *DatagramOptions) { o.PathPolicy = EnhancedCheck }
	versions(t, func(t *testing.T, version uint16) {
		t.Run("the current path is dead", func(t *testing.T) {
			m := newMovers(t, version, enhanced)
			m.mustCome("moves", away, m.data(), Data)
			var old []byte
			for range maxChallenges {
				old = m.sends("the current path first", challengeHome)[0]
				m.passTime(time.Second / 3)
			}
			m.stays("not T yet", home, true)
			m.passTime(time.Millisecond)
			out := m.sends("then the new one", challengeAway)
			m.mustCome("an answer that belongs to the old path", home, m.reply(old), None)
			m.stays("too late", home, true)
			m.mustCome("the proof", away, m.reply(out[0]), PathChanged)
			m.stays("the peer has moved", away, false)
		})
		t.Run("the peer is still there", func(t *testing.T) {
			m := newMovers(t, version, enhanced)
			m.mustCome("a copy that was faster", thief, m.data(), Data)
			response := m.reply(m.sends("the current path first", challengeHome)[0])
			m.mustCome("the answer from elsewhere", thief, response, None)
			m.stays("it does not count", home, true)
			m.passTime(time.Second / 3)
			response = m.reply(m.sends("again", challengeHome)[0])
			m.mustCome("the answer", home, response, None)
			m.stays("it stays", home, false)
			m.mustCome("another copy", thief, m.data(), Data)
			m.stays("not again at once", home, false)
			m.sends("nothing")
			m.passTime(time.Second)
			m.mustCome("another copy", thief, m.data(), Data)
			m.stays("a while later", home, true)
		})
		t.Run("the peer has left", func(t *testing.T) {
			m := newMovers(t, version, enhanced)
			old := Path{Local: netip.MustParseAddrPort("198.51.100.1:7"), Remote: home.Remote}
			m.client.SetPath(Path{Local: netip.MustParseAddrPort("198.51.100.2:7"), Remote: home.Remote})
			m.mustCome("moves", away, m.data(), Data)
			challenge := m.sends("the current path first", challengeHome)[0]
			m.client.From(old)
			dropped := m.reply(challenge)
			m.client.From(Path{})
			m.want("the client prefers its new path", m.client, [][]byte{dropped}, fmt.Sprintf("%d:RRC(2)", m.client.sending.Next().Epoch))
			m.mustCome("path_drop", home, dropped, None)
			m.mustCome("path_drop twice", home, dropped, None)
			m.mustCome("the proof", away, m.reply(m.sends("at once", challengeAway)[0]), PathChanged)
			m.stays("the peer has moved", away, false)
		})
	})
}

// TestForeignRRC: what is wrong, or has no place, is counted, and changes nothing.
func TestForeignRRC(t *testing.T) {
	const first, cookie = "\x00\x00\x00\x00\x00\x00\x00\x01", "12345678" // the server's, and another
	for _, test := range []struct {
		name    string
		from    Path
		content string
	}{
		{"a wrong cookie", away, "\x01" + cookie},
		{"from the current path", home, "\x01" + first},
		{"from a third path", thief, "\x01" + first},
		{"from a path that nobody tells", Path{}, "\x01" + first},
		{"from another address of ours", Path{Local: away.Remote, Remote: away.Remote}, "\x01" + first},
		{"path_drop on the new path", away, "\x02" + first},
		{"path_drop on the current path", home, "\x02" + first},
		{"an unknown type", away, "\x03" + first},
		{"the last type", away, "\xff" + first},
		{"an unknown type, empty", away, "\x07"},
		{"an unknown type, long", away, "\x07" + strings.Repeat("x", 1000)},
		{"no byte", away, ""},
		{"no cookie", away, "\x01"},
		{"a truncated cookie", away, "\x01" + first[:7]},
		{"a byte too many", away, "\x01" + first + "\x00"},
		{"two messages", away, "\x01" + first + "\x01" + first},
		{"a truncated challenge", away, "\x00" + first[:7]},
		{"a challenge with a byte too many", away, "\x00" + first + "\x00"},
	} {
		versions(t, func(t *testing.T, version uint16) {
			for _, policy := range []PathPolicy{BasicCheck, EnhancedCheck} {
				if strings.HasSuffix(test.name, "the current path") && policy == EnhancedCheck {
					continue // there it has a place
				}
				m := newMovers(t, version, func(o *DatagramOptions) { o.PathPolicy = policy })
				m.mustCome("moves", away, m.data(), Data)
				to := challengeAway
				if policy == EnhancedCheck {
					to = challengeHome
				}
				m.sends("a challenge", to)
				before, dropped := *m.server.paths.check, m.server.Dropped()
				d := m.message(m.client, record.RRC, test.content)
				for range 2 {
					m.mustCome(test.name, test.from, d, None)
				}
				m.stays(test.name, home, true)
				m.sends(test.name)
				after := *m.server.paths.check
				after.credit = before.credit // which anything authentic raises
				if after != before {
					t.Errorf("%s: the check is %+v, was %+v", test.name, after, before)
				}
				dropped[record.Misplaced]++
				dropped[record.Replayed]++
				if m.server.Dropped() != dropped {
					t.Errorf("%s: drops %v, want %v", test.name, m.server.Dropped(), dropped)
				}
			}
		})
	}
}

// TestRRCOutOfPlace: before the handshake is complete, unencrypted, not negotiated, after
// the end.
func TestRRCOutOfPlace(t *testing.T) {
	const challenge = "\x0012345678"
	versions(t, func(t *testing.T, version uint16) {
		t.Run("unencrypted", func(t *testing.T) {
			m := newMovers(t, version, nil)
			fresh := newPair(t, playOptions{version: version}, nil)
			for _, p := range []*pair{m.pair, fresh} {
				for _, e := range []*end{p.client, p.server} {
					before := e.Dropped()[record.Unprotected]
					p.mustInput(e, m.reseal(m.client, 0, record.RRC, []byte(challenge)))
					if e.Dropped()[record.Unprotected] != before+1 || e.paths != nil && len(e.paths.replies) > 0 {
						t.Errorf("the %s: drops %v", e.name, e.Dropped())
					}
				}
			}
		})
		t.Run("before the handshake is complete", func(t *testing.T) {
			p := newPair(t, playOptions{version: version, slowClient: true}, nil)
			p.client.CheckPaths()
			p.server.CheckPaths()
			p.settle()
			epochs := []uint64{1}
			if version == wire.VersionTLS13 {
				epochs = []uint64{2}
			}
			for _, epoch := range epochs {
				d := p.reseal(p.client, epoch, record.RRC, []byte(challenge))
				p.mustInput(p.server, d, d)
			}
			if p.server.complete || p.server.HasOutput() || p.server.paths != nil {
				t.Errorf("the server keeps a challenge: complete %v", p.server.complete)
			}
		})
		t.Run("under the keys of the handshake", func(t *testing.T) {
			if version != wire.VersionTLS13 {
				t.Skip("DTLS 1.2 has one generation of keys")
			}
			m := newMovers(t, version, nil)
			before := m.server.Dropped()[record.Misplaced]
			s := record.NewWriter13(2, keys(version, false, 2), []byte("to-server"))
			for range 100 {
				s.Seal(nil, record.RRC, nil)
			}
			d, _ := s.Seal(nil, record.RRC, []byte(challenge))
			m.mustCome("the handshake's keys", away, d, None)
			m.sends("nothing")
			m.stays("nothing", home, false)
			if got := m.server.Dropped()[record.Misplaced]; got != before+1 {
				t.Errorf("%d are misplaced, want one more than %d", got, before)
			}
		})
		t.Run("not negotiated", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			var fault *alert.Error
			if err := p.input(p.server, movers{p}.message(p.client, record.RRC, challenge)); !errors.As(err, &fault) || fault.Description != alert.UnexpectedMessage {
				t.Errorf("got %v", err)
			}
		})
		t.Run("after our close_notify", func(t *testing.T) {
			m := newMovers(t, version, nil)
			m.mustCome("moves", away, m.data(), Data)
			m.mustCome("the peer's own challenge", home, m.message(m.client, record.RRC, challenge), None)
			m.server.SendAlert(alert.CloseNotify)
			m.sends("only the end", "alert(1,close_notify) to 192.0.2.1")
			m.mustCome("a challenge after it", home, m.message(m.client, record.RRC, challenge), None)
			m.mustCome("a new path after it", at(3), m.data(), Data)
			m.sends("nothing")
			m.stays("it is over", home, false)
			m.wantDeadline("it is over", m.server, -1)
		})
		t.Run("after the peer's close_notify", func(t *testing.T) {
			m := newMovers(t, version, nil)
			m.client.SendAlert(alert.CloseNotify)
			if _, err := m.comes(home, m.output(m.client)[0]); err != ErrClosed {
				t.Fatal(err)
			}
			if _, err := m.comes(away, m.message(m.client, record.RRC, challenge)); err != ErrClosed {
				t.Errorf("got %v", err)
			}
			m.sends("nothing")
		})
	})
}

// TestAmplification: a new path gets at most three times what has come from it, however long
// the peer's connection ID is, and whatever comes.
func TestPathAmplification(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		m := newMovers(t, version, nil)
		m.server.SetPeerCID(bytes.Repeat([]byte{7}, 255)) // DTLS 1.3
		if version == wire.VersionTLS12 {
			m.server.sending = record.NewWriter12(1, keys(version, true, 1), bytes.Repeat([]byte{7}, 255))
		}
		in, out := 0, 0
		for i := range 40 {
			content, typ := "", record.ApplicationData
			if i%2 == 1 {
				content, typ = "\x00cookie!!", record.RRC // a challenge, which asks for an answer
			}
			d := m.message(m.client, typ, content)
			in += len(d)
			m.mustCome("from a new address", away, d, map[record.ContentType]Kind{record.ApplicationData: Data, record.RRC: None}[typ])
			for m.server.HasOutput() {
				d, to := m.server.OutputTo(m.now, nil)
				if out += len(d); to != away || out > 3*in {
					t.Fatalf("%d bytes to %v for %d from there", out, to.Remote, in)
				}
			}
			m.passTime(time.Second / 10)
		}
		if out == 0 {
			t.Error("no challenge ever leaves")
		}
	})
}

// TestManyAddresses: copies and records from many addresses cost one check at a time, and each
// address at most three times what has come from it.
func TestManyAddresses(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		m := newMovers(t, version, nil)
		challenges := 0
		in, out := map[Path]int{}, map[Path]int{}
		for i := range 2000 {
			from := at(byte(2 + i%250))
			d := m.data()
			in[from] += len(d)
			m.mustCome("from another address", from, d, Data)
			m.mustCome("a copy", thief, d, None)
			for m.server.HasOutput() {
				d, to := m.server.OutputTo(m.now, nil)
				challenges++
				if out[to] += len(d); out[to] > 3*in[to] {
					t.Fatalf("%d bytes to %v for %d from there", out[to], to.Remote, in[to])
				}
			}
			m.passTime(10 * time.Millisecond)
		}
		// 20 seconds: a check of one second, and a rest of one, with three challenges at most.
		if challenges == 0 || challenges > 10*maxChallenges {
			t.Errorf("%d challenges", challenges)
		}
		m.stays("nobody answers", home, m.server.paths.check != nil)
	})
}

// TestManyChallenges: one reply for each, on its path, and a bound on those that wait.
func TestManyChallenges(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		m := newMovers(t, version, nil)
		const many = 3 * maxReplies
		var all []byte
		for i := range many {
			all = append(all, m.message(m.client, record.RRC, fmt.Sprintf("\x00%08d", i))...)
		}
		again := bytes.Clone(all)
		m.server.From(home)
		m.mustInput(m.server, all, again)
		n := 0
		for ; m.server.HasOutput(); n++ {
			d, to := m.server.OutputTo(m.now, nil)
			if to != home {
				t.Fatalf("to %v", to.Remote)
			}
			m.mustInput(m.client, d)
		}
		d := m.server.Dropped()
		if n != maxReplies || d[record.Misplaced] != many-maxReplies || d[record.Replayed] < maxReplies {
			t.Errorf("%d replies; drops %v", n, d)
		}
		if got := m.client.Dropped()[record.Misplaced]; got != uint64(n) {
			t.Errorf("the client ignores %d replies to what it has not sent, want %d", got, n)
		}
		if m.server.paths.replies != nil {
			t.Error("the room for replies is kept")
		}
	})
}

// TestOnlyOneCheck: a third address does not disturb a check, newer data from the current path
// ends it, and older data does neither.
func TestOnlyOneCheck(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		m := newMovers(t, version, nil)
		late := m.data()
		m.mustCome("moves", away, m.data(), Data)
		response := m.reply(m.sends("a challenge", challengeAway)[0])
		m.mustCome("elsewhere", thief, m.data(), Data)
		m.sends("nothing")
		m.mustCome("what was overtaken", home, late, Data)
		m.stays("the check goes on", home, true)
		m.mustCome("the proof", away, response, PathChanged)

		m.mustCome("moves", home, m.data(), Data)
		response = m.reply(m.sends("a challenge", challengeHome)[0])
		m.mustCome("it was a copy: the peer goes on", away, m.data(), Data)
		m.stays("the check is over", away, false)
		m.mustCome("the answer", home, response, None)
		m.stays("the peer stays", away, false)
		m.wantDeadline("nothing is under way", m.server, -1)
	})
}

// TestSetPath: the caller's decision ends a check.
func TestSetPath(t *testing.T) {
	m := newMovers(t, wire.VersionTLS13, nil)
	m.mustCome("moves", away, m.data(), Data)
	response := m.reply(m.sends("a challenge", challengeAway)[0])
	m.server.SetPath(at(9))
	m.stays("it is decided", at(9), false)
	m.mustCome("the answer", away, response, None)
	m.stays("but that is a record from a new path", at(9), true)
}

// TestCookiesFail: without random cookies there is no check, and no connection.
func TestCookiesFail(t *testing.T) {
	m := newMovers(t, wire.VersionTLS13, func(o *DatagramOptions) { o.Rand = empty{} })
	var fault *alert.Error
	if _, err := m.comes(away, m.data()); !errors.As(err, &fault) || fault.Description != alert.InternalError {
		t.Errorf("got %v", err)
	}
	m = newMovers(t, wire.VersionTLS13, nil)
	m.mustCome("moves", away, m.data(), Data)
	m.server.opt.Rand = empty{}
	if err := m.server.Expire(m.now.Add(time.Second / 2)); !errors.As(err, &fault) || fault.Description != alert.InternalError {
		t.Errorf("got %v", err)
	}
}

// FuzzPaths: whatever the client does and the network makes of it, the server sends to no
// address but the client's first one, and those that have answered a challenge, except
// challenges and replies: at most three times what has come from there.
func FuzzPaths(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		seed := make([]byte, 60)
		for i := range seed {
			seed[i] = byte(rng.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2 {
			return
		}
		version := []uint16{wire.VersionTLS12, wire.VersionTLS13}[script[0]&1]
		m := newMovers(t, version, func(o *DatagramOptions) { o.PathPolicy = PathPolicy(script[0] >> 1 & 1) })
		reached := map[Path]bool{home: true}
		in, out := map[Path]int{}, map[Path]int{}
		var flying [][]byte // to the client, on paths on which it can be
		var sent [][]byte   // by the client
		for _, op := range script[1:] {
			from := at(1 + op>>3&7)
			switch op & 7 {
			case 0, 1:
				sent = append(sent, m.data())
			case 2:
				if len(flying) > 0 {
					m.mustInput(m.client, flying[0])
					flying = flying[1:]
					sent = append(sent, m.output(m.client)...)
				}
			case 3:
				m.passTime(time.Duration(op>>3) * 50 * time.Millisecond)
			case 4:
				sent = append(sent, m.message(m.client, record.RRC, string([]byte{op >> 3 % 4, 0, 0, 0, 0, 0, 0, 0, op >> 5})))
			case 5:
				if len(flying) > 0 { // lost
					flying = flying[1:]
				}
			default:
				if len(sent) == 0 {
					continue
				}
				d := sent[int(op>>3)%len(sent)] // in any order, and several times
				in[from] += len(d)
				before := m.server.Path()
				kind, err := m.comes(from, d)
				if err != nil {
					t.Fatal(err)
				}
				if after := m.server.Path(); after != before {
					if kind != PathChanged || after != from || out[from] == 0 {
						t.Fatalf("it moves to %v: kind %d, after %d bytes to there", after.Remote, kind, out[from])
					}
					reached[from] = true
				}
			}
			for range 1000 {
				if !m.server.HasOutput() {
					break
				}
				d, to := m.server.OutputTo(m.now, nil)
				if len(d) == 0 {
					t.Fatal("HasOutput, and no output")
				}
				if out[to] += len(d); !reached[to] && out[to] > 3*in[to] {
					t.Fatalf("%d bytes to %v for %d from there", out[to], to.Remote, in[to])
				}
				flying = append(flying, d)
			}
			if m.server.HasOutput() {
				t.Fatal("the output does not end")
			}
			if len(m.server.paths.replies) > maxReplies {
				t.Fatalf("%d replies wait", len(m.server.paths.replies))
			}
		}
	})
}
