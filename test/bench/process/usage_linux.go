package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is how long the threads of a process have run, in user mode and in the kernel. The clock
// of clock_getcpuclockid(3) counts nanoseconds, where /proc/PID/stat counts in 10 ms. But what a
// thread that runs right now has used since the scheduler's last tick is not in it yet.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
		return 0, fmt.Errorf("the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// memory is what a process has in RAM, in bytes; a page that it shares counts in part.
func memory(pid int) (int, error) {
	name := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	n, ok := parsePSS(b)
	if !ok {
		return 0, fmt.Errorf("%s has no line of the form \"Pss: 1 kB\"", name)
	}
	return n, nil
}

// parsePSS reads the proportional set size from the text of smaps_rollup.
func parsePSS(text []byte) (int, bool) {
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "Pss:" && string(f[2]) == "kB" {
			n, err := strconv.Atoi(string(f[1]))
			return n << 10, err == nil && n >= 0
		}
	}
	return 0, false
}

// child is the only child of a process: nginx's worker is its master's.
func child(parent int) (int, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var children []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		if pid, ppid, ok := parseStat(b); ok && ppid == parent {
			children = append(children, pid)
		}
	}
	if len(children) != 1 {
		return 0, fmt.Errorf("process %d has %d children, want 1", parent, len(children))
	}
	return children[0], nil
}

// parseStat reads a process and its parent from the text of /proc/PID/stat. The program's name is
// in parentheses and may contain anything, parentheses too.
func parseStat(text []byte) (pid, ppid int, ok bool) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return 0, 0, false
	}
	f := bytes.Fields(text[end+1:])
	if len(f) < 2 {
		return 0, 0, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text[:open])))
	if err != nil {
		return 0, 0, false
	}
	ppid, err = strconv.Atoi(string(f[1]))
	return pid, ppid, err == nil
}
