// Command metrics prints figures of the source, by room, and what is beyond the limits
// that the house has set itself. It ends with status 1 if anything is.
package main

import (
	"fmt"
	"os"
)

func main() {
	s, err := read(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	s.report(os.Stdout)
	status := 0
	for _, l := range limits {
		found := l.find(s)
		fmt.Printf("\n%s: %d beyond\n", l.name, len(found))
		if len(found) > 0 {
			status = 1
		}
		for _, f := range found {
			fmt.Println("  " + f)
		}
	}
	os.Exit(status)
}
