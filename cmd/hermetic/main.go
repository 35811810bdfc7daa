// Command hermetic shows what hermetic does: a demo, a client, a server, and
// certificates for trials.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hermetic-tls/hermetic"
)

func main() {
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "hermetic: "+strings.TrimRight(inFlags(err), "\n"))
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
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{plainly(err), c} })
	root.AddCommand(demoCommand(), clientCommand(), serverCommand(), certCommand(), luaCommand(), traceCommand())
	return root
}

// flagOf has the flags for fields of a Config.
var flagOf = map[string]string{
	"RecordSizeLimit": "--record-size-limit", "MaxFragmentLength": "--max-fragment",
	"DTLS.MTU":                "--mtu",
	"DTLS.ConnectionIDLength": "--cid",
	"Tickets":                 "--tickets",
	"CipherSuites":            "--ciphers",
	"CurvePreferences":        "--groups",
	"NextProtos":              "--alpn",
	"MaxVersion":              "--tls12, --dtls12",
	"EarlyData":               "--early-data",
	"MaxEarlyData":            "--early-data",
	"Certificates[0]":         "--cert",
}

// inFlags returns the text of an error, with the flag in place of the Config's field.
func inFlags(err error) string {
	var wrong *hermetic.ConfigError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	return cmp.Or(flagOf[wrong.Field], "Config."+wrong.Field) + ": " + strings.ReplaceAll(wrong.Reason, "Config.Policy", "--policy")
}

// plainly rewords the error of a flag with an invalid value.
func plainly(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	wanted := map[string]string{"int": "a number", "uint32": "a number from 0 to 4294967295", "bool": "true or false"}
	return fmt.Errorf("--%s: %s is not %s", invalid.GetFlag().Name, invalid.GetValue(), wanted[invalid.GetFlag().Value.Type()])
}

// hostPort splits an address.
func hostPort(address string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(address); err != nil {
		err = fmt.Errorf("%s is not HOST:PORT: %w", address, err)
	}
	return host, port, err
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
