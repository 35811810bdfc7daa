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
	for address, o := range map[net.Addr]clientOptions{
		udp.LocalAddr(): {protocol: protocolOptions{dtls: true, cid: -1}},
		tcp.Addr():      {protocol: protocolOptions{cid: -1}},
	} {
		o.insecure, o.patience = true, time.Millisecond
		err := runClient(&o, address.String(), strings.NewReader(""), io.Discard, io.Discard)
		if want := "no answer from " + address.String() + " in 1ms"; err == nil || err.Error() != want {
			t.Errorf("%s: %v, not %s", address.Network(), err, want)
		}
		if advice := adviceFor(err); !strings.HasPrefix(advice, "Nobody answers there") {
			t.Errorf("%s: the advice is %q", address.Network(), advice)
		}
	}
}
