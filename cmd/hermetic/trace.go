package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/test/sim"
	"github.com/hermetic-tls/hermetic/trace"
)

func traceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "trace",
		Short: "Show a handshake: on the terminal, as a page, as JSON, or for Wireshark",
		Long: `Show what a handshake does: its messages in flights, what was negotiated and why, round trips, bytes, and where the
time went. A failure ends with its cause and what to do.

A trace has no secrets, unless --secrets puts them into a file of packets. But it shows what the network does not see:
certificates, protocols, and the names of PSKs.`,
		Example: `  hermetic trace client example.com:443
  hermetic trace client localhost:4433 --cacert ca.pem --html handshake.html
  hermetic trace server localhost:4433 --dtls
  hermetic trace proxy localhost:8443 example.com:443 --keylog keys.log
  hermetic trace sim --seed 7 --loss 20%`,
		Args: needs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &usageError{errors.New("what shall be traced? client, server, proxy, show or sim"), cmd}
		},
	}
	c.AddCommand(traceClientCommand(), traceServerCommand(), traceProxyCommand(), traceShowCommand(), traceSimCommand())
	return c
}

// traceOptions are the flags for what becomes of a trace.
type traceOptions struct {
	html, pcapng    string
	asJSON, secrets bool
	color           string
	width           int
}

// addTo adds the flags. Commands that have --json already keep theirs: see takeJSON.
func (o *traceOptions) addTo(f *pflag.FlagSet, packets bool) {
	const asJSON = "print the trace as lines of JSON instead of a drawing: 'hermetic trace show' reads them"
	f.StringVar(&o.html, "html", "", "write a page with the drawing to `FILE`; it needs no other file")
	if own := f.Lookup("json"); own != nil {
		own.Usage = asJSON
	} else {
		f.BoolVar(&o.asJSON, "json", false, asJSON)
	}
	f.StringVar(&o.color, "color", "auto", "color the drawing: auto, always or never")
	f.IntVar(&o.width, "width", 0, "`COLUMNS` of the drawing, from 60 to 200 (default: those of the terminal, or 80)")
	if packets {
		f.StringVar(&o.pcapng, "pcapng", "", "write the packets to `FILE`, for Wireshark and tshark")
		f.BoolVar(&o.secrets, "secrets", false, "put the SECRETS into the file of --pcapng, so that everyone who has it can decrypt it")
	}
}

// takeJSON takes the value of a --json that belongs to the traced command, which then does
// not see it.
func (o *traceOptions) takeJSON(f *pflag.FlagSet) {
	if own := f.Lookup("json"); own.Value.String() == "true" {
		o.asJSON = true
		override(own, "false")
	}
}

func (o *traceOptions) check() error {
	switch {
	case o.color != "auto" && o.color != "always" && o.color != "never":
		return misuse("--color: %q is none of auto, always, never", o.color)
	case o.width != 0 && (o.width < minWidth || o.width > maxWidth):
		return misuse("--width: %d is not from %d to %d", o.width, minWidth, maxWidth)
	case o.secrets && o.pcapng == "":
		return misuse("--secrets is for the file of --pcapng FILE: add that")
	}
	return nil
}

// tracing is what 'hermetic trace' adds to the Config of a command that it runs.
type tracing struct {
	sink   func(trace.Event)
	keyLog io.Writer // or nil
}

// apply adds it to a Config. t may be nil.
func (t *tracing) apply(cfg *hermetic.Config) {
	switch {
	case t == nil:
		return
	case t.keyLog != nil && cfg.KeyLogWriter != nil:
		cfg.KeyLogWriter = io.MultiWriter(cfg.KeyLogWriter, t.keyLog)
	case t.keyLog != nil:
		cfg.KeyLogWriter = t.keyLog
	}
	cfg.Trace = t.sink
}

// tracingKey is the key of a *tracing in a command's context.
type tracingKey struct{}

// tracingOf returns what is to be added, or nil.
func tracingOf(c *cobra.Command) *tracing {
	t, _ := c.Context().Value(tracingKey{}).(*tracing)
	return t
}

// runTraced runs a command with a trace: run is its RunE.
func runTraced(cmd *cobra.Command, args []string, t *tracing, run func(*cobra.Command, []string) error) error {
	cmd.SetContext(context.WithValue(cmd.Context(), tracingKey{}, t))
	cmd.PreRun(cmd, args)
	return run(cmd, args)
}

