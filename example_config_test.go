package hermetic_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log"

	"github.com/hermetic-tls/hermetic"
)

// A client without a file of authorities verifies its server by the system's roots.
func ExampleLoadConfig() {
	cfg, err := hermetic.LoadConfig(hermetic.TLSClient, "", "")
	if err != nil {
		log.Fatal(err)
	}
	cfg.ServerName = "example.com"
	if _, err := hermetic.NewEngine(hermetic.TLSClient, cfg); err != nil {
		log.Fatal(err)
	}
	fmt.Println("verifies:", !cfg.InsecureSkipVerify)

	_, err = hermetic.LoadConfig(hermetic.TLSServer, "", "missing.pem")
	var file *hermetic.FileError
	fmt.Println(errors.As(err, &file), errors.Is(err, fs.ErrNotExist))
	// Output:
	// verifies: true
	// true true
}

// What has no counterpart is an error that names the field.
func ExampleFromTLS() {
	cfg, err := hermetic.FromTLS(&tls.Config{ServerName: "example.com", NextProtos: []string{"h2"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cfg.ServerName, cfg.NextProtos)

	_, err = hermetic.FromTLS(&tls.Config{Renegotiation: tls.RenegotiateOnceAsClient})
	fmt.Println(err)
	// Output:
	// example.com [h2]
	// hermetic: tls.Config.Renegotiation: it cannot be taken over: renegotiation is never done: leave it tls.RenegotiateNever
}

// A Config that cannot be used names the field.
func ExampleConfigError() {
	_, err := hermetic.NewEngine(hermetic.DTLSServer, &hermetic.Config{DTLS: hermetic.DTLSConfig{MTU: 50}})
	var wrong *hermetic.ConfigError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Field, "-", wrong.Reason)
	}
	// Output: DTLS.MTU - 50 is less than 128
}

// Both sides change their keys.
func ExampleEngine_KeyUpdate() {
	client, server := connect(&hermetic.Config{InsecureSkipVerify: true}, &hermetic.Config{})
	if err := client.KeyUpdate(hermetic.UpdateRequested); err != nil {
		log.Fatal(err) // TLS 1.2 has no KeyUpdate
	}
	move(client, server)
	sealed, err := server.Seal(nil, []byte("under new keys")) // after the server's own KeyUpdate
	if err != nil {
		log.Fatal(err)
	}
	for len(sealed) > 0 {
		o, err := client.Open(sealed)
		if err != nil {
			log.Fatal(err)
		}
		if o.Kind == hermetic.KindData {
			fmt.Printf("%s\n", o.Data)
		}
		sealed = sealed[o.N:]
	}
	// Output: under new keys
}
