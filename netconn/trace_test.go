package netconn_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// TestTrace: all connections of a listener, and of its clients, write one trace, in which each is
// whole.
func TestTrace(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			const count = 5
			var file bytes.Buffer
			w := trace.NewWriter(&file, nil)
			server := &hermetic.Config{Trace: w.Write}
			var l net.Listener
			var err error
			if network == "udp" {
				l, err = netconn.ListenPacket(network, "127.0.0.1:0", server)
			} else {
				l, err = netconn.Listen(network, "127.0.0.1:0", server)
			}
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			group.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					group.Go(func() {
						defer conn.Close()
						io.CopyN(conn, conn, 5)
						conn.Read(make([]byte, 1)) // until the client closes
					})
				}
			})
			client := &hermetic.Config{InsecureSkipVerify: true, Trace: w.Write}
			var clients sync.WaitGroup
			for range count {
				clients.Go(func() {
					conn, err := netconn.Dial(context.Background(), network, l.Addr().String(), client)
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					if _, err := conn.Write([]byte("hello")); err != nil {
						t.Error(err)
					}
					if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
						t.Error(err)
					}
				})
			}
			clients.Wait()
			l.Close()
			group.Wait()
			events, err := trace.ReadAll(&file)
			if err != nil {
				t.Fatal(err)
			}
			found := map[trace.Side]int{}
			for _, c := range flow.Connections(events) {
				if c.Completed != nil && c.Sent.Data == 5 && c.Received.Data == 5 {
					found[c.Side]++
				} else {
					t.Errorf("%s %d: %+v, sent %+v, received %+v", c.Side, c.Conn, c.Completed, c.Sent, c.Received)
				}
			}
			if found[trace.Client] != count || found[trace.Server] != count {
				t.Errorf("the connections are %v", found)
			}
		})
	}
}
