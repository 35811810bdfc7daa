package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what this process has used of the processors. Unlike the time of day, it does not
// go on while other processes run.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
