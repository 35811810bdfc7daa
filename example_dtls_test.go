package hermetic_test

import (
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// datagrams returns all that e has to send.
func datagrams(e *hermetic.Engine) (list [][]byte) {
	for e.HasOutput() {
		list = append(list, e.Output(nil))
	}
	return list
}

// A DTLS server on one socket keeps nothing of a peer until a cookie has come back from its
// address.
func ExampleConfig_AnswerHello() {
	cfg := &hermetic.Config{}
	client, err := hermetic.NewEngine(hermetic.DTLSClient, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}

	peers := make(map[string]*hermetic.Engine) // by address
	receive := func(address string, datagram []byte) (replies [][]byte) {
		server := peers[address]
		if server == nil {
			answer, ok := cfg.AnswerHello(nil, []byte(address), datagram)
			if !ok {
				fmt.Println("no good cookie")
				return [][]byte{answer} // send it, unless it is empty
			}
			fmt.Println("a good cookie")
			if server, err = hermetic.NewEngine(hermetic.DTLSServer, cfg); err != nil {
				log.Fatal(err)
			}
			if err := server.SetPeerID([]byte(address)); err != nil {
				log.Fatal(err)
			}
			peers[address] = server
		}
		for len(datagram) > 0 {
			o, err := server.Open(datagram)
			if err != nil {
				log.Fatal(err)
			}
			datagram = datagram[o.N:]
		}
		return datagrams(server)
	}

	const address = "192.0.2.1:5000"
	for !client.HandshakeComplete() {
		for _, d := range datagrams(client) {
			for _, reply := range receive(address, d) {
				for len(reply) > 0 {
					o, err := client.Open(reply)
					if err != nil {
						log.Fatal(err)
					}
					reply = reply[o.N:]
				}
			}
		}
	}
	// Output:
	// no good cookie
	// a good cookie
}

// A flight is lost. When the deadline has passed, the engine sends it again.
func ExampleEngine_Expire() {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	client, err := hermetic.NewEngine(hermetic.DTLSClient, &hermetic.Config{
		Time:               func() time.Time { return now },
		InsecureSkipVerify: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	datagrams(client) // and the network loses them

	for range 2 {
		deadline, ok := client.Deadline()
		fmt.Println(deadline.Sub(now), ok)
		now = deadline // a timer, or an event loop, waits
		if err := client.Expire(); err != nil {
			log.Fatal(err) // hermetic.ErrTimeout after seven timeouts
		}
		fmt.Println("sent again:", len(datagrams(client)) > 0)
	}
	// Output:
	// 1s true
	// sent again: true
	// 2s true
	// sent again: true
}

// With connection IDs, a server knows a peer whose address has changed.
func ExampleEngine_ConnectionIDs() {
	client, err := hermetic.NewEngine(hermetic.DTLSClient, &hermetic.Config{
		InsecureSkipVerify: true,
		DTLS:               hermetic.DTLSConfig{ConnectionIDs: true}, // it has one address to listen on
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := hermetic.NewEngine(hermetic.DTLSServer, &hermetic.Config{
		DTLS: hermetic.DTLSConfig{ConnectionIDs: true, ConnectionIDLength: 4, TrustAddress: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	for client.HasOutput() || server.HasOutput() {
		move(client, server)
		move(server, client)
	}

	local, _ := server.ConnectionIDs()
	fmt.Println("the server is", len(local), "ID of", len(local[0]), "bytes")
	datagram, err := client.Seal(nil, []byte("from elsewhere"))
	if err != nil {
		log.Fatal(err)
	}
	o, err := server.Open(datagram)
	fmt.Printf("%s, new path %v, %v\n", o.Data, o.Kind == hermetic.KindNewPath, err)
	// Output:
	// the server is 1 ID of 4 bytes
	// from elsewhere, new path true, <nil>
}

// With connection IDs, the two sides also agree on return routability checks: a server that tells
// its engine where datagrams come from sends nothing else to a client's new address before the
// client has answered a challenge there.
func ExampleEngine_OpenFrom() {
	client, err := hermetic.NewEngine(hermetic.DTLSClient, &hermetic.Config{
		InsecureSkipVerify: true,
		DTLS:               hermetic.DTLSConfig{ConnectionIDs: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := hermetic.NewEngine(hermetic.DTLSServer, &hermetic.Config{
		DTLS: hermetic.DTLSConfig{ConnectionIDs: true, ConnectionIDLength: 4, TrustAddress: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	address := netip.MustParseAddrPort("192.0.2.1:5000") // of the client
	toServer := func(in []byte) {
		for len(in) > 0 {
			o, err := server.OpenFrom(hermetic.Path{Remote: address}, in)
			if err != nil {
				log.Fatal(err)
			}
			if o.Data != nil {
				fmt.Printf("%s, from %v\n", o.Data, address)
			}
			if o.Kind == hermetic.KindPathChanged {
				fmt.Println("the client has moved to", server.Path().Remote)
			}
			in = in[o.N:]
		}
	}
	for client.HasOutput() || server.HasOutput() {
		for _, d := range datagrams(client) {
			toServer(d)
		}
		for server.HasOutput() {
			in, to := server.OutputTo(nil)
			if to.Remote != netip.MustParseAddrPort("192.0.2.1:5000") {
				fmt.Println("a challenge for", to.Remote)
			}
			for len(in) > 0 {
				o, err := client.Open(in)
				if err != nil {
					log.Fatal(err)
				}
				in = in[o.N:]
			}
		}
		if client.HandshakeComplete() && address.Port() == 5000 {
			address = netip.MustParseAddrPort("192.0.2.1:6000") // another NAT mapping
			datagram, err := client.Seal(nil, []byte("hello"))
			if err != nil {
				log.Fatal(err)
			}
			for _, d := range append(datagrams(client), datagram) {
				toServer(d)
			}
		}
	}
	// Output:
	// hello, from 192.0.2.1:6000
	// a challenge for 192.0.2.1:6000
	// the client has moved to 192.0.2.1:6000
}
