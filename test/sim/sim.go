package sim

import (
	"fmt"

	"github.com/hermetic-tls/hermetic/trace"
)

// Options say what is played.
type Options struct {
	// Seed decides everything that the other fields do not.
	Seed uint64

	// Loss is the probability that a datagram is lost, from 0 to 1. Nil leaves it to the seed.
	Loss *float64

	// Trace receives the events of both engines: see hermetic.Config.Trace. Nil is off.
	Trace func(trace.Event)
}

// Result is how a run has ended.
type Result struct {
	// Plan says in one line what the seed has decided.
	Plan string

	// Events are what happened on the network, a line each.
	Events string

	// Problems are what must not happen. There are none unless hermetic has a fault.
	Problems []string

	// Complete says that both sides have completed their handshake.
	Complete bool
}

// Play plays a connection from its beginning to its end. The same options give the same run, and
// the same events with the same bytes, in every process.
func Play(o Options) (Result, error) {
	if o.Loss != nil && !(0 <= *o.Loss && *o.Loss <= 1) {
		return Result{}, fmt.Errorf("a loss of %v is not from 0 to 1", *o.Loss)
	}
	r := newRun(o)
	r.play()
	return Result{
		Plan: r.plan.String(), Events: r.events.String(), Problems: r.problems,
		Complete: r.complete(toClient) && r.complete(toServer),
	}, nil
}

// Command is the command that shows a run.
func Command(seed uint64) string { return fmt.Sprintf("hermetic trace sim --seed %d", seed) }
