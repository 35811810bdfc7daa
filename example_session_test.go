package hermetic_test

import (
	"fmt"
	"log"

	"github.com/hermetic-tls/hermetic"
)

// connect performs a handshake, and returns both ends.
func connect(clientConfig, serverConfig *hermetic.Config) (client, server *hermetic.Engine) {
	client, err := hermetic.NewEngine(hermetic.TLSClient, clientConfig)
	if err != nil {
		log.Fatal(err)
	}
	if server, err = hermetic.NewEngine(hermetic.TLSServer, serverConfig); err != nil {
		log.Fatal(err)
	}
	for client.HasOutput() || server.HasOutput() {
		move(client, server)
		move(server, client)
	}
	return client, server
}

// A client resumes its session: the second handshake has no certificate.
func ExampleSessionCache() {
	client := &hermetic.Config{InsecureSkipVerify: true, SessionCache: hermetic.NewSessionCache(100)}
	server := &hermetic.Config{}
	for range 2 {
		c, _ := connect(client, server)
		fmt.Println("resumed:", c.State().DidResume)
	}
	// Output:
	// resumed: false
	// resumed: true
}

// Servers with the same ticket keys resume each other's sessions.
func ExampleStaticTicketKeys() {
	keys := hermetic.StaticTicketKeys(hermetic.TicketKey([]byte("32 random bytes that all of them"))) // the first seals
	client := &hermetic.Config{InsecureSkipVerify: true, SessionCache: hermetic.NewSessionCache(100)}
	for _, name := range []string{"one", "other"} {
		_, s := connect(client, &hermetic.Config{TicketKeys: keys})
		fmt.Println(name, s.State().DidResume)
	}
	// Output:
	// one false
	// other true
}

// A request in the first flight, and the reply in the server's first flight.
func ExampleEngine_SealEarlyData() {
	client := &hermetic.Config{InsecureSkipVerify: true, SessionCache: hermetic.NewSessionCache(100), EarlyData: true}
	server := &hermetic.Config{MaxEarlyData: 14336}
	connect(client, server) // the first connection gets a session

	c, err := hermetic.NewEngine(hermetic.TLSClient, client)
	if err != nil {
		log.Fatal(err)
	}
	s, err := hermetic.NewEngine(hermetic.TLSServer, server)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("room for", c.EarlyDataRoom())
	in, err := c.SealEarlyData(nil, []byte("GET /")) // with the ClientHello before it
	if err != nil {
		log.Fatal(err)
	}
	for len(in) > 0 {
		o, err := s.Open(in)
		if err != nil {
			log.Fatal(err)
		}
		if o.Kind == hermetic.KindEarlyData {
			fmt.Printf("%s, before the handshake is complete: %v\n", o.Data, !s.HandshakeComplete())
		}
		in = in[o.N:]
	}
	for c.HasOutput() || s.HasOutput() {
		move(s, c)
		move(c, s)
	}
	if !c.State().EarlyDataAccepted {
		log.Fatal("send it again") // as ordinary data
	}
	// Output:
	// room for 14336
	// GET /, before the handshake is complete: true
}
