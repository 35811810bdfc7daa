package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// sessionFile is a cache of one server's session in a file, for the next run: a line
// with its key, and the session.
type sessionFile struct {
	name    string
	key     string // of the session that was there; "": none was
	loaded  *hermetic.Session
	failed  error     // what kept a session from being saved
	notices io.Writer // where it is said that the session is another server's
}

// openSessionFile reads the session that is there, if there is one.
func openSessionFile(name string, notices io.Writer) (*sessionFile, error) {
	f := &sessionFile{name: name, notices: notices}
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return f, nil
	case err != nil:
		return nil, err
	}
	key, data, _ := bytes.Cut(data, []byte("\n"))
	f.key, f.loaded = string(key), new(hermetic.Session)
	if err := f.loaded.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("--session: %s: %w: delete it, or give another file", name, err)
	}
	return f, nil
}

// Get returns the session once: one of TLS 1.3 is not offered twice.
func (f *sessionFile) Get(key string) *hermetic.Session {
	if f.another(key) {
		fmt.Fprintf(f.notices, "--session: %s keeps its session of %s; give another file for one of %s\n\n", f.name, f.key, key)
		return nil
	}
	s := f.loaded
	f.loaded = nil
	if s != nil && s.SingleUse() {
		os.Remove(f.name)
	}
	return s
}

// another reports whether the file has the session of another server, or of TLS where
// key is of DTLS.
func (f *sessionFile) another(key string) bool { return f.key != "" && f.key != key }

// Put saves the session, whole or not at all; the last one stays.
func (f *sessionFile) Put(key string, s *hermetic.Session) {
	if f.another(key) {
		return // Get has said so
	}
	data, err := s.MarshalBinary()
	if err == nil {
		err = replaceFile(f.name, append([]byte(key+"\n"), data...))
	}
	if err != nil {
		f.failed = err
	}
}

func replaceFile(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// parsePSK reads IDENTITY:KEY, the key in hexadecimal.
func parsePSK(text string) ([]hermetic.PSK, error) {
	if text == "" {
		return nil, nil
	}
	i := strings.LastIndexByte(text, ':')
	if i < 1 {
		return nil, errors.New("--psk is not IDENTITY:KEY")
	}
	key, err := hex.DecodeString(text[i+1:])
	if err != nil || len(key) < 16 {
		return nil, errors.New("--psk: the key is not at least 32 hexadecimal digits")
	}
	return []hermetic.PSK{{Identity: []byte(text[:i]), Key: key}}, nil
}
