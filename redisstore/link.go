package redisstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeInterval is how often Redis is tried again after it did not answer, if there is
// early data to ask about.
const probeInterval = time.Second

// link knows whether Redis answers. While it does not, no handshake waits for it.
type link struct {
	mu      sync.Mutex
	down    bool
	probing bool
	probed  time.Time // when the last probe began
}

func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.down
}

// cut is called when Redis did not answer. The first probe follows at once.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.down {
		l.down, l.probed = true, time.Time{}
	}
}

// restore is called when Redis answers.
func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// begin reports whether it is time for a probe. There is one at a time.
func (l *link) begin(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.down || l.probing || now.Sub(l.probed).Abs() < probeInterval {
		return false
	}
	l.probing, l.probed = true, now
	return true
}

func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
}

// probe checks in the background whether Redis answers again, if it is time to.
func (s *Store) probe() {
	if !s.link.begin(s.opt.Time()) {
		return
	}
	go func() {
		defer s.link.end()
		s.check(context.Background())
	}()
}

// check touches the guard, and notes whether Redis answers.
func (s *Store) check(ctx context.Context) {
	err := s.touch(ctx)
	if ctx.Err() != nil {
		return
	}
	if isAway(err) {
		s.away()
	} else {
		s.link.restore()
	}
	s.say(aboutEarlyData, err)
}

// away notes that Redis does not answer. It makes the client of a cluster look for the
// current master: by itself the client would do so once a minute, and a master that is
// gone does not name its successor.
func (s *Store) away() {
	s.link.cut()
	if c, ok := s.client.(*redis.ClusterClient); ok {
		c.ReloadState(context.Background())
	}
}

// An awayError means that Redis does not answer.
type awayError struct{ err error }

func (e *awayError) Error() string { return e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

func isAway(err error) bool {
	var away *awayError
	return errors.As(err, &away)
}

// unanswered makes an awayError of an error that is not an answer of Redis.
func unanswered(err error) error {
	var answer redis.Error
	if err == nil || errors.As(err, &answer) {
		return err
	}
	return &awayError{err}
}

// The subjects of Options.OnError.
const (
	aboutEarlyData = iota
	aboutSecrets
	subjects
)

// told is what Options.OnError was told: for each subject the states that last, and
// whether Redis answers.
type told struct {
	mu     sync.Mutex
	states [subjects]map[string]bool
	away   bool
}

// say tells Options.OnError what is new: a state that lasts is told once.
func (s *Store) say(subject int, errs ...error) {
	for _, err := range s.told.news(subject, errs) {
		s.opt.OnError(err)
	}
}

func (t *told) news(subject int, errs []error) (fresh []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	away := slices.IndexFunc(errs, isAway)
	if away >= 0 {
		if !t.away {
			fresh = append(fresh, errs[away])
		}
		t.away = true
		return fresh
	}
	t.away = false
	states := make(map[string]bool)
	for _, err := range errs {
		if err == nil {
			continue
		}
		state := stateOf(err)
		if !t.states[subject][state] && !states[state] {
			fresh = append(fresh, err)
		}
		states[state] = true
	}
	t.states[subject] = states
	return fresh
}

// stateOf returns the part of an error that stays the same while its reason does: of an
// answer of Redis, which may have addresses and numbers, its first word.
func stateOf(err error) string {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return err.Error()
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	before, _, _ := strings.Cut(err.Error(), answer.Error())
	return before + code
}
