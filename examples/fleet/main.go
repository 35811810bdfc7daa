// Fleet is one of many echo servers behind a balancer, over TLS and DTLS. Through
// Redis they share the keys of their session tickets, the secret of their cookies
// and the memory of early data: a client's session can be resumed at any of them, and
// its early data is accepted once. Start as many as you like:
//
//	hermetic cert localhost
//	head -c 32 /dev/urandom >fleet.key
//	go run ./examples/fleet -listen localhost:4433 -cert localhost.pem -key fleet.key -redis redis://localhost:6379
//	hermetic client localhost:4433 --cacert ca.pem --session session --early-data request
//
// A server that starts without Redis works alone, and joins the others when Redis
// answers. For a minute after that it rejects early data, which might have been seen
// before; the client sends it after the handshake.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
	"github.com/hermetic-tls/hermetic/redisstore"
)

func main() {
	listen := flag.String("listen", "localhost:4433", "`ADDR` of this server, for TCP and for UDP")
	cert := flag.String("cert", "localhost.pem", "`FILE` with the fleet's certificate and its key")
	key := flag.String("key", "fleet.key", "`FILE` of 32 random bytes: the key that seals what Redis knows")
	url := flag.String("redis", "redis://localhost:6379", "`URL` of Redis")
	wait := flag.Duration("wait", 0, "how long early data may wait for Redis (default 250ms)")
	flag.Parse()

	store, err := newStore(*url, *key, *wait)
	if err != nil {
		log.Fatal(err)
	}
	// If Redis answers, the first handshake already uses the fleet's secrets.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	if err := store.Refresh(ctx); err != nil {
		log.Printf("it works alone for now: %v", err)
	}
	cancel()
	go store.Run(context.Background())

	cfg, err := hermetic.LoadConfig(hermetic.TLSServer, "", *cert)
	if err != nil {
		log.Fatal(err)
	}
	store.Configure(cfg)
	datagrams, err := netconn.Listen("udp", *listen, cfg)
	if err != nil {
		log.Fatal(err)
	}
	cfg = cfg.Clone()
	cfg.MaxEarlyData = 14 << 10 // what every server skips if it must reject it
	streams, err := netconn.Listen("tcp", *listen, cfg)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %v for TLS and on %v for DTLS", streams.Addr(), datagrams.Addr())
	go accept(datagrams, func(c *netconn.Conn) { io.Copy(c, c) })
	accept(streams, serve)
}

// newStore returns the Store of a server. Its Run joins the fleet, now or when Redis
// answers.
func newStore(url, keyFile string, wait time.Duration) (*redisstore.Store, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	opt := redisstore.Options{Timeout: wait, OnError: func(err error) { log.Print(err) }}
	if opt.AEAD, err = chacha20poly1305.NewX(key); err != nil {
		return nil, err
	}
	client, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	client.ContextTimeoutEnabled = true
	return redisstore.New(redis.NewClient(client), &opt)
}

// patience is how long a connection may last.
const patience = 5 * time.Minute

func accept(l net.Listener, serve func(*netconn.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			serve(conn.(*netconn.Conn))
		}()
	}
}

// serve sends back what it receives. It answers early data at once, although it may be
// a replay, whose sender cannot read the answer: an echo is harmless, but an order
// would have to wait for Read.
func serve(c *netconn.Conn) {
	early, err := io.Copy(writer(c.WriteEarlyData), reader(c.ReadEarlyData))
	if err == nil {
		_, err = io.Copy(c, c)
	}
	log.Printf("%v: resumed: %v, early data: %d bytes, error: %v", c.RemoteAddr(), c.State().DidResume, early, err)
}

type (
	reader func(p []byte) (int, error)
	writer func(p []byte) (int, error)
)

func (r reader) Read(p []byte) (int, error)  { return r(p) }
func (w writer) Write(p []byte) (int, error) { return w(p) }
