package pcapng_test

import (
	"log"
	"os"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/trace/pcapng"
)

// A file for Wireshark that decrypts the connections of a Config: never with data that must stay
// secret.
func ExampleWriter_KeyLog() {
	file, err := os.OpenFile("debug.pcapng", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	packets := pcapng.NewWriter(file, nil)
	cfg := &hermetic.Config{
		ServerName:   "example.com",
		Trace:        packets.Write,
		KeyLogWriter: packets.KeyLog(),
	}
	_ = cfg // for any number of connections

	if err := packets.Close(); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}
