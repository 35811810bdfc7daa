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

// probeInterval is how often a Redis that did not answer is tried again, where there is
// early data to ask about.
const probeInterval = time.Second

// link is whether Redis answers. While it does not, nobody waits for it.
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

// restore is called when Redis has answered.
func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// begin reports whether it is time for a probe, of which there is one at a time.
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

// probe tries in the background whether Redis answers again, if it is time to.
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

// away notes that Redis does not answer. The client of a cluster is to find out who
// serves it now: it would do so once a minute by itself, and a master that is gone does
// not say who took over.
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

// unanswered makes an awayError of what is no answer of Redis.
func unanswered(err error) error {
	var answer redis.Error
	if err == nil || errors.As(err, &answer) {
		return err
	}
	return &awayError{err}
}

// What Options.Error is told about.
const (
	aboutEarlyData = iota
	aboutSecrets
	subjects
)

// told is what Options.Error knows of: for each subject the states that last, and
// whether Redis answers.
type told struct {
	mu     sync.Mutex
	states [subjects]map[string]bool
	away   bool
}

// say tells Options.Error of what is new: a state that lasts is told once.
func (s *Store) say(subject int, errs ...error) {
	for _, err := range s.told.news(subject, errs) {
		s.opt.Error(err)
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

// stateOf is what stays the same in an error while its reason does: of an answer of
// Redis, which may show addresses and numbers, the word that it begins with.
func stateOf(err error) string {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return err.Error()
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	before, _, _ := strings.Cut(err.Error(), answer.Error())
	return before + code
}
