package filestore_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/filestore"
)

// One process keeps its session for the next one.
func ExampleOpenSessionCache() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server := &hermetic.Config{}
	for range 2 { // two processes
		sessions, err := filestore.OpenSessionCache(filepath.Join(dir, "session.bin"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("resumed:", visit(&hermetic.Config{InsecureSkipVerify: true, SessionCache: sessions}, server))
		if err := sessions.Err(); err != nil {
			log.Fatal(err) // the session was not written
		}
	}
	// Output:
	// resumed: false
	// resumed: true
}

// visit connects, and reports whether a session was resumed.
func visit(clientConfig, serverConfig *hermetic.Config) bool {
	client, err := hermetic.NewEngine(hermetic.TLSClient, clientConfig)
	if err != nil {
		log.Fatal(err)
	}
	server, err := hermetic.NewEngine(hermetic.TLSServer, serverConfig)
	if err != nil {
		log.Fatal(err)
	}
	for from, to := client, server; client.HasOutput() || server.HasOutput(); from, to = to, from {
		for in := from.Output(nil); len(in) > 0; {
			o, err := to.Open(in)
			if err != nil {
				log.Fatal(err)
			}
			in = in[o.N:]
		}
	}
	return client.State().DidResume
}
