// Command bogo is the shim that BoringSSL's test runner drives: it makes the
// connections that the runner's flags describe with hermetic's public API, and
// exits with 0, 1 or, for what hermetic does not have, 89.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// exitUnimplemented tells the runner that a test asks for what is not built.
const exitUnimplemented = 89

// errUnimplemented ends in that exit code.
var errUnimplemented = errors.New("not implemented")

func main() {
	// The runner takes what follows this line for a sanitizer's report.
	defer fmt.Fprintln(os.Stderr, "--- DONE ---")
	if code := run(os.Args[1:]); code != 0 {
		fmt.Fprintln(os.Stderr, "--- DONE ---")
		os.Exit(code)
	}
}

func run(args []string) int {
	if slices.Contains(args, "-is-handshaker-supported") {
		fmt.Println("No") // handshake hints are BoringSSL's own
		return 0
	}
	initial, resume, retry, err := parseFlags(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUnimplemented
	}
	var kept sessions
	for i := range initial.resumeCount + 1 {
		o := initial
		if i > 0 {
			o = resume
		}
		if err := connect(o, retry, &kept); err != nil {
			if errors.Is(err, errUnimplemented) {
				fmt.Fprintln(os.Stderr, err)
				return exitUnimplemented
			}
			fmt.Fprintf(os.Stderr, "Connection %d failed: %s\n", i+1, describe(err))
			return 1
		}
	}
	return 0
}
