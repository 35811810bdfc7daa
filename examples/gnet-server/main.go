// Gnet-server is an echo server over TLS on gnet's event loops: the handler is
// an ordinary gnet.EventHandler, and no connection costs a goroutine.
//
//	go run ./examples/gnet-server localhost:4433
//	openssl s_client -quiet -connect localhost:4433
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/panjf2000/gnet/v2"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/gnettls"
)

type echo struct {
	gnet.BuiltinEventEngine
	booted func(gnet.Engine)
}

func (e *echo) OnBoot(engine gnet.Engine) gnet.Action {
	e.booted(engine)
	return gnet.None
}

// OnTraffic sees plaintext.
func (e *echo) OnTraffic(c gnet.Conn) gnet.Action {
	data, _ := c.Next(-1)
	c.Write(data)
	return gnet.None
}

func serve(address string, booted func(gnet.Engine)) error {
	cfg := &hermetic.Config{} // self-signed; for your own certificate: hermetic.LoadConfig
	return gnettls.Run(&echo{booted: booted}, "tcp://"+address, cfg, gnet.WithMulticore(true))
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gnet-server HOST:PORT")
	}
	log.Fatal(serve(os.Args[1], func(gnet.Engine) { fmt.Println("listening on", os.Args[1]) }))
}
