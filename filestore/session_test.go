package filestore

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// connect makes a connection with name, and reports whether it resumes a session.
func connect(t *testing.T, cache hermetic.SessionCache, server *hermetic.Config, version uint16, name string) bool {
	t.Helper()
	client := &hermetic.Config{InsecureSkipVerify: true, ServerName: name, MaxVersion: version, SessionCache: cache}
	c, err := hermetic.NewEngine(hermetic.TLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := hermetic.NewEngine(hermetic.TLSServer, server)
	if err != nil {
		t.Fatal(err)
	}
	for c.HasOutput() || s.HasOutput() {
		for _, way := range [][2]*hermetic.Engine{{c, s}, {s, c}} {
			for in := way[0].Output(nil); len(in) > 0; {
				o, err := way[1].Open(in)
				if err != nil {
					t.Fatal(err)
				}
				in = in[o.N:]
			}
		}
	}
	return c.State().DidResume
}

func open(t *testing.T, name string) *SessionCache {
	t.Helper()
	f, err := OpenSessionCache(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// files are the names in a folder.
func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestSession: the next process resumes, and so does the next connection of this one.
func TestSession(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		dir := t.TempDir()
		name := filepath.Join(dir, "session")
		server := new(hermetic.Config)
		f := open(t, name)
		if f.Key() != "" || files(t, dir) != "" {
			t.Errorf("a new one: key %q, files %q", f.Key(), files(t, dir))
		}
		if connect(t, f, server, version, "localhost") || !connect(t, f, server, version, "localhost") {
			t.Error("only the second connection of a process is to resume")
		}
		f = open(t, name)
		if f.Key() != "tls:localhost" || files(t, dir) != "session" {
			t.Errorf("key %q, files %q", f.Key(), files(t, dir))
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if connect(t, f, server, version, "other") {
			t.Error("the session of another server was offered")
		}
		if f.Get("tls:other") != nil {
			t.Error("the session of another server was kept")
		}
		if !connect(t, f, server, version, "localhost") || f.Err() != nil {
			t.Errorf("the next process does not resume: %v", f.Err())
		}
		once := f.Get(f.Key()).SingleUse()
		if again := f.Get(f.Key()) == nil; again != once || (files(t, dir) == "") != once {
			t.Errorf("version %#x: used up: %v, files %q", version, again, files(t, dir))
		}
	}
}

func TestSessionErrors(t *testing.T) {
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged")
	if err := os.WriteFile(damaged, []byte("tls:localhost\nwhatever"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		damaged:                             "damaged: hermetic: not a session, or damaged",
		dir:                                 "is a directory",
		filepath.Join(dir, "no", "session"): "session: no file can be written there: no such file or directory",
	} {
		if _, err := OpenSessionCache(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	lost := filepath.Join(dir, "folder", "session")
	os.Mkdir(filepath.Dir(lost), 0o700)
	f := open(t, lost)
	os.Remove(filepath.Dir(lost))
	connect(t, f, new(hermetic.Config), tls.VersionTLS13, "localhost")
	if f.Err() == nil {
		t.Error("that it was not written is not said")
	}
	if f.Get("tls:localhost") == nil {
		t.Error("but this process has it")
	}
}
