package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestNoAnswer: a peer that says nothing is told apart from one that is not there.
func TestNoAnswer(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	const mtu = "need the whole first ClientHello in one datagram"
	for _, test := range []struct {
		name    string
		address net.Addr
		options protocolOptions
		mtu     bool // the advice speaks of it
	}{
		{"DTLS", udp.LocalAddr(), protocolOptions{dtls: true, cid: -1}, false},
		{"DTLS with a small MTU", udp.LocalAddr(), protocolOptions{dtls: true, cid: -1, mtu: 200}, true},
		{"TLS", tcp.Addr(), protocolOptions{cid: -1}, false},
	} {
		o := clientOptions{protocol: test.options, insecure: true, patience: time.Millisecond}
		err := runClient(&o, test.address.String(), strings.NewReader(""), io.Discard, io.Discard)
		if want := "no answer from " + test.address.String() + " in 1ms"; err == nil || err.Error() != want {
			t.Errorf("%s: %v, not %s", test.name, err, want)
		}
		advice := adviceFor(err)
		if !strings.HasPrefix(advice, "There is no answer") || strings.Contains(advice, mtu) != test.mtu {
			t.Errorf("%s: the advice is %q", test.name, advice)
		}
	}
}

// TestReadAllEnds: reading ends if the input never returns anything, but not because of short pauses.
func TestReadAllEnds(t *testing.T) {
	for name, reads := range map[string][]int{"nothing": {0}, "pauses": {99, 99, 99}} {
		in, out := &pauses{reads}, make(chan []byte, 10)
		readAll(in, out)
		if got, want := len(out), len(reads)-1; got != want {
			t.Errorf("%s: %d reads bring something, want %d", name, got, want)
		}
	}
}

// pauses returns a byte after each number of reads that return nothing, and nothing after the last.
type pauses struct{ left []int }

func (p *pauses) Read(b []byte) (int, error) {
	if p.left[0]--; p.left[0] >= 0 || len(p.left) == 1 {
		return 0, nil
	}
	p.left = p.left[1:]
	return copy(b, "x"), nil
}
