package main

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// A trial is a [testing.TB] for the rows, so that they share their setup with the tests. Only
// these methods work.
type trial struct {
	testing.TB
	ctx      context.Context
	slice    time.Duration // what a round takes
	quick    bool          // see only that it works
	profile  string        // the file for a CPU profile, to which servers add their names; empty: none
	cleanups []func()
}

// failure is what Fatal panics with.
type failure string

func (t *trial) Helper()                  {}
func (t *trial) Context() context.Context { return t.ctx }
func (t *trial) Fatal(args ...any)        { panic(failure(fmt.Sprint(args...))) }

func (t *trial) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// missing is what Skip panics with.
type missing string

// Skip ends a contestant that cannot work here.
func (t *trial) Skip(args ...any) { panic(missing(fmt.Sprint(args...))) }

// Cleanup calls f at the end of the row, the last one first.
func (t *trial) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *trial) clean() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// try returns what f fails with.
func (t *trial) try(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s", string(v))
		case missing:
			err = &missingError{string(v)}
		default:
			panic(v)
		}
	}()
	f()
	return t.ctx.Err()
}

// missingError says why a contestant cannot work here.
type missingError struct{ reason string }

func (e *missingError) Error() string { return e.reason }
