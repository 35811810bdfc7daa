package flow_test

import (
	"fmt"
	"log"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// The drawing of a handshake, as the server sees it.
func ExampleConnections() {
	var events []trace.Event
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	server, err := hermetic.NewEngine(hermetic.TLSServer, &hermetic.Config{
		NoTickets: true,
		Trace:     func(e trace.Event) { events = append(events, e) },
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, way := range [][2]*hermetic.Engine{{client, server}, {server, client}, {client, server}} {
		for in := way[0].Output(nil); len(in) > 0; {
			o, err := way[1].Open(in)
			if err != nil {
				log.Fatal(err)
			}
			in = in[o.N:]
		}
	}

	c := flow.Connections(events)[0]
	for _, s := range c.Steps {
		fmt.Printf("%d %s: %s\n", s.Flight, s.From, s.Notation())
	}
	fmt.Println(c.Completed.Version, c.Completed.Group, c.RoundTrips)
	// Output:
	// 1 client: ClientHello
	// 2 server: ServerHello
	// 2 server: ChangeCipherSpec
	// 2 server: {EncryptedExtensions}
	// 2 server: {Certificate}
	// 2 server: {CertificateVerify}
	// 2 server: {Finished}
	// 3 client: ChangeCipherSpec
	// 3 client: {Finished}
	// TLS 1.3 X25519MLKEM768 1
}
