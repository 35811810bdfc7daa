package main

import (
	"errors"
	"fmt"
	"strconv"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a mistake in the arguments of a command.
type usageError struct {
	error
	command *cobra.Command // whose usage is the advice, or nil
}

func (e *usageError) Unwrap() error { return e.error }

// misuse returns a usageError that needs no advice.
func misuse(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), nil}
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

// once makes it an error to give a flag twice that takes one value.
func once(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !repeatable(f) {
			f.Value = &onceValue{Value: f.Value}
		}
	})
	for _, sub := range c.Commands() {
		once(sub)
	}
}

func repeatable(f *pflag.Flag) bool {
	if _, ok := f.Value.(pflag.SliceValue); ok {
		return true
	}
	_, ok := f.Value.(interface{ repeats() })
	return ok
}

// onceValue is a flag's value that can be set once.
type onceValue struct {
	pflag.Value
	given bool
}

var errTwice = errors.New("it takes one value, but is given twice")

func (v *onceValue) Set(text string) error {
	if v.given {
		return errTwice
	}
	v.given = true
	return v.Value.Set(text)
}

// override sets a flag whether or not it was given.
func override(f *pflag.Flag, text string) {
	if once, ok := f.Value.(*onceValue); ok {
		once.Value.Set(text)
		return
	}
	f.Value.Set(text)
}

// filename is the value of a flag that names a file. An empty one is a mistake: in a script, a
// variable that is not set.
type filename string

var errNoFile = errors.New("the file's name is empty")

func (f *filename) Type() string   { return "file" }
func (f *filename) String() string { return string(*f) }

func (f *filename) Set(name string) error {
	if name == "" {
		return errNoFile
	}
	*f = filename(name)
	return nil
}

// cidLength is the value of --cid.
type cidLength int

// noCID is the value of --cid when it is not given.
const noCID = -1

// maxCID is the length of the longest connection ID, in bytes (RFC 9146, Section 3).
const maxCID = 255

func (l *cidLength) Type() string   { return "cid" }
func (l *cidLength) String() string { return strconv.Itoa(int(*l)) }

func (l *cidLength) Set(text string) error {
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return notOneOf("a number")
	case err != nil, n < 0, n > maxCID:
		return notOneOf(fmt.Sprintf("from 0 to %d", maxCID))
	}
	*l = cidLength(n)
	return nil
}

// notOneOf is the error for a value: what is allowed.
type notOneOf string

func (e notOneOf) Error() string { return "it is not " + string(e) }

// allowed says which values the types of flags have.
var allowed = map[string]string{
	"int":      "a number",
	"uint32":   "a number from 0 to 4294967295",
	"uint64":   "a number from 0 to 18446744073709551615",
	"bool":     "true or false",
	"duration": "a time such as 500ms, 10s or 2m",
}

// plainly rewords the error of a flag with an invalid value.
func plainly(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	name, value := invalid.GetFlag().Name, invalid.GetValue()
	cause := errors.Unwrap(invalid)
	var choice notOneOf
	switch wanted, ok := allowed[invalid.GetFlag().Value.Type()]; {
	case errors.As(cause, &choice):
		return fmt.Errorf("--%s: %s is not %s", name, shown(value), string(choice))
	case ok && cause != errTwice:
		return fmt.Errorf("--%s: %s is not %s", name, shown(value), wanted)
	}
	return fmt.Errorf("--%s: %w", name, cause) // without the value, which may be a key
}

// shown returns a value as an error shows it.
func shown(value string) string {
	for _, r := range value {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return strconv.Quote(value)
		}
	}
	if value == "" {
		return `""`
	}
	return value
}
