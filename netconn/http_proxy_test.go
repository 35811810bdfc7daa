package netconn

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// mute says what it has to say, and then nothing, without an end.
type mute struct {
	net.Conn
	says io.Reader
}

func (m *mute) Write(b []byte) (int, error) { return len(b), nil }

func (m *mute) Read(b []byte) (int, error) {
	n, _ := m.says.Read(b)
	return n, nil
}

// TestMuteProxy: a proxy whose connection returns nothing and no error does not hold up the dialer,
// wherever it stops.
func TestMuteProxy(t *testing.T) {
	for _, answer := range []string{"\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x02\x01\x00\x05\x00\x00\x03\x02ab\x00\x50"} {
		for n := range len(answer) + 1 {
			err := socks5(&mute{says: strings.NewReader(answer[:n])}, url.UserPassword("user", "secret"), "localhost:80")
			if want := n < len(answer); errors.Is(err, io.ErrNoProgress) != want || (err != nil) != want {
				t.Errorf("after %q: %v", answer[:n], err)
			}
		}
	}
	tunnel := &roundTripper{outer: &http.Transport{}}
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nX: y"} {
		if err := tunnel.connectThrough(t.Context(), &mute{says: strings.NewReader(answer)}, &url.URL{}, "localhost:80"); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("after %q: %v", answer, err)
		}
	}
}
