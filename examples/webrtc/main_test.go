package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/webrtctls"
)

const print = "sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD"

// anOffer is like that of a browser.
var anOffer = strings.ReplaceAll(`v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=fingerprint:`+print+`
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=setup:actpass
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 97 96
c=IN IP4 0.0.0.0
a=mid:1
a=candidate:1 1 udp 2122260223 127.0.0.1 5000 typ host
a=candidate:1 1 udp 2122260223 a.local 5000 typ host
a=candidate:nonsense
a=rtpmap:97 H264/90000
a=rtpmap:96 VP8/90000
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:2
a=sctp-port:5000
`, "\n", "\r\n")

func TestParseOffer(t *testing.T) {
	o, err := parseOffer([]byte(anOffer))
	if err != nil {
		t.Fatal(err)
	}
	if o.ufrag != "abcd" || o.setup != webrtctls.SetupActPass || len(o.fingerprints) != 1 || len(o.candidates) != 3 || len(o.sections) != 3 {
		t.Errorf("it is %+v", o)
	}
	for i, want := range []string{"", "video", "data"} {
		if o.sections[i].protocol != want {
			t.Errorf("section %d is %q, want %q", i, o.sections[i].protocol, want)
		}
	}
	for name, change := range map[string]func(string) string{
		"empty":              func(string) string { return "" },
		"not SDP":            func(string) string { return "hello" },
		"no section":         func(s string) string { return s[:strings.Index(s, "m=audio")] },
		"no fingerprint":     func(s string) string { return strings.Replace(s, "a=fingerprint", "a=other", 1) },
		"a weak fingerprint": func(s string) string { return strings.Replace(s, "sha-256", "md5", 1) },
		"holdconn":           func(s string) string { return strings.Replace(s, "actpass", "holdconn", 1) },
		"no setup":           func(s string) string { return strings.Replace(s, "a=setup", "a=other", 1) },
	} {
		if _, err := parseOffer([]byte(change(anOffer))); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzParseOffer: whatever a browser posts, there is an answer that can be parsed, or an error.
func FuzzParseOffer(f *testing.F) {
	f.Add([]byte(anOffer))
	f.Fuzz(func(t *testing.T, text []byte) {
		if o, err := parseOffer(text); err == nil {
			(&endpoint{setup: o.setup.Answer(), fingerprint: o.fingerprints[0]}).answer(o)
		}
	})
}

// loopback is a server on loopback.
func loopback(t *testing.T) (*server, *httptest.Server) {
	s := &server{sessions: make(map[string]*session), ips: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)}}
	h := httptest.NewServer(s.handler())
	t.Cleanup(func() {
		h.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, session := range s.sessions {
			session.cancel()
		}
	})
	return s, h
}

func post(t *testing.T, url, body string) (status int, answer map[string]string) {
	t.Helper()
	resp, err := http.Post(url, "application/sdp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer
}

// TestAnswer: the answer has the sections of the offer and our address, which moves when ICE
// restarts; the certificate stays.
func TestAnswer(t *testing.T) {
	_, h := loopback(t)
	status, first := post(t, h.URL+"/offer?setup=passive&version=1.3", anOffer)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	for _, want := range []string{
		"\r\nm=audio 0 ", "\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
		"\r\na=group:BUNDLE 1 2\r\n", "\r\na=setup:passive\r\n", " 127.0.0.1 ",
	} {
		if !strings.Contains(first["sdp"], want) {
			t.Errorf("the answer has no %q:\n%s", want, first["sdp"])
		}
	}
	status, second := post(t, h.URL+"/offer?session="+first["session"], strings.ReplaceAll(anOffer, "abcd", "efgh"))
	if status != http.StatusOK || second["session"] != first["session"] || !strings.Contains(second["sdp"], " 127.0.0.2 ") {
		t.Errorf("the restart: %d, %v", status, second)
	}
	if a, b := line(first["sdp"], "a=fingerprint"), line(second["sdp"], "a=fingerprint"); a == "" || a != b {
		t.Errorf("the certificate was %q, is %q", a, b)
	}
	if a, b := line(first["sdp"], "a=ice-pwd"), line(second["sdp"], "a=ice-pwd"); a == b {
		t.Errorf("the credentials are the same: %q", a)
	}
}

func line(sdp, name string) string {
	for l := range strings.SplitSeq(sdp, "\r\n") {
		if strings.HasPrefix(l, name) {
			return l
		}
	}
	return ""
}

// TestRefusals: what cannot be answered gets a reason, and is not kept.
func TestRefusals(t *testing.T) {
	s, h := loopback(t)
	for query, body := range map[string]string{
		"":                  "hello",
		"?session=unknown":  anOffer,
		"?setup=actpass":    anOffer,
		"?setup=nonsense":   anOffer,
		"?version=1.1":      anOffer,
		"?version=1.3&huge": strings.Repeat("a=x\r\n", 20<<10),
	} {
		if status, _ := post(t, h.URL+"/offer"+query, body); status < 400 {
			t.Errorf("%s: %d", query, status)
		}
	}
	if n := len(s.sessions); n != 0 {
		t.Errorf("%d sessions are kept", n)
	}
	r, _ := http.NewRequest("POST", h.URL+"/offer", strings.NewReader(anOffer))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of somebody else: %d", resp.StatusCode)
	}
}

// TestSessionsAreBounded: pages that never connect fill no memory, and their sessions end.
func TestSessionsAreBounded(t *testing.T) {
	s, h := loopback(t)
	for i := range maxSessions + 2 {
		status, _ := post(t, h.URL+"/offer", anOffer)
		if want := i < maxSessions; want != (status == http.StatusOK) {
			t.Fatalf("session %d: %d", i, status)
		}
	}
	s.mu.Lock()
	for _, session := range s.sessions {
		session.cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
	if n := len(s.sessions); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
