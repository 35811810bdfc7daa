package interop

import (
	"fmt"
	"net"
	"os/exec"
	"sync"
	"testing"
)

// TestFreePort: a port stays free while other cells start their peers.
func TestFreePort(t *testing.T) {
	stop := make(chan struct{})
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					exec.Command("true").Run()
				}
			}
		})
	}
	for range 300 {
		port := freePort()
		tcp, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		tcp.Close()
		udp, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		udp.Close()
	}
	close(stop)
	starting.Wait()
}
