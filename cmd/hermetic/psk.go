package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hermetic-tls/hermetic"
)

// pskOptions are the external pre-shared keys.
type pskOptions struct{ keys []hermetic.PSK }

func (o *pskOptions) addTo(f *pflag.FlagSet, effect string) {
	f.Var((*pskFlag)(o), "psk", "external pre-shared key, `IDENTITY:KEY`, the key in hexadecimal; repeat it for more keys; "+effect)
	f.Var((*pskFileFlag)(o), "psk-file", "`FILE` with one IDENTITY:KEY a line, for more keys; lines that start with # are comments")
}

// minPSK is the length of the shortest key, in bytes (RFC 9257, Section 4.2: 128 bits of entropy).
const minPSK = 16

var (
	errPSKForm = errors.New("not IDENTITY:KEY")
	errPSKHex  = errors.New("the key has a character that is not a hexadecimal digit")
)

// add adds the key of a line. No error quotes it: a part of it may be the key.
func (o *pskOptions) add(line string) error {
	i := strings.LastIndexByte(line, ':')
	if i < 1 {
		return errPSKForm
	}
	digits := line[i+1:]
	key, err := hex.DecodeString(digits)
	switch {
	case errors.Is(err, hex.ErrLength), err == nil && len(key) < minPSK:
		return fmt.Errorf("the key has %d hexadecimal digits: give an even number of at least %d", len(digits), 2*minPSK)
	case err != nil:
		return errPSKHex
	}
	identity := []byte(line[:i])
	for _, k := range o.keys {
		if bytes.Equal(k.Identity, identity) {
			return fmt.Errorf("a second key for the identity %s", shown(fromPeer(line[:i])))
		}
	}
	o.keys = append(o.keys, hermetic.PSK{Identity: identity, Key: key})
	return nil
}

// pskFlag adds a key.
type pskFlag pskOptions

func (f *pskFlag) repeats()       {}
func (f *pskFlag) Type() string   { return "psk" }
func (f *pskFlag) String() string { return "" }

func (f *pskFlag) Set(text string) error { return (*pskOptions)(f).add(text) }

// pskFileFlag adds the keys of a file.
type pskFileFlag pskOptions

func (f *pskFileFlag) repeats()       {}
func (f *pskFileFlag) Type() string   { return "file" }
func (f *pskFileFlag) String() string { return "" }

func (f *pskFileFlag) Set(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return (*pskOptions)(f).addFile(name, string(data))
}

// addFile adds the keys of a file's lines.
func (o *pskOptions) addFile(name, data string) error {
	before, number := len(o.keys), 0
	for line := range strings.Lines(data) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := o.add(line); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	if len(o.keys) == before {
		return fmt.Errorf("%s has no key: write one IDENTITY:KEY a line", name)
	}
	return nil
}
