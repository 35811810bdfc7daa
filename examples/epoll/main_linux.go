// Epoll is a TLS echo server with the engine on bare non-blocking sockets: one goroutine, one
// epoll, one heap of deadlines, and any number of clients. Nothing of package net is used, so it
// is what to copy into an event loop of your own. Elsewhere, package netconn does all of this.
//
//	go run ./examples/epoll 127.0.0.1:4433
//	hermetic client --insecure 127.0.0.1:4433
package main

import (
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/hermetic-tls/hermetic"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: epoll IP:PORT")
	}
	address, err := netip.ParseAddrPort(os.Args[1])
	if err != nil {
		log.Fatalf("%q is not IP:PORT, such as 127.0.0.1:4433 or [::1]:4433", os.Args[1])
	}
	s, err := newServer(address, &hermetic.Config{}) // a self-signed certificate; for your own: hermetic.LoadConfig
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", s.address)
	// The only other goroutine: it waits for Ctrl-C. A second one ends the process.
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupt
		signal.Stop(interrupt)
		s.stop()
	}()
	if err := s.run(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("stopped: %+v\n", s.counts)
}
