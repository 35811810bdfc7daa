package process

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

var requestCases = []struct {
	name, in string
	want     request // with size -1 for all of in
}{
	{"a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", request{-1, 200, false, false}},
	{"what follows is another one", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /", request{27, 200, false, false}},
	{"HEAD", "HEAD / HTTP/1.1\r\nhost:a\r\n\r\n", request{-1, 200, true, false}},
	{"close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", request{-1, 200, false, true}},
	{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", request{-1, 200, false, true}},
	{"HTTP/1.0, to be kept", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", request{-1, 200, false, false}},
	{"content", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET", request{49, 200, false, false}},
	{"content that is incomplete", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", request{}},
	{"the same length twice", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", request{-1, 200, false, false}},
	{"incomplete", "GET / HTTP/1.1\r\nHost: a\r\n", request{}},
	{"nothing", "", request{}},
	{"another path", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", request{-1, 404, false, false}},
	{"another method", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", request{-1, 405, false, false}},
	{"no host", "GET / HTTP/1.1\r\n\r\n", request{-1, 400, false, true}},
	{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", request{-1, 400, false, true}},
	{"another protocol", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", request{-1, 400, false, true}},
	{"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", request{-1, 400, false, true}},
	{"a field without a colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", request{-1, 400, false, true}},
	{"a space in a name", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", request{-1, 400, false, true}},
	{"two lengths", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", request{-1, 400, false, true}},
	{"a negative length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", request{-1, 400, false, true}},
	{"a length with a sign", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", request{-1, 400, false, true}},
	{"a huge length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", request{-1, 413, false, true}},
	{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", request{-1, 501, false, true}},
	{"a head without an end", "GET / HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", maxHead), request{-1, 431, false, true}},
}

func TestParseRequest(t *testing.T) {
	for _, c := range requestCases {
		if c.want.size < 0 {
			c.want.size = len(c.in)
		}
		if got := parseRequest([]byte(c.in)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// FuzzRequest: a request is read to its end or not at all, and more input does not change it.
func FuzzRequest(f *testing.F) {
	for _, c := range requestCases {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := parseRequest(in)
		switch {
		case r.size < 0 || r.size > len(in):
			t.Fatalf("%d of %d bytes", r.size, len(in))
		case r.size == 0 && r != (request{}):
			t.Fatalf("an incomplete request is %+v", r)
		case r.size > 0 && http.StatusText(r.status) == "":
			t.Fatalf("status %d", r.status)
		}
		if more := parseRequest(append(bytes.Clone(in), "GET / HTTP/1.1\r\n\r\n"...)); r.size > 0 && !r.closing && more != r {
			t.Fatalf("%+v, and with more input %+v", r, more)
		}
	})
}

func TestAnswer(t *testing.T) {
	h := new(handler)
	h.OnTick()
	answer := func(r request) string { return string(h.answer(nil, r)) }
	length := fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body))
	if got := answer(request{status: 200}); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\nDate: ") || !strings.Contains(got, length) || !strings.HasSuffix(got, "\r\n\r\n"+string(body)) {
		t.Errorf("%q", got)
	}
	if got := answer(request{status: 200, head: true}); !strings.Contains(got, length) || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("HEAD: %q", got)
	}
	if got := answer(request{status: 404, closing: true}); !strings.HasPrefix(got, "HTTP/1.1 404 Not Found\r\n") || !strings.HasSuffix(got, "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") {
		t.Errorf("404: %q", got)
	}
}
