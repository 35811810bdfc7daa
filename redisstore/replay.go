package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxAhead is how far in the future the Until of a question can be.
	maxAhead = 30 * time.Second
	// clockTolerance is how far the clocks of a server and of Redis may be apart.
	clockTolerance = 2 * time.Second
	// memory is how long an id is remembered, by the clock of Redis. By the clocks of
	// the servers, the ticket ages allow a replay to be 20 s younger than the original,
	// and a question is asked up to 30 s later. In both cases a server's clock and that
	// of Redis differ by up to 2 s, and so do the clocks of two machines on which Redis
	// ran, as seen by the servers that used both: 20 + 30 + 2*2 + 2*2 < 60.
	memory = 60 * time.Second
	// ticketIDs is how many ids of one ticket are remembered: see hermetic.ReplayGuard.
	ticketIDs = 4
	// idLen is the length of an engine's ids. The first half identifies the ticket.
	idLen = 32
)

// Errors of the guard, as passed to Options.OnError.
var (
	// ErrForgetful means that Redis may have forgotten early data of the last minute.
	ErrForgetful = errors.New("redisstore: Redis may have forgotten early data of the last minute: it is new, or it was restarted, emptied or replaced, or it lost keys")

	// ErrClocks means that the clocks of this server and of Redis differ by more than two
	// seconds, or that the clock of Redis was set back.
	ErrClocks = errors.New("redisstore: the clocks of this server and of Redis differ by more than 2s, or that of Redis was set back: synchronize them")

	// ErrFull means that the guard already remembers Options.MaxIDs ids.
	ErrFull = errors.New("redisstore: more early data than Options.MaxIDs: early data is rejected")

	errReplica = errors.New("redisstore: the client is connected to a replica, not to a master")
)

// The verdicts of the script.
const (
	isNew = iota
	isSeen
	isForgetful
	isClocks
	isFull
	isReplica
)

var verdicts = map[int64]error{isForgetful: ErrForgetful, isClocks: ErrClocks, isFull: ErrFull, isReplica: errReplica}

// remember decides whether an id is new, and remembers it.
//
// KEYS[1] says what KEYS[2] and KEYS[3], the ids of two generations, must hold. None of
// them expires, because a step of the clock would delete them. An id is a field, named by
// its ticket and a number, so that a ticket has few. The guard answers only if its memory is
// whole (RFC 9846, Section 8.2: "When implementations are freshly started, they SHOULD
// reject 0-RTT as long as any portion of their recording window overlaps the startup
// time"):
//
//   - The history is the same, by the replication ID: it changes with each restart and
//     whenever a replica takes over.
//   - The generations have as many ids as were put there. This detects evictions,
//     deletions, and a slot that was migrated in part.
//   - The state is not older than this server has seen it. This detects an old state that
//     comes back: SWAPDB, a failback to a master that was cut off, RELOAD from a file.
//   - The clock of Redis agrees with the server's, and has not been set back.
var remember = redis.NewScript(`
local NEW, SEEN, FORGETFUL, CLOCKS, FULL, REPLICA = 0, 1, 2, 3, 4, 5
local ticket, hello = ARGV[1], ARGV[2]
local earliest, latest, memory = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most, each = tonumber(ARGV[6]), tonumber(ARGV[7])
local knownBegan, knownCount = tonumber(ARGV[8]), tonumber(ARGV[9])

local info = redis.call('INFO', 'replication')
local history = string.match(info, 'master_replid:(%x+)')
if not history or not string.find(info, 'role:master', 1, true) then
  return {REPLICA, 0, 0}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now < earliest or now > latest then
  return {CLOCKS, 0, 0}
end

local state = redis.pcall('HMGET', KEYS[1], 'history', 'began', 'since', 'last', 'turned', 'young', 'older', 'count')
if state.err then
  state = {}
end
local n = {}
for i = 2, 8 do
  n[i] = tonumber(state[i] or '')
end
local began, since, last, turned, young, older, count = n[2], n[3], n[4], n[5], n[6], n[7], n[8]
local whole = state[1] == history and began and since and last and turned and young and older and count and
  redis.pcall('HLEN', KEYS[2]) == young and redis.pcall('HLEN', KEYS[3]) == older and
  (began > knownBegan or began == knownBegan and count >= knownCount)
if not whole then
  began, since = math.max(now, knownBegan + 1, (began or 0) + 1), math.max(now, last or 0)
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'history', history, 'began', began, 'since', since, 'last', since, 'turned', now,
    'young', 0, 'older', 0, 'count', 0)
  return {FORGETFUL, began, 0}
end
if now < last then
  return {CLOCKS, began, count}
end

redis.call('HSET', KEYS[1], 'last', now) -- first: a Redis that is full refuses the first write alone
if now - turned >= memory then
  redis.call('UNLINK', KEYS[3])
  if young > 0 then
    redis.call('RENAME', KEYS[2], KEYS[3])
  end
  young, older = 0, young
  redis.call('HSET', KEYS[1], 'turned', now, 'young', young, 'older', older)
end
if now - since < memory then
  return {FORGETFUL, began, count}
elseif ticket == '' then
  return {NEW, began, count}
elseif young + older >= most then
  return {FULL, began, count}
end
local names = {}
for i = 1, each do
  names[i] = ticket .. i
end
local used, free = 0, nil
local youngIDs, olderIDs = redis.call('HMGET', KEYS[2], unpack(names)), redis.call('HMGET', KEYS[3], unpack(names))
for i = 1, each do
  if youngIDs[i] == hello or olderIDs[i] == hello then
    return {SEEN, began, count}
  end
  used = used + (youngIDs[i] and 1 or 0) + (olderIDs[i] and 1 or 0)
  if not youngIDs[i] then
    free = names[i]
  end
end
if used >= each then
  return {SEEN, began, count}
end
redis.call('HSET', KEYS[2], free, hello)
redis.call('HSET', KEYS[1], 'young', young + 1, 'count', count + 1)
return {NEW, began, count + 1}
`)

