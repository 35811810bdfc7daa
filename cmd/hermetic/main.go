// Command hermetic shows what hermetic does: a demo, a client and a server for
// trying things out, and the certificates for that.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "hermetic: "+err.Error())
		if advice := adviceFor(err); advice != "" {
			fmt.Fprintln(os.Stderr, "  "+advice)
		}
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "hermetic",
		Short:         "TLS without I/O: a demo, a client and a server",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(demoCommand(), clientCommand(), serverCommand(), certCommand(), luaCommand())
	return root
}
