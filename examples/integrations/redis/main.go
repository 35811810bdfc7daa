// Command redis sets a key in Redis, or Valkey, over hermetic, and reads it back:
//
//	redis localhost:6379 ca.pem me.pem KEY VALUE
//
// The file me.pem has the client's certificate and its key. The server is one like
//
//	redis-server --port 0 --tls-port 6379 --tls-cert-file server.crt --tls-key-file server.key --tls-ca-cert-file ca.pem
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

var errUsage = errors.New("usage: redis ADDRESS CA-FILE KEY-PAIR-FILE KEY VALUE")

func run(out io.Writer, args []string) error {
	if len(args) != 5 {
		return errUsage
	}
	cfg, err := hermetic.LoadConfig(hermetic.TLSClient, args[1], args[2])
	if err != nil {
		return err
	}
	// Connections of a pool come and go: later ones resume a session.
	cfg.SessionCache = hermetic.NewSessionCache(1)
	client := newClient(args[0], cfg)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.Set(ctx, args[3], args[4], 0).Err(); err != nil {
		return err
	}
	value, err := client.Get(ctx, args[3]).Result()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, value)
	return nil
}

// newClient makes a client whose connections are all made by a netconn.Dialer. Options.TLSConfig
// stays nil: with it, go-redis would speak crypto/tls. The same Dialer fits ClusterOptions,
// FailoverOptions and RingOptions; the name to verify is then the host of each node.
func newClient(address string, cfg *hermetic.Config) *redis.Client {
	dialer := netconn.Dialer{Config: cfg, HandshakeTimeout: 5 * time.Second}
	return redis.NewClient(&redis.Options{Addr: address, Dialer: dialer.DialContext})
}
