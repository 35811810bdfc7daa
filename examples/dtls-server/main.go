// Dtls-server is a DTLS echo server with the engine on one UDP socket, and nothing between the
// two: one goroutine, one heap of deadlines, and any number of peers. It is what package netconn
// does, small enough to be copied into an event loop of your own.
//
//	go run ./examples/dtls-server localhost:4433
//	hermetic client --dtls --insecure localhost:4433
package main

import (
	"fmt"
	"log"
	"net"
	"os"

	"github.com/hermetic-tls/hermetic"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: dtls-server HOST:PORT")
	}
	address, err := net.ResolveUDPAddr("udp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", socket.LocalAddr())
	config := &hermetic.Config{ // a self-signed certificate; for your own: hermetic.LoadConfig
		DTLS: hermetic.DTLSConfig{ConnectionIDs: true, ConnectionIDLength: cidLength},
	}
	log.Fatal(newServer(socket, config).run())
}
