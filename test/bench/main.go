// Command bench measures hermetic and its peers side by side, and prints one table: handshakes,
// records and memory beside crypto/tls and beside the cryptography that nobody can avoid.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic/test/bench/process"
)

// The exit codes, besides 0 for success.
const (
	exitFailure = iota + 1
	exitUsage
)

func main() {
	crowdChild()
	process.Child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "bench: "+strings.TrimRight(err.Error(), "\n"))
	var wrong *usageError
	if errors.As(err, &wrong) {
		fmt.Fprintln(os.Stderr, "  go run ./test/bench --help shows the flags")
		os.Exit(exitUsage)
	}
	os.Exit(exitFailure)
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func misuse(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// options are the flags.
type options struct {
	rows    string
	rounds  int
	quick   bool
	json    bool
	check   bool
	profile string
}

const (
	usualRounds = 31
	usualSlice  = 20 * time.Millisecond
	quickRounds = 2
	quickSlice  = time.Millisecond
)

func rootCommand() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "bench",
		Short: "Measures hermetic beside its peers, and prints one table",
		Long: `Measures hermetic beside its peers, and prints one table.

The contestants of a row take turns: each works for a moment, again and again, so that whatever
disturbs the machine disturbs all of them. The table has the median of these rounds and, after ±,
half the distance between their quartiles. The columns with × have ratios to other contestants:
the median of the ratios of each round. Handshakes and records run in one thread, and their time is
that of the processor. The floor is the cryptography that the work needs, and nothing else.

A goal is missed if the better quartile of the rounds does not reach it. If only the median does
not, it is within the noise.

Exit codes:
   0  success
   1  a failure; with --check, also a goal that is missed
   2  a flag cannot be used`,
		Example: `  go run ./test/bench --rows 'TLS 1.3.*resumed'
  go run ./test/bench --check --json > result.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misuse("there are no arguments, but %q is given", args[0])
			}
			return nil
		},
		RunE:          func(c *cobra.Command, _ []string) error { return o.run(c) },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	f := root.Flags()
	f.StringVar(&o.rows, "rows", "", "measure only the rows whose section and name match this `REGEXP`")
	f.IntVar(&o.rounds, "rounds", usualRounds, "the number of rounds")
	f.BoolVar(&o.quick, "quick", false, fmt.Sprintf("%d very short rounds, to see that everything works; the figures mean little", quickRounds))
	f.BoolVar(&o.json, "json", false, "print all figures as JSON, instead of the table")
	f.BoolVar(&o.check, "check", false, "exit with 1 if a goal is missed by more than the noise")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this `FILE`; its labels are row and contestant")
	return root
}

func (o *options) run(c *cobra.Command) error {
	wanted, err := regexp.Compile(o.rows)
	if err != nil {
		return misuse("--rows: %w", err)
	}
	if o.rounds < 1 {
		return misuse("--rounds: %d is not a number from 1", o.rounds)
	}
	if o.check && o.quick {
		return misuse("--check needs figures that mean something, and those of --quick do not")
	}
	r := &runner{rounds: o.rounds, slice: usualSlice, log: newProgress(os.Stderr)}
	if o.quick {
		r.rounds, r.slice, r.quick = quickRounds, quickSlice, true
	}
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	measured, err := r.run(c.Context(), sections(), wanted)
	if err != nil {
		return err
	}
	if len(measured.Rows) == 0 {
		return misuse("--rows: no row matches %q", o.rows)
	}
	measured.Goals = measured.judge(goals)
	if o.check && len(measured.Goals) == 0 {
		return misuse("--check: there is no goal for these rows")
	}
	if o.json {
		err = measured.writeJSON(c.OutOrStdout())
	} else {
		err = measured.print(c.OutOrStdout())
	}
	if err != nil || !o.check {
		return err
	}
	return check(measured.Goals)
}
