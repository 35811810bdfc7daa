// Command hermetic shows what hermetic does: a demo, a client and a server for
// trying things out, and the certificates for that.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
)

func main() {
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "hermetic: "+strings.TrimRight(err.Error(), "\n"))
		if advice := adviceFor(err); advice != "" {
			fmt.Fprintln(os.Stderr, "  "+advice)
		}
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "hermetic",
		Short:         "TLS and DTLS without I/O: a demo, a client, a server, certificates, Lua",
		Version:       hermetic.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{err, c} })
	root.AddCommand(demoCommand(), clientCommand(), serverCommand(), certCommand(), luaCommand())
	return root
}

// usageError is a mistake in the arguments of a command.
type usageError struct {
	error
	command *cobra.Command
}

// needs makes the errors of args a usageError.
func needs(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := args(c, given); err != nil {
			return &usageError{err, c}
		}
		return nil
	}
}
