// Command bogo is the shim that BoringSSL's test runner drives: it makes the
// connections that the runner's flags describe with hermetic's public API, and
// exits with 0, 1 or, for a flag that it does not know, 89.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// exitUnimplemented tells the runner that a test has a flag that the shim does not
// know.
const exitUnimplemented = 89

func main() {
	code, notes := run(os.Args[1:])
	// The runner takes what follows this line for a sanitizer's report: it then shows
	// all of it, and calls the test failed. The notes say why that is.
	fmt.Fprintln(os.Stderr, "--- DONE ---")
	for _, note := range notes {
		fmt.Fprintln(os.Stderr, note)
	}
	os.Exit(code)
}

// Notes in the runner's log.
const (
	noteExcluded = "EXCLUDED: "       // the test does not apply to this API, and why
	noteDropped  = "DROPPED: records" // that the strict mode would have refused
	noteACK      = "UNPROTECTED: ACKs"
	notePart     = "UNPROTECTED: parts of messages"
)

func run(args []string) (code int, notes []string) {
	if slices.Contains(args, "-is-handshaker-supported") {
		fmt.Println("No") // handshake hints are BoringSSL's own
		return 0, nil
	}
	initial, resume, retry, err := parseFlags(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUnimplemented, nil
	}
	var kept sessions
	for i := range initial.resumeCount + 1 {
		o := initial
		if i > 0 {
			o = resume
		}
		noted, err := connect(o, retry, &kept)
		if o.lenient {
			notes = append(notes, noted...)
		}
		if why := excluded(""); errors.As(err, &why) {
			return 0, []string{noteExcluded + string(why)}
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "Connection %d failed: %s\n", i+1, o.describe(err))
			return 1, notes
		}
	}
	return 0, notes
}
