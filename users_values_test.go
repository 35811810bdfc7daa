package hermetic_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// TestZeroSession: a Session that nothing was read into, as after a failed UnmarshalBinary, is
// empty and expired, and a cache may meet it.
func TestZeroSession(t *testing.T) {
	s := new(hermetic.Session)
	if err := s.UnmarshalBinary([]byte("damaged")); !errors.Is(err, hermetic.ErrBadSession) {
		t.Fatal(err)
	}
	if s.Version() != 0 || s.ServerName() != "" || s.MaxEarlyData() != 0 || s.SingleUse() || !s.Expires().Before(time.Now()) {
		t.Errorf("it says %v, %q, %v, %v, %v", s.Version(), s.ServerName(), s.MaxEarlyData(), s.SingleUse(), s.Expires())
	}
	cache := hermetic.NewSessionCache(1)
	cache.Put("key", s)
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{ServerName: "localhost", SessionCache: always{s}})
	if err != nil {
		t.Fatal(err)
	}
	if len(client.Output(nil)) == 0 || client.State().DidResume {
		t.Error("the client does not begin a full handshake")
	}
}

// always is a SessionCache with one session for every server.
type always struct{ *hermetic.Session }

func (a always) Get(string) *hermetic.Session { return a.Session }
func (always) Put(string, *hermetic.Session)  {}

func TestFileErrorText(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "a.pem", Err: fs.ErrNotExist}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"of package os": {missing, "a.pem: can't parse certificate: file does not exist"},
		"another":       {errors.New("no PEM block"), "a.pem: can't parse certificate: no PEM block"},
		"none":          {nil, "a.pem: can't parse certificate"},
	} {
		e := &hermetic.FileError{File: "a.pem", Problem: "can't parse certificate", Err: test.err}
		if e.Error() != test.want {
			t.Errorf("%s: %q, want %q", name, e.Error(), test.want)
		}
	}
	if !errors.Is(&hermetic.FileError{Err: missing}, fs.ErrNotExist) {
		t.Error("the error of package os is not found")
	}
}
