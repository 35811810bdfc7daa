//go:build !linux

package main

import "time"

var started = time.Now()

// cpuTime is the time of day, where nothing better is at hand.
func cpuTime() time.Duration { return time.Since(started) }
