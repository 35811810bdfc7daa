// Package filestore keeps a client's session in a file, for the next process.
//
//	import "github.com/hermetic-tls/hermetic/filestore"
//
//	sessions, err := filestore.OpenSession("session.bin")
//	…
//	cfg.SessionCache = sessions
package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hermetic-tls/hermetic"
)

// A Session is a [hermetic.SessionCache] of one server's session, the newest, in a
// file: a line with its key, and the session. The file is of the first server whose
// session comes; those of others are not kept. Whoever reads it can pose as this
// client's session.
type Session struct {
	name string

	mu      sync.Mutex
	key     string            // of the server; "": none yet
	session *hermetic.Session // nil: none, or used up
	err     error             // what kept one from being written
}

// OpenSession reads the session in the file, if there is one. It is an error if that
// is damaged, or where no file can be written beside it.
func OpenSession(name string) (*Session, error) {
	f := &Session{name: name}
	switch data, err := os.ReadFile(name); {
	case err == nil:
		key, data, _ := bytes.Cut(data, []byte("\n"))
		f.key, f.session = string(key), new(hermetic.Session)
		if err := f.session.UnmarshalBinary(data); err != nil {
			return nil, fmt.Errorf("%s: %w: delete it, or give another file", name, err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	tmp, err := f.temporary()
	if err != nil {
		var path *fs.PathError // of a name that the caller did not give
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("%s: no file can be written there: %w", name, err)
	}
	return f, errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}

// Key is that of the server whose session is kept; "": there is none yet.
func (f *Session) Key() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key
}

// Err is what kept the newest session from being written, or nil.
func (f *Session) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Get returns the session; one that is SingleUse once, and then it is not in the file
// any more.
func (f *Session) Get(key string) *hermetic.Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key != key {
		return nil
	}
	s := f.session
	if s != nil && s.SingleUse() {
		f.session = nil
		os.Remove(f.name)
	}
	return s
}

// Put writes the session to the file, whole or not at all.
func (f *Session) Put(key string, s *hermetic.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key != "" && f.key != key {
		return
	}
	f.key, f.session = key, s
	data, err := s.MarshalBinary()
	if err == nil {
		err = f.replace(append([]byte(key+"\n"), data...))
	}
	f.err = err
}

func (f *Session) replace(data []byte) error {
	tmp, err := f.temporary()
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), f.name)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// temporary opens a file beside the session's, which nobody else may read.
func (f *Session) temporary() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(f.name), filepath.Base(f.name)+".*")
}
