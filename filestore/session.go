// Package filestore keeps a client's session in a file, for the next process.
//
//	import "github.com/hermetic-tls/hermetic/filestore"
//
//	sessions, err := filestore.OpenSessionCache("session.bin")
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

// A SessionCache is a [hermetic.SessionCache] that keeps the newest session of one server in
// a file: a line with its key, and the session. The file belongs to the first server
// whose session is put; sessions of other servers are not kept. Protect the file:
// anyone who reads it can resume the session. Its methods may be called from
// many goroutines of one process; two processes must not share a file.
type SessionCache struct {
	name string

	mu      sync.Mutex
	key     string            // the server's; "": none yet
	session *hermetic.Session // nil: none, or it was used
	err     error             // why a session was not written
}

// OpenSessionCache reads the session in the file, if the file exists. If the file is damaged,
// the error is a [hermetic.ErrBadSession]; it is an error, too, if the directory does not permit
// new files.
func OpenSessionCache(name string) (*SessionCache, error) {
	f := &SessionCache{name: name}
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
		var path *fs.PathError // its name is not the one that the caller gave
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("%s: no file can be written there: %w", name, err)
	}
	return f, errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}

// Key returns the key of the server whose session is kept, or "" if there is none yet.
func (f *SessionCache) Key() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key
}

// Err returns why the newest session could not be written, or nil.
func (f *SessionCache) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Get returns the session, or nil if there is none for key. A session that is SingleUse is
// returned once, and its file removed.
func (f *SessionCache) Get(key string) *hermetic.Session {
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

// Put writes the session to the file atomically, unless the file belongs to another server. If
// that fails, Err returns the reason.
func (f *SessionCache) Put(key string, s *hermetic.Session) {
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

func (f *SessionCache) replace(data []byte) error {
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

// temporary opens a file in the same directory that only this user may read.
func (f *SessionCache) temporary() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(f.name), filepath.Base(f.name)+".*")
}
