package redisstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxAhead is how far the Until of a question can be ahead.
	maxAhead = 30 * time.Second
	// memory is how long an id is remembered. A replay is asked about no more than
	// 20 s after the first time by the clock of one server, or its ticket age would
	// not fit, and the answer counts no later than its Until. What is left is for
	// clocks that differ.
	memory = 2 * maxAhead
)

// ErrForgetful is Redis that may have forgotten early data of the last minute.
var ErrForgetful = errors.New("redisstore: Redis may have forgotten early data of the last minute: it is new, was restarted, emptied or replaced, or evicts")

// remember remembers an id (KEYS[2]) for some milliseconds (ARGV[1]), if its
// memory reaches back that far. RFC 9846, Section 8.2: "When implementations are
// freshly started, they SHOULD reject 0-RTT as long as any portion of their
// recording window overlaps the startup time." KEYS[1] says since when nothing was
// forgotten, by whom: another process may have read an old file, or have been a
// replica that lags; and one that has evicted something may have evicted an id.
var remember = redis.NewScript(`
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
if not run or not evicted then
  return -1
end
local who = run .. '/' .. evicted
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local by, since = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
if by ~= who or now < tonumber(since) then
  redis.call('SET', KEYS[1], string.format('%s %.0f', who, now))
  return -1
end
if now - since < tonumber(ARGV[1]) then
  return -1
end
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[1]) then
  return 1
end
return 0
`)

// Unseen is for [hermetic.Config].ReplayGuard: it asks Redis whether early data is
// new, and remembers it. It waits for Redis, no longer than Options.Timeout.
func (s *Store) Unseen(id []byte, until time.Time) bool {
	unseen, err := s.ask(id, until)
	if err != nil {
		s.opt.Error(err)
	}
	return unseen
}

func (s *Store) ask(id []byte, until time.Time) (unseen bool, err error) {
	left := until.Sub(s.opt.Time())
	switch {
	case left <= 0:
		return false, errors.New("redisstore: it is too late to ask about this early data")
	case left > maxAhead:
		return false, fmt.Errorf("redisstore: early data is not remembered for longer than %v", maxAhead)
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(left, s.opt.Timeout))
	defer cancel()
	names := []string{s.name("since"), s.name("seen:" + hex.EncodeToString(id))}
	verdict, err := remember.Run(ctx, s.client, names, memory.Milliseconds()).Int()
	switch {
	case err != nil:
		return false, fmt.Errorf("redisstore: cannot ask Redis about early data: %w", err)
	case verdict < 0:
		return false, ErrForgetful
	}
	return verdict > 0, nil
}