func traceClientCommand() *cobra.Command {
	var o traceOptions
	c := clientCommand()
	c.Short = "Connect like 'hermetic client', and show the handshake"
	c.Long = `Connect like 'hermetic client', with the same flags, and show the handshake. The connection then ends, unless --http asks
for a response or --pipe connects it to standard input and output. With --json, all output but the trace goes to standard error.`
	c.Example = `  hermetic trace client example.com:443
  hermetic trace client localhost:4433 --cacert ca.pem --http --html handshake.html
  hermetic trace client localhost:4433 --cacert ca.pem --json >trace.jsonl`
	f := c.Flags()
	o.addTo(f, true)
	pipe := f.Bool("pipe", false, "pipe standard input and output, as 'hermetic client' does")
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o.takeJSON(f)
		out := cmd.OutOrStdout()
		s, err := newSinks(&o, "hermetic trace client "+args[0], out)
		if err != nil {
			return err
		}
		switch get, _ := f.GetBool("http"); {
		case o.asJSON:
			cmd.SetOut(cmd.ErrOrStderr())
		case !get && !*pipe:
			cmd.SetOut(io.Discard)
		}
		if get, _ := f.GetBool("http"); !get && !*pipe {
			override(f.Lookup("brief"), "true")
		}
		err = runTraced(cmd, args, &tracing{s.write, s.keyLog()}, run)
		s.blame(err)
		return errors.Join(err, s.finish())
	}
	return c
}

func traceServerCommand() *cobra.Command {
	var o traceOptions
	c := serverCommand()
	c.Short = "Serve like 'hermetic server', and show each handshake"
	c.Long = `Serve like 'hermetic server', with the same flags, and show each handshake when it has succeeded or failed. The page of --html
has the last ` + strconv.Itoa(maxKept) + ` of them. With --json, all output but the trace goes to standard error.`
	c.Example = `  hermetic trace server localhost:4433
  hermetic trace server :4433 --cert server.pem --dtls --html handshakes.html`
	o.addTo(c.Flags(), true)
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := newSinks(&o, "hermetic trace server "+args[0], cmd.OutOrStdout())
		if err != nil {
			return err
		}
		if o.asJSON {
			cmd.SetOut(cmd.ErrOrStderr())
		}
		s.live = true
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		done := make(chan error, 1)
		go func() { done <- runTraced(cmd, args, &tracing{s.write, s.keyLog()}, run) }()
		select {
		case err = <-done:
		case <-interrupted:
		}
		return errors.Join(err, s.finish())
	}
	return c
}

func traceShowCommand() *cobra.Command {
	var o traceOptions
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a trace that was saved with --json; - is standard input",
		Long: `Show a trace: lines of JSON, as --json or trace.NewWriter writes them. Of a file that is damaged, show what comes before the
damage, and say where that is.`,
		Args: needs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, title := cmd.InOrStdin(), args[0]
			if title != "-" {
				file, err := os.Open(title)
				if err != nil {
					return misuse("%w", err)
				}
				defer file.Close()
				in = file
			}
			s, err := newSinks(&o, "hermetic trace show "+title, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			r := trace.NewReader(in)
			for {
				e, err := r.Next()
				if err == io.EOF {
					return s.finish()
				}
				if err != nil {
					return errors.Join(fmt.Errorf("%s: %w", title, err), s.finish())
				}
				s.write(e)
			}
		},
	}
	o.addTo(c.Flags(), false)
	return c
}

func traceSimCommand() *cobra.Command {
	var o traceOptions
	var seed uint64
	var loss string
	c := &cobra.Command{
		Use:   "sim",
		Short: "Play a DTLS connection over a simulated bad network, and show it",
		Long: `Play a DTLS connection over a simulated network that loses, delays, repeats and damages datagrams. The seed decides everything:
the same flags give the same bytes. Both sides tell.`,
		Example: `  hermetic trace sim --seed 7 --loss 30% --html out.html`,
		Args:    needs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			play := sim.Options{Seed: seed}
			title := fmt.Sprintf("hermetic trace sim --seed %d", seed)
			if loss != "" {
				p, err := parseLoss(loss)
				if err != nil {
					return err
				}
				play.Loss = &p
				title += " --loss " + loss
			}
			s, err := newSinks(&o, title, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			play.Trace = s.write
			result, err := sim.Play(play)
			if err != nil {
				return err
			}
			s.note = result.Plan
			if len(result.Problems) > 0 {
				err = fmt.Errorf("this is a fault of hermetic: %s", strings.Join(result.Problems, "; "))
			}
			return errors.Join(err, s.finish())
		},
	}
	f := c.Flags()
	f.Uint64Var(&seed, "seed", 1, "the `NUMBER` that decides everything")
	f.StringVar(&loss, "loss", "", "how many datagrams are lost, such as `20%` or 0.2 (default: the seed decides)")
	o.addTo(f, true)
	return c
}

// parseLoss reads "20%", "20 %" or "0.2".
func parseLoss(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		p /= 100
	}
	if err != nil || !(0 <= p && p <= 1) {
		return 0, misuse("--loss: %q is not from 0%% to 100%%", s)
	}
	return p, nil
}
