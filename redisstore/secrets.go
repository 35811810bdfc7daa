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

// A secret is what a fleet agrees on under a name in Redis.
type secret struct {
	name   string
	life   time.Duration // how long Redis keeps it; 0: forever
	mine   []byte        // what this process has; nil: nothing
	needed bool          // it is made if nobody has it

	shared []byte // what the fleet has; nil: nothing
	old    string // the value in Redis, if another AEAD has sealed it
	err    error
}

// share makes list what Redis has. What it has not it gets from us, and since
// SET NX sets nothing that is there, the fleet has what the first one has put.
// The error is Redis that cannot be asked. Each secret has an error of its own.
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

// fetch takes what Redis has of list.
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

// putInFull puts KEYS[1] even into a Redis that is full: a few secrets are no load, and
// without them there is no resumption.
var putInFull = redis.NewScript(`#!lua flags=allow-oom
return redis.call('SET', KEYS[1], ARGV[1], 'NX', unpack(ARGV, 2))
`)

// put puts a secret into Redis, unless somebody was faster.
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

// replace puts ARGV[2] in the place of ARGV[1].
var replace = redis.NewScript(`
if redis.call('MGET', KEYS[1])[1] == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
end
return 1
`)

// sealAnew seals a secret that another AEAD has sealed with the one that seals now.
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

// A value in Redis is one of these, and then the secret, or a nonce and the sealed
// secret, which is bound to its name.
const (
	unsealed = 1
	sealed   = 2
)

var (
	errDamaged   = errors.New("the value is damaged")
	errSealed    = errors.New("the value is sealed, and there is no AEAD to open it")
	errNotOurs   = errors.New("the value is damaged, or sealed with another key")
	errNotSealed = errors.New("the value is not sealed, where only sealed ones are trusted")
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

// open opens a value. It is stale if AEAD is to seal it anew.
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

// openWith opens what aead has sealed; nil: what is not sealed.
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

// withoutArguments is what Redis has answered to a command that has a secret,
// without what it may have repeated of it ("ERR unknown command …, with args
// beginning with …"): only the word that it begins with.
func withoutArguments(err error) error {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return err
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	return errors.New("Redis answers " + code)
}
