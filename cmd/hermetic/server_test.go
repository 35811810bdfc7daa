package main

import "testing"

// TestCloses: a client of HTTP/1.0 reads up to the end of the connection.
func TestCloses(t *testing.T) {
	for head, want := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a":                      false,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close": true,
		"GET / HTTP/1.1\r\nHost: a\r\nconnection: Close": true,
		"GET / HTTP/1.0":                                 true,
		"GET / HTTP/1.0\r\nHost: a":                      true,
		"GET / HTTP/1.1\r\nVia: HTTP/1.0":                false,
	} {
		if got := closes([]byte(head)); got != want {
			t.Errorf("%q: %v", head, got)
		}
	}
}
