package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// journey is two DTLS engines that move at any moment, over a network that loses,
// repeats and reorders.
type journey struct {
	*meeting
	rng   *rand.Rand
	loss  float64
	air   []flying
	sent  map[said]bool
	moves int
}

// flying is a datagram on its way, and said the data in one.
type flying struct {
	to       **Engine
	datagram []byte
}
type said struct {
	to    **Engine
	words string
}

func (j *journey) ends() [2]**Engine { return [2]**Engine{&j.client, &j.server} }

// send puts into the air what is to be sent, and then datagram, if there is one.
func (j *journey) send(datagram []byte, to **Engine) {
	put := func(to **Engine, d []byte) {
		for range j.rng.IntN(2) + 1 {
			if j.rng.Float64() >= j.loss {
				j.air = append(j.air, flying{to, bytes.Clone(d)})
			}
		}
	}
	for i, e := range j.ends() {
		for d := (*e).Output(nil); len(d) > 0; d = (*e).Output(nil) {
			put(j.ends()[1-i], d)
		}
	}
	if datagram != nil {
		put(to, datagram)
	}
}

// land opens one of the first n datagrams in the air.
func (j *journey) land(n int) {
	if len(j.air) == 0 {
		return
	}
	i := j.rng.IntN(min(n, len(j.air)))
	f := j.air[i]
	j.air = append(j.air[:i], j.air[i+1:]...)
	j.datagrams.client, j.datagrams.server = nil, nil
	if err := j.give(*f.to, f.datagram); err != nil {
		j.t.Fatal(err)
	}
	for _, w := range slices.Concat(j.datagrams.client, j.datagrams.server) {
		if what := (said{f.to, string(w)}); !j.sent[what] {
			j.t.Errorf("%v got %q, which was not sent, or came before", (*f.to).mode, w)
		} else {
			delete(j.sent, what)
		}
	}
}

// say sends words to the other side, as soon as they can be sent.
func (j *journey) say(from int, words string) {
	if out, err := (*j.ends()[from]).Seal(nil, []byte(words)); err == nil {
		to := j.ends()[1-from]
		j.sent[said{to, words}] = true
		j.send(out, to)
	}
}

func (j *journey) wait(until time.Time) {
	j.now = until
	for _, e := range j.ends() {
		if err := (*e).Expire(); err != nil {
			j.t.Fatalf("%v: %v", (*e).mode, err)
		}
	}
}

func (j *journey) move(e **Engine) {
	state, err := (*e).Export(nil, stateAEAD(j.t, 1))
	if errors.Is(err, ErrInvalidOperation) {
		return
	}
	if err == nil {
		j.moves++
		*e, err = ImportEngine((*e).plan.cfg, state, stateAEAD(j.t, 1), &ImportOptions{SkipSequenceNumbers: j.rng.Uint64N(20)})
	}
	if err != nil {
		j.t.Fatal(err)
	}
}

// TestMoveAnywhere: whenever an engine may move or become small, its connection goes on:
// nothing comes twice, and nobody waits in vain.
func TestMoveAnywhere(t *testing.T) {
	moves, rests := 0, 0
	for seed := range 200 / uint64(roomtest.Stride()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			j := &journey{rng: rng, loss: rng.Float64() / 3, sent: map[said]bool{}}
			j.meeting = newNetwork(t, func(client, server *Config) {
				client.MaxVersion, server.NoTickets = versions[seed%2], seed%3 == 0
				for _, c := range []*Config{client, server} {
					if c.DTLS.ConnectionIDs = seed%5 > 0; c.DTLS.ConnectionIDs {
						c.DTLS.ConnectionIDLength = 3
					}
				}
			})
			for step := range 300 {
				side := rng.IntN(2)
				e := j.ends()[side]
				switch rng.IntN(7) {
				case 0:
					j.send(nil, nil)
				case 5:
					if (*e).Compact() == nil {
						rests++
					}
				case 1, 2:
					j.land(4)
				case 3:
					j.say(side, fmt.Sprint(step))
				case 4:
					j.wait(j.now.Add(time.Duration(rng.IntN(700)) * time.Millisecond))
				default:
					j.move(e)
					if rng.IntN(4) == 0 && is13(*e) {
						(*e).KeyUpdate(KeyUpdateRequest(rng.IntN(2) == 0))
						(*e).RequestConnectionIDs(1)
						(*e).ChangeConnectionID()
					}
				}
			}
			j.loss = 0
			for at, ok := j.now, true; ok; at, ok = j.due() {
				j.wait(at)
				for j.send(nil, nil); len(j.air) > 0; j.send(nil, nil) {
					j.land(1)
				}
			}
			clear(j.sent)
			j.say(0, "goodbye")
			j.say(1, "goodbye")
			for len(j.air) > 0 {
				j.land(1)
			}
			if len(j.sent) > 0 {
				t.Error("the connection does not go on")
			}
			moves += j.moves
		})
	}
	if moves < 100 || rests < 100 {
		t.Errorf("there were only %d moves and %d rests", moves, rests)
	}
}

func is13(e *Engine) bool {
	return e.HandshakeComplete() && e.State().Version == tls.VersionTLS13
}

// due is the next deadline of both.
func (j *journey) due() (at time.Time, ok bool) {
	for _, e := range j.ends() {
		if t, due := (*e).Deadline(); due && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}
