package redisstore

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// secretLen is the size of every secret: a ticket key, the cookie secret.
const secretLen = 32

func newSecret() []byte {
	secret := make([]byte, secretLen)
	rand.Read(secret)
	return secret
}

// A secret is a value that a fleet agrees on under a name in Redis.
type secret struct {
	name   string
	life   time.Duration // how long Redis keeps it; 0: forever
	mine   []byte        // this process's value; nil: none
	needed bool          // it is made if no server has it

	shared []byte // the fleet's value; nil: none
	old    string // the value in Redis, if another AEAD sealed it
	err    error
}

// share fetches list from Redis, and puts there what is missing. Since SET NX never
// overwrites, the whole fleet uses what the first server has put. The error means that
// Redis cannot be asked; each secret has its own error.
func (s *Store) share(ctx context.Context, list []secret) error {
	if err := s.fetch(ctx, list); err != nil {
		return err
	}
	put := false
	for i := range list {
		x := &list[i]
		switch {
		case x.err != nil:
			continue
		case x.old != "":
			x.err = s.sealAnew(ctx, x)
		case x.shared == nil && (x.mine != nil || x.needed):
			put = true
			x.err = s.put(ctx, x)
		}
		if isAway(x.err) {
			return x.err
		}
	}
	if !put {
		return nil
	}
	return s.fetch(ctx, list)
}

// fetch gets list from Redis, as far as Redis has it.
func (s *Store) fetch(ctx context.Context, list []secret) error {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	values, err := s.client.MGet(ctx, names...).Result()
	if err != nil {
		return fmt.Errorf("redisstore: cannot fetch from Redis: %w", unanswered(err))
	}
	for i := range list {
		x := &list[i]
		value, ok := values[i].(string)
		if !ok || x.err != nil {
			continue
		}
		var stale bool
		if x.shared, stale, err = s.open(x.name, value); err != nil {
			x.err = fmt.Errorf("redisstore: %s in Redis: %w", x.name, err)
		}
		if x.old = ""; stale {
			x.old = value
		}
	}
	return nil
}

// putInFull sets KEYS[1] even in a Redis that is full: a few secrets cost little, and
// without them there is no resumption.
var putInFull = redis.NewScript(`#!lua flags=allow-oom
return redis.call('SET', KEYS[1], ARGV[1], 'NX', unpack(ARGV, 2))
`)

// put puts a secret into Redis, unless another server was faster.
func (s *Store) put(ctx context.Context, x *secret) error {
	secret := x.mine
	if secret == nil {
		secret = newSecret()
	}
	value := s.seal(x.name, secret)
	err := s.client.SetArgs(ctx, x.name, value, redis.SetArgs{Mode: "NX", TTL: x.life}).Err()
	if redis.HasErrorPrefix(err, "OOM") {
		args := []any{value}
		if x.life > 0 {
			args = append(args, "PX", x.life.Milliseconds())
		}
		err = putInFull.Run(ctx, s.client, []string{x.name}, args...).Err()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redisstore: cannot put %s into Redis: %w", x.name, withoutArguments(unanswered(err)))
	}
	return nil
}

// replace replaces ARGV[1] with ARGV[2].
var replace = redis.NewScript(`
if redis.call('MGET', KEYS[1])[1] == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
end
return 1
`)

// sealAnew seals with AEAD a secret that another AEAD sealed.
func (s *Store) sealAnew(ctx context.Context, x *secret) error {
	args := []any{x.old, s.seal(x.name, x.shared)}
	if x.life > 0 {
		args = append(args, "PX", x.life.Milliseconds())
	}
	if err := replace.Run(ctx, s.client, []string{x.name}, args...).Err(); err != nil {
		return fmt.Errorf("redisstore: cannot seal %s with the new AEAD: %w", x.name, withoutArguments(unanswered(err)))
	}
	return nil
}

// A value in Redis is one of these bytes, followed by the secret, or by a nonce and
// the sealed secret, which is bound to its name.
const (
	unsealed = 1
	sealed   = 2
)

var (
	errDamaged   = errors.New("the value is damaged")
	errSealed    = errors.New("the value is sealed: set Options.AEAD to open it")
	errNotOurs   = errors.New("the value is damaged, or sealed with another key")
	errNotSealed = errors.New("the value is not sealed, but Options.AEAD requires sealed values")
)

func (s *Store) seal(name string, plain []byte) []byte {
	aead := s.opt.AEAD
	if aead == nil {
		return append([]byte{unsealed}, plain...)
	}
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = sealed
	rand.Read(out[1:])
	return aead.Seal(out, out[1:], plain, []byte(name))
}

// open opens a value. It is stale if AEAD must seal it anew.
func (s *Store) open(name, value string) (plain []byte, stale bool, err error) {
	if value == "" || value[0] != unsealed && value[0] != sealed {
		return nil, false, errDamaged
	}
	err = errNotSealed
	if value[0] == sealed {
		err = errSealed
	}
	for i, aead := range append([]cipher.AEAD{s.opt.AEAD}, s.opt.OtherAEADs...) {
		if (aead != nil) != (value[0] == sealed) {
			continue
		}
		if plain, err = openWith(aead, name, value[1:]); err == nil {
			return plain, i > 0 && s.opt.AEAD != nil, nil
		}
	}
	return nil, false, err
}

// openWith opens a value that aead sealed; nil: one that is not sealed.
func openWith(aead cipher.AEAD, name, value string) ([]byte, error) {
	plain := []byte(value)
	if aead != nil {
		n := aead.NonceSize()
		if len(plain) < n {
			return nil, errNotOurs
		}
		var err error
		if plain, err = aead.Open(nil, plain[:n], plain[n:], []byte(name)); err != nil {
			return nil, errNotOurs
		}
	}
	if len(plain) != secretLen {
		return nil, errDamaged
	}
	return plain, nil
}

// withoutArguments reduces the answer of Redis to a command with a secret to its
// first word, because the rest may repeat the secret ("ERR unknown command …, with
// args beginning with …").
func withoutArguments(err error) error {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return err
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	return errors.New("Redis answered " + code)
}
