package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/trace"
)

// TestOwnHandshake: each visitor sees the drawing of the handshake that brought it, over HTTP/1.1 and HTTP/2.
func TestOwnHandshake(t *testing.T) {
	address, _ := startServer(t, pageServer())
	names := []string{"first.example", "second.example", "third.example"}
	for i, name := range names {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: name}, ForceAttemptHTTP2: i > 0}
		defer transport.CloseIdleConnections() // all connections are open at once
		for range 2 {
			resp, err := (&http.Client{Transport: transport}).Get("https://" + address)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range names {
				shown := strings.Contains(string(body), "server name &#34;"+other+"&#34;</span>")
				if shown != (other == name) {
					t.Errorf("the page for %s: %s is shown: %v", name, other, shown)
				}
			}
			for _, want := range []string{"TLS 1.3 handshake in", "{Finished}", "Messages, as the server sees them"} {
				if !strings.Contains(string(body), want) {
					t.Errorf("there is no %s", want)
				}
			}
			if resp.Header.Get("Content-Security-Policy") == "" {
				t.Error("the page has no policy")
			}
		}
	}
}

// TestHandshakesAreBounded: of many connections the last ones are remembered, and of each its
// handshake.
func TestHandshakesAreBounded(t *testing.T) {
	h := &handshakes{events: map[uint64][]trace.Event{}}
	for conn := range uint64(3 * maxHandshakes) {
		h.add(trace.Event{Conn: conn, Data: &trace.State{State: "started"}})
		for range 2 * maxHandshakeEvents {
			h.add(trace.Event{Conn: conn, Data: &trace.Record{Type: "application_data"}})
			h.add(trace.Event{Conn: conn, Data: &trace.Alert{}})
		}
	}
	h.add(trace.Event{Conn: 0, Data: &trace.Alert{}}) // it was forgotten
	if len(h.events) != maxHandshakes || len(h.order) != maxHandshakes || h.of(0) != nil {
		t.Errorf("%d connections", len(h.events))
	}
	last := h.of(3*maxHandshakes - 1)
	if len(last) != maxHandshakeEvents {
		t.Errorf("%d events", len(last))
	}
	for _, e := range last {
		if _, data := e.Data.(*trace.Record); data {
			t.Fatal("a record of data is remembered")
		}
	}
}