// A position is how far a Store has seen the guard's state advance: when its memory
// began, and how many ids were accepted since.
type position struct{ began, count int64 }

func (p position) before(other position) bool {
	return p.began < other.began || p.began == other.began && p.count < other.count
}

// Unseen is for [hermetic.Config].ReplayGuard: it asks Redis whether early data is
// new, and remembers it. It waits for Redis no longer than Options.Timeout. After
// Redis has not answered, early data is rejected without waiting until Redis does.
func (s *Store) Unseen(id []byte, until time.Time) bool {
	if !s.link.up() {
		s.probe()
		return false
	}
	unseen, err := s.ask(id, until)
	s.say(aboutEarlyData, err)
	if isAway(err) {
		s.away()
		s.probe()
	}
	return unseen
}

func (s *Store) ask(id []byte, until time.Time) (unseen bool, err error) {
	left := until.Sub(s.opt.Time())
	switch {
	case len(id) == 0:
		return false, errors.New("redisstore: early data without an id")
	case left <= 0:
		return false, errors.New("redisstore: the time to ask about this early data has passed")
	case left > maxAhead:
		return false, fmt.Errorf("redisstore: early data is remembered for no longer than %v", maxAhead)
	}
	ticket, hello := id, id
	if len(id) == idLen {
		ticket, hello = id[:idLen/2], id[idLen/2:]
	}
	return s.run(context.Background(), ticket, hello, min(left, s.opt.Timeout))
}

// touch starts the guard's memory, and learns its position.
func (s *Store) touch(ctx context.Context) error {
	_, err := s.run(ctx, nil, nil, s.opt.Timeout)
	return err
}

// run runs the script, within a time limit.
func (s *Store) run(ctx context.Context, ticket, hello []byte, wait time.Duration) (unseen bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	now, known := s.opt.Time(), s.known()
	// The script runs between now and now+wait by the clock of this server.
	answer, err := remember.Run(ctx, s.client, []string{s.name("guard"), s.name("young"), s.name("older")},
		ticket, hello, now.Add(-clockTolerance).UnixMilli(), now.Add(wait+clockTolerance).UnixMilli(), memory.Milliseconds(),
		s.opt.MaxIDs, min(ticketIDs, max(1, s.opt.MaxIDs/4)), known.began, known.count).Int64Slice()
	switch {
	case err != nil:
		return false, fmt.Errorf("redisstore: cannot ask Redis about early data: %w", unanswered(err))
	case len(answer) != 3:
		return false, errors.New("redisstore: Redis sent an invalid answer about early data")
	}
	s.saw(position{answer[1], answer[2]})
	return answer[0] == isNew, verdicts[answer[0]]
}

// known is the guard's position, as far as this Store has seen.
func (s *Store) known() position {
	s.positionMu.Lock()
	defer s.positionMu.Unlock()
	return s.position
}

func (s *Store) saw(p position) {
	s.positionMu.Lock()
	defer s.positionMu.Unlock()
	if s.position.before(p) {
		s.position = p
	}
}
