package gnettls_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/panjf2000/gnet/v2"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/gnettls"
	"github.com/hermetic-tls/hermetic/netconn"
)

// echo is an ordinary handler, which sees plaintext.
type echo struct {
	gnet.BuiltinEventEngine
	booted chan gnet.Engine
}

func (e *echo) OnBoot(engine gnet.Engine) gnet.Action {
	e.booted <- engine
	return gnet.None
}

func (e *echo) OnTraffic(c gnet.Conn) gnet.Action {
	data, _ := c.Next(-1)
	c.Write(data)
	return gnet.None
}

// freeAddress is one that nobody listens at.
func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// An echo server on gnet's event loops, and a client.
func ExampleRun() {
	address := freeAddress()
	server := &echo{booted: make(chan gnet.Engine, 1)}
	stopped := make(chan error, 1)
	go func() { stopped <- gnettls.Run(server, "tcp://"+address, &hermetic.Config{}) }()
	engine := <-server.booted

	conn, err := netconn.Dial(context.Background(), "tcp", address, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		log.Fatal(err)
	}
	reply := make([]byte, 5)
	if _, err := io.ReadFull(conn, reply); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", reply)
	conn.Close()
	engine.Stop(context.Background())
	fmt.Println(<-stopped)
	// Output:
	// hello
	// <nil>
}
