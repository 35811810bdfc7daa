// Command bench measures hermetic and its peers side by side, and prints one table: handshakes,
// records, memory and whole servers, beside crypto/tls, pion/dtls, net/http and nginx, and beside the
// cryptography that the work cannot avoid.
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
	"github.com/spf13/pflag"

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
	from    string
	docs    string
	charts  string
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

The contestants of a row take short turns, in many rounds, so that whatever disturbs the machine
disturbs all of them. A figure is the median of the rounds; the number after ± is half the distance
between their quartiles. A column with × has the ratio to another contestant: the median of the
ratios in each round. Handshakes and records run in one thread, and their time is CPU time. The
floor is the cryptography that the work cannot avoid, called directly.

A goal is missed if even the better quartile of the rounds does not reach it. If only the median
does not, it is within the noise.

Exit codes:
   0  success
   1  a failure; with --check, also a goal that is missed
   2  a flag cannot be used`,
		Example: `  go run ./test/bench --rows 'TLS 1.3.*resumed'
  go run ./test/bench --check --json > result.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misuse("unexpected argument %q: there are only flags", args[0])
			}
			return nil
		},
		RunE:          func(c *cobra.Command, _ []string) error { return o.run(c) },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{plainly(err)} })
	f := root.Flags()
	f.StringVar(&o.rows, "rows", "", "measure only the rows whose section and name match this `REGEXP`")
	f.IntVar(&o.rounds, "rounds", usualRounds, "the number of rounds; some rows have fewer")
	f.BoolVar(&o.quick, "quick", false, fmt.Sprintf("%d very short rounds, to see that everything works; the figures mean little", quickRounds))
	f.BoolVar(&o.json, "json", false, "print all figures as JSON, instead of the table")
	f.BoolVar(&o.check, "check", false, "exit with 1 if a goal is missed by more than the noise")
	f.StringVar(&o.from, "from", "", "measure nothing: take the figures from this `FILE`, which --json has written")
	f.StringVar(&o.docs, "docs", "", "write the tables of the measured sections into this Markdown `FILE`, such as docs/performance.md")
	f.StringVar(&o.charts, "charts", "", "write SVG charts into this `FOLDER`, such as docs/performance")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this `FILE`, labeled with row and contestant, and one of each Go server of the last row to FILE.NAME")
	return root
}

// plainly rewords the error of a flag with an invalid value.
func plainly(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	f := invalid.GetFlag()
	wanted := map[string]string{"int": "a number", "bool": "true or false"}[f.Value.Type()]
	return fmt.Errorf("--%s: %q is not %s", f.Name, invalid.GetValue(), wanted)
}

// consistent refuses flags that exclude each other, and empty file names, which in a script are
// variables that are not set.
func (o *options) consistent(f *pflag.FlagSet) error {
	for _, name := range []string{"from", "docs", "charts", "cpuprofile"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return misuse("--%s: the name is empty", name)
		}
	}
	for _, name := range []string{"rounds", "quick", "cpuprofile"} {
		if o.from != "" && f.Changed(name) {
			return misuse("--%s and --from exclude each other: --from measures nothing", name)
		}
	}
	return nil
}

func (o *options) run(c *cobra.Command) error {
	if err := o.consistent(c.Flags()); err != nil {
		return err
	}
	r, err := o.result(c.Context())
	if err != nil {
		return err
	}
	r.Goals = r.judge(goals)
	if err := o.allowed(r); err != nil {
		return err
	}
	if o.json {
		err = r.writeJSON(c.OutOrStdout())
	} else {
		err = r.print(c.OutOrStdout())
	}
	if err == nil && o.docs != "" {
		err = r.writeDocs(o.docs, sections())
	}
	if err == nil && o.charts != "" {
		err = r.writeCharts(o.charts, allCharts())
	}
	if err == nil && o.check {
		err = check(r.Goals)
	}
	return err
}

// result measures, or reads what was measured.
func (o *options) result(ctx context.Context) (*result, error) {
	wanted, err := regexp.Compile(o.rows)
	switch {
	case err != nil:
		return nil, misuse("--rows: %w", err)
	case o.rounds < 1:
		return nil, misuse("--rounds: %d is less than 1", o.rounds)
	case o.quick && (o.check || o.docs != "" || o.charts != ""):
		return nil, misuse("--quick excludes --check, --docs and --charts: its figures mean little")
	}
	var r *result
	if o.from != "" {
		if r, err = readResult(o.from); err == nil {
			r.keep(wanted)
		}
	} else {
		r, err = o.measure(ctx, wanted)
	}
	if err == nil && len(r.Rows) == 0 {
		err = misuse("--rows: no row matches %q", o.rows)
	}
	return r, err
}

// allowed refuses flags that the result is not good for.
func (o *options) allowed(r *result) error {
	switch {
	case r.Quick && (o.check || o.docs != "" || o.charts != ""):
		return misuse("--from: %s was measured with --quick: its figures mean little", o.from)
	case o.check && len(r.Goals) == 0:
		return misuse("--check: these rows have no goal")
	}
	return nil
}

func (o *options) measure(ctx context.Context, wanted *regexp.Regexp) (*result, error) {
	r := &runner{rounds: o.rounds, slice: usualSlice, profile: o.profile, log: newProgress(os.Stderr)}
	if o.quick {
		r.rounds, r.slice, r.quick = quickRounds, quickSlice, true
	}
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	return r.run(ctx, sections(), wanted)
}
