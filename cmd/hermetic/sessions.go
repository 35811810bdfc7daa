package main

import (
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/filestore"
)

// sessionFile is the session of --session.
type sessionFile struct {
	*filestore.SessionCache
	name    string
	empty   bool      // there was none
	notices io.Writer // where to say that the session is another server's
}

func openSessionFile(name string, notices io.Writer) (*sessionFile, error) {
	f, err := filestore.OpenSessionCache(name)
	if err != nil {
		return nil, misuse("--session: %w", err)
	}
	return &sessionFile{f, name, f.Key() == "", notices}, nil
}

// Get returns the file's session, unless it is another server's, or of TLS where key is
// of DTLS.
func (f *sessionFile) Get(key string) *hermetic.Session {
	if kept := f.Key(); kept != "" && kept != key {
		fmt.Fprintf(f.notices, "--session: %s has a session of %s, which is kept: give another file for %s\n\n", f.name, kept, key)
	}
	return f.SessionCache.Get(key)
}
