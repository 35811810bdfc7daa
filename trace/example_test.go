package trace_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/trace"
)

// A trace of a client, written as JSON and read back.
func Example() {
	var file bytes.Buffer
	w := trace.NewWriter(&file, &trace.WriterOptions{Title: "an example"})
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{ServerName: "example.com", Trace: w.Write})
	if err != nil {
		log.Fatal(err)
	}
	client.Output(nil)

	events, err := trace.ReadAll(&file)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range events {
		if m, ok := e.Data.(*trace.Message); ok {
			fmt.Println(m.Name(), m.Type, m.Field("extensions", "server_name", "server_name_list").Values())
		}
	}
	// Output: message_sent ClientHello ["example.com"]
}

// A trace that is damaged says where.
func ExampleFormatError() {
	_, err := trace.ReadAll(strings.NewReader("something else\n"))
	fmt.Println(err)
	// Output: the trace is damaged at byte 0 (line 1): it is not a trace of hermetic
}
