package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// secretLen is the size of every secret: a ticket key, the cookie secret.
const secretLen = 32

// A secret is what a fleet agrees on under a name in Redis.
type secret struct {
	name   string
	life   time.Duration // how long Redis keeps it; 0: for ever
	known  []byte        // nil: we do not know it
	needed bool          // it is made if nobody has it
}

// share makes list what Redis has. What it has not it gets from us, and since
// SET NX sets nothing that is there, the fleet has what the first one has put.
func (s *Store) share(ctx context.Context, list []secret) error {
	shared, err := s.fetch(ctx, list)
	if err != nil {
		return err
	}
	var put []string
	for i, x := range list {
		if shared[i] != nil || x.known == nil && !x.needed {
			continue
		}
		mine := x.known
		if mine == nil {
			mine = make([]byte, secretLen)
			rand.Read(mine)
		}
		err := s.client.SetArgs(ctx, x.name, s.seal(x.name, mine), redis.SetArgs{Mode: "NX", TTL: x.life}).Err()
		if err != nil && err != redis.Nil { // Nil: somebody was faster
			return fmt.Errorf("redisstore: cannot put %s into Redis: %w", x.name, withoutArguments(err))
		}
		put = append(put, x.name)
	}
	if len(put) > 0 {
		if shared, err = s.fetch(ctx, list); err != nil {
			return err
		}
	}
	for i := range list {
		if shared[i] == nil && list[i].needed {
			return fmt.Errorf("redisstore: %s was put into Redis and cannot be read there", list[i].name)
		}
		if shared[i] != nil {
			list[i].known = shared[i]
		}
	}
	return nil
}

// fetch returns what Redis has of list, nil for what it has not: all of it, or an
// error.
func (s *Store) fetch(ctx context.Context, list []secret) ([][]byte, error) {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	values, err := s.client.MGet(ctx, names...).Result()
	if err != nil {
		return nil, fmt.Errorf("redisstore: cannot fetch from Redis: %w", err)
	}
	found := make([][]byte, len(list))
	for i := range found {
		if value, ok := values[i].(string); ok {
			if found[i], err = s.open(names[i], value); err != nil {
				return nil, fmt.Errorf("redisstore: %s in Redis: %w", names[i], err)
			}
		}
	}
	return found, nil
}

// A value in Redis is one of these, and then the secret, or a nonce and the sealed
// secret, which is bound to its name.
const (
	inClear = 1
	sealed  = 2
)

var (
	errDamaged  = errors.New("the value is damaged")
	errSealed   = errors.New("the value is sealed, and there is no AEAD to open it")
	errNotOurs  = errors.New("the value is damaged, or sealed with another key")
	errNotClear = errors.New("the value is in clear, where only sealed ones are trusted")
)

func (s *Store) seal(name string, plain []byte) []byte {
	aead := s.opt.AEAD
	if aead == nil {
		return append([]byte{inClear}, plain...)
	}
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = sealed
	rand.Read(out[1:])
	return aead.Seal(out, out[1:], plain, []byte(name))
}

func (s *Store) open(name, value string) ([]byte, error) {
	aead := s.opt.AEAD
	switch {
	case value == "" || value[0] != inClear && value[0] != sealed:
		return nil, errDamaged
	case value[0] == inClear && aead != nil:
		return nil, errNotClear
	case value[0] == sealed && aead == nil:
		return nil, errSealed
	}
	plain := []byte(value[1:])
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
