// Coap is a CoAP server and client over DTLS, with github.com/plgd-dev/go-coap and a PSK:
//
//	go run ./examples/coap serve localhost:5684 device 'sixteen random b'
//	go run ./examples/coap get localhost:5684 /greeting device 'sixteen random b'
//	coap-client-openssl -u device -k 'sixteen random b' coaps://localhost/greeting
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 4 && args[0] == "serve":
		var l *netconn.PacketListener
		if l, err = netconn.ListenPacket("udp", args[1], &hermetic.Config{
			PSKs: psks(args[2], args[3]), CipherSuites: suites,
			DTLS: hermetic.DTLSConfig{ConnectionIDs: true, ConnectionIDLength: 8}, // devices may move
		}); err == nil {
			fmt.Println("listening on", l.Addr())
			err = serve(l, resources())
		}
	case len(args) == 5 && args[0] == "get":
		err = get(args[1], args[2], &hermetic.Config{
			PSKs: psks(args[3], args[4]), CipherSuites: suites,
			DTLS: hermetic.DTLSConfig{ConnectionIDs: true},
		})
	default:
		log.Fatal("usage: coap serve HOST:PORT IDENTITY KEY\n       coap get HOST:PORT PATH IDENTITY KEY")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func psks(identity, key string) []hermetic.PSK {
	return []hermetic.PSK{{Identity: []byte(identity), Key: []byte(key)}}
}

// resources are a greeting, and a text that takes several blocks.
func resources() mux.Handler {
	r := mux.NewRouter()
	r.HandleFunc("/greeting", text("hello"))
	r.HandleFunc("/long", text(long))
	return r
}

var long = strings.Repeat("0123456789abcdef", 500)

func text(body string) mux.HandlerFunc {
	return func(w mux.ResponseWriter, r *mux.Message) {
		w.SetResponse(codes.Content, message.TextPlain, bytes.NewReader([]byte(body)))
	}
}

func get(address, path string, config *hermetic.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := dial(ctx, address, config)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Get(ctx, path)
	if err != nil {
		return err
	}
	if answer.Code() != codes.Content {
		return fmt.Errorf("the server answers %v", answer.Code())
	}
	body, err := answer.ReadBody()
	if err != nil {
		return err
	}
	_, err = io.WriteString(os.Stdout, string(body)+"\n")
	return err
}
