package redisstore_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/redisstore"
)

// A server joins its fleet. Without Redis it starts all the same, with its own secrets.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:1", ContextTimeoutEnabled: true, MaxRetries: -1})
	defer client.Close()
	aead, err := chacha20poly1305.NewX(make([]byte, chacha20poly1305.KeySize)) // a key that Redis does not have
	if err != nil {
		log.Fatal(err)
	}
	store, err := redisstore.New(client, &redisstore.Options{AEAD: aead})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := store.Refresh(ctx); err != nil {
		fmt.Println("alone for now") // go store.Run(ctx) joins when Redis answers
	}

	cfg := &hermetic.Config{MaxEarlyData: 14336}
	store.Configure(cfg)
	_, err = hermetic.NewEngine(hermetic.TLSServer, cfg)
	fmt.Println(err)
	// Output:
	// alone for now
	// <nil>
}
