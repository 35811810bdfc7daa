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

	"github.com/hermetic-tls/hermetic"
)

func main() {
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "hermetic: "+strings.TrimRight(inFlags(err), "\n"))
		if advice := adviceFor(err); advice != "" {
			fmt.Fprintln(os.Stderr, "  "+advice)
		}
		os.Exit(exitCode(err))
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "hermetic",
		Short:         "TLS and DTLS without I/O: a demo, a client, a server, certificates, Lua",
		Long:          "TLS and DTLS without I/O: a demo, a client, a server, certificates, Lua.\n\n" + exitHelp(),
		Version:       hermetic.Version,
		Args:          noSuchCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{plainly(err), c} })
	root.AddCommand(demoCommand(), clientCommand(), serverCommand(), certCommand(), luaCommand(), traceCommand())
	once(root)
	return root
}

// noSuchCommand is for the arguments of the command itself, which takes only subcommands.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return misuse("%s is not a command: choose from %s", shown(args[0]), strings.Join(names, ", "))
}

// flagOf has the flags for fields of a Config.
var flagOf = map[string]string{
	"RecordSizeLimit": "--record-size-limit", "MaxFragmentLength": "--max-fragment",
	"DTLS.MTU":                "--mtu",
	"DTLS.ConnectionIDLength": "--cid",
	"DTLS.SRTPProfiles":       "--srtp",
	"Tickets":                 "--tickets",
	"CipherSuites":            "--ciphers",
	"CurvePreferences":        "--groups",
	"NextProtos":              "--alpn",
	"MaxVersion":              "--tls12, --dtls12",
	"ServerName":              "--servername",
	"PSKs":                    "--psk",
	"Certificates":            "--cert",
	"ClientAuth":              "--client-auth",
	"EarlyData":               "--early-data",
	"MaxEarlyData":            "--early-data",
}

// inFlags returns the text of an error, with the flag in place of the Config's field.
func inFlags(err error) string {
	var wrong *hermetic.ConfigError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	field, _, _ := strings.Cut(wrong.Field, "[") // without an index
	return cmp.Or(flagOf[field], "Config."+wrong.Field) + ": " + strings.ReplaceAll(wrong.Reason, "Config.Policy", "--policy")
}

// hostPort splits an address.
func hostPort(address string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(address); err != nil {
		err = misuse("%s is not HOST:PORT: %w", shown(address), err)
	}
	return host, port, err
}
