package sim

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hermetic-tls/hermetic/trace"
)

var (
	seeds = flag.Uint64("seeds", 500, "how many seeds to play")
	first = flag.Uint64("first", 1, "the first of them")
	one   = flag.Uint64("seed", 0, "the one seed to play, with its events")
)

// TestSim plays seeds, and looks at each of them and at all together.
func TestSim(t *testing.T) {
	if *one != 0 {
		r := newRun(Options{Seed: *one})
		r.play()
		t.Logf("%v\n%s", r.plan, r.events.String())
		for _, p := range r.problems {
			t.Error(p)
		}
		return
	}
	var fair, failed, completed, followed, proofs atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		shards := uint64(runtime.GOMAXPROCS(0))
		for shard := range shards {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for seed := *first + shard; seed < *first+*seeds; seed += shards {
					r := newRun(Options{Seed: seed})
					r.play()
					for _, p := range r.problems {
						t.Errorf("%s\n\t%v\n\tgo test ./test/sim -run Sim -v -seed %d\n\t%s", p, r.plan, seed, Command(seed))
					}
					followed.Add(int64(r.followed))
					proofs.Add(int64(r.proofs))
					done := r.complete(toClient) && r.complete(toServer)
					if done {
						completed.Add(1)
					}
					if r.loss <= 0.2 && r.flip == 0 && !r.early {
						fair.Add(1)
						if !done {
							t.Logf("seed %d: %v", seed, r.plan)
							failed.Add(1)
						}
					}
				}
			})
		}
	})
	t.Logf("%d of %d handshakes completed; at up to 20 %% loss %d of %d did not; clients were followed to %d addresses, and have proved %d of them",
		completed.Load(), *seeds, failed.Load(), fair.Load(), followed.Load(), proofs.Load())
	if *seeds >= 500 && (proofs.Load() == 0 || followed.Load() == proofs.Load()) {
		t.Error("no client was ever followed to a new address, with a proof and without one")
	}
	// A flight is sent eight times, the last after a minute. At 20 % loss, an
	// exchange of two datagrams each way fails with 1-0.8^4, eight times in a row
	// with 1.5 %, if nothing were kept of what came: a generous bound.
	if f := failed.Load(); f*1000 > 15*fair.Load() {
		t.Errorf("at up to 20 %% loss %d of %d handshakes fail", f, fair.Load())
	}
}

// TestSimCompact plays seeds whose engines are made small after each step, if they can be.
func TestSimCompact(t *testing.T) {
	slept, completed := 0, 0
	for seed := *first; seed < *first+*seeds; seed++ {
		r := newRun(Options{Seed: seed})
		r.sleepy = true
		r.play()
		for _, p := range r.problems {
			t.Errorf("seed %d: %s\n\t%v", seed, p, r.plan)
		}
		slept += r.slept
		if r.complete(toClient) && r.complete(toServer) {
			completed++
		}
	}
	t.Logf("%d of %d handshakes completed; engines were made small %d times", completed, *seeds, slept)
	if slept < completed {
		t.Error("most engines were never made small")
	}
}

// traced plays a seed, and returns its trace.
func traced(t *testing.T, o Options) (Result, string) {
	t.Helper()
	var out strings.Builder
	w := trace.NewWriter(&out, nil)
	o.Trace = w.Write
	result, err := Play(o)
	if err != nil || w.Err() != nil {
		t.Fatal(err, w.Err())
	}
	return result, out.String()
}

// TestSameSeedSameBytes: or a seed that fails could not be replayed, in another process with
// other certificates.
func TestSameSeedSameBytes(t *testing.T) {
	for seed := range uint64(50) {
		first, text := traced(t, Options{Seed: seed})
		shared = sync.OnceValue(newCertificates)
		second, again := traced(t, Options{Seed: seed})
		if !reflect.DeepEqual(first, second) || text != again {
			t.Fatalf("seed %d: %s\n%s\n%s", seed, first.Plan, first.Events, second.Events)
		}
	}
}

// TestOtherProcess: the bytes are the same in another process.
func TestOtherProcess(t *testing.T) {
	const child = "HERMETIC_SIM_CHILD"
	loss := 0.2
	hash := sha256.New()
	for seed := range uint64(20) {
		_, text := traced(t, Options{Seed: seed, Loss: &loss})
		io.WriteString(hash, text)
	}
	sum := fmt.Sprintf("the sum is %x", hash.Sum(nil))
	if os.Getenv(child) != "" {
		t.Log(sum)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOtherProcess$", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), sum) {
		t.Errorf("here %s, there %s (%v)", sum, out, err)
	}
}

// TestTraceChangesNothing: a connection is the same with a trace and without.
func TestTraceChangesNothing(t *testing.T) {
	for seed := range uint64(100) {
		without, err := Play(Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if with, _ := traced(t, Options{Seed: seed}); !reflect.DeepEqual(with, without) {
			t.Errorf("seed %d: %s\n%s\n%s", seed, with.Plan, with.Events, without.Events)
		}
	}
}

// TestTraceAgrees: what the traces tell is what the engines count, over a bad network.
func TestTraceAgrees(t *testing.T) {
	for seed := range uint64(100) {
		drops := map[trace.Side]map[string]uint64{trace.Client: {}, trace.Server: {}}
		completed := map[trace.Side]bool{}
		r := newRun(Options{Seed: seed, Trace: func(e trace.Event) {
			switch d := e.Data.(type) {
			case *trace.Drop:
				drops[e.Side][d.Reason]++
			case *trace.Completed:
				completed[e.Side] = true
			case *trace.Message:
				if d.Sent && d.Malformed {
					t.Errorf("seed %d: %s is malformed", seed, d.Type)
				}
			}
		}})
		r.play()
		for side, name := range map[int]trace.Side{toClient: trace.Client, toServer: trace.Server} {
			if e := r.engines[side]; e != nil && r.failed[side] == nil {
				d := e.Drops()
				want := map[string]uint64{
					"malformed": d.Malformed, "foreign": d.Foreign, "no_keys": d.NoKeys, "forged": d.Forged, "replayed": d.Replayed,
					"unprotected": d.Unprotected, "misplaced": d.Misplaced,
				}
				maps.DeleteFunc(want, func(_ string, n uint64) bool { return n == 0 })
				if !maps.Equal(drops[name], want) {
					t.Errorf("seed %d: the %s told of %v, and counted %v", seed, name, drops[name], want)
				}
			}
			if r.complete(side) != completed[name] {
				t.Errorf("seed %d: the %s is complete: %v, and told %v", seed, name, r.complete(side), completed[name])
			}
		}
	}
}

// TestLoss: a loss that is given takes the place of the seed's.
func TestLoss(t *testing.T) {
	all, none, wrong := 1.0, 0.0, 1.5
	if r, err := Play(Options{Seed: 1, Loss: &all}); err != nil || r.Complete {
		t.Errorf("everything is lost: %+v, %v", r, err)
	}
	if r, err := Play(Options{Seed: 1, Loss: &none}); err != nil || !r.Complete || strings.Contains(r.Events, "lost true") {
		t.Errorf("nothing is lost: %+v, %v", r, err)
	}
	if _, err := Play(Options{Loss: &wrong}); err == nil {
		t.Error("a loss of 150 % is accepted")
	}
}
