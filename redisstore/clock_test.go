package redisstore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// stepped is Redis with a clock that tests step.
type stepped struct {
	*server
	clock string // a file
}

// steppedClock returns what to set in the environment of a Redis, and the file that steps
// its clock. That needs a C compiler.
func steppedClock(t testing.TB) (env []string, clock string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil || runtime.GOOS != "linux" {
		missing(t, "cc, on Linux,")
	}
	dir := t.TempDir()
	library, clock := filepath.Join(dir, "clock.so"), filepath.Join(dir, "clock")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-o", library, "testdata/clock.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{"LD_PRELOAD=" + library, "TEST_CLOCK=" + clock}, clock
}

func newStepped(t testing.TB, args ...string) *stepped {
	t.Helper()
	env, clock := steppedClock(t)
	s := &stepped{clock: clock}
	s.step(t, 0)
	s.server = newServerWith(t, env, args...)
	return s
}

// step sets Redis's clock to the machine's plus d.
func (s *stepped) step(t testing.TB, d time.Duration) {
	t.Helper()
	// In one piece: Redis reads it all the time.
	if err := os.WriteFile(s.clock+"~", strconv.AppendInt(nil, d.Milliseconds(), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.clock+"~", s.clock); err != nil {
		t.Fatal(err)
	}
}

// shifted is the machine's clock plus what a test sets.
type shifted struct{ by time.Duration }

func (c *shifted) time() time.Time { return time.Now().Add(c.by) }

// TestClocks: no step of a clock lets an id be new twice.
func TestClocks(t *testing.T) {
	type step struct {
		name          string
		redis, server time.Duration // of their clocks, beside the time that has passed
		id            string
		want          bool
		wantErr       error
	}
	const minute = time.Minute + time.Second
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"Redis's clock is ahead", []step{
			{"the original", 0, 0, "a", true, nil},
			{"ahead", minute, 0, "a", false, ErrClocks},
			{"an hour ahead", time.Hour, 0, "a", false, ErrClocks},
			{"as before", 0, 0, "a", false, nil},
			{"another one", 0, 0, "b", true, nil},
		}},
		{"Redis's clock is slow", []step{
			{"the original", 0, 0, "a", true, nil},
			{"slow", -minute, 0, "a", false, ErrClocks},
			{"as before", 0, 0, "a", false, nil},
		}},
		{"a server's clock is slow", []step{
			{"the original", 0, 0, "a", true, nil},
			{"slow", 0, -minute, "a", false, ErrClocks},
			{"ahead", 0, minute, "a", false, ErrClocks},
			{"as before", 0, 0, "a", false, nil},
		}},
		{"a minute passes, and a server's clock stays slow", []step{
			{"the original", 0, 0, "a", true, nil},
			{"two minutes later", 2 * minute, 2 * minute, "b", true, nil},
			{"a server's clock says that it is the time of the original", 2 * minute, 0, "a", false, ErrClocks},
		}},
		{"all clocks are set back", []step{
			{"the original", 0, 0, "a", true, nil},
			{"later, twice, so that it is forgotten", 3 * minute, 3 * minute, "b", true, nil},
			{"later still", 6 * minute, 6 * minute, "c", true, nil},
			{"set back", 0, 0, "a", false, ErrClocks},
			{"set back by a little", 6*minute - 3*time.Second, 6*minute - 3*time.Second, "d", false, ErrClocks},
			{"when they have caught up", 6*minute + time.Second, 6*minute + time.Second, "c", false, nil},
		}},
		{"a server is wrong together with Redis", []step{
			{"the original", 0, 0, "a", true, nil},
			{"both ahead", minute, minute, "b", true, nil},
			{"both right again", 0, 0, "a", false, ErrClocks},
		}},
		{"within the tolerance", []step{
			{"the original", time.Second, 0, "a", true, nil},
			{"again", 0, time.Second, "a", false, ErrClocks}, // Redis's was set back
			{"when it has caught up", 2 * time.Second, time.Second, "a", false, nil},
			{"another one", 3 * time.Second, 4 * time.Second, "b", true, nil},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, now := newStepped(t), &shifted{}
			server.grow("hermetic")
			s := server.store(Options{Time: now.time, Timeout: 10 * time.Second})
			for _, step := range test.steps {
				server.step(t, step.redis)
				now.by = step.server
				got, err := s.ask([]byte(step.id), now.time().Add(maxAhead))
				if got != step.want || !errors.Is(err, step.wantErr) {
					t.Errorf("%s: %v, %v", step.name, got, err)
				}
			}
		})
	}
}

// TestMemoryIsLongEnough: what the comment at memory adds up.
func TestMemoryIsLongEnough(t *testing.T) {
	const ages = 2 * 10 * time.Second
	if ages+maxAhead+2*clockTolerance+2*clockTolerance+defaultTimeout > memory {
		t.Error("an id is forgotten before its last replay can be asked about")
	}
}
