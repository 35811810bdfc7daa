//go:build !linux

package main

// These rows need Linux: its /proc, its epoll, and its clocks of other processes.

func serverRows() []row       { return nil }
func latencyRows() []row      { return nil }
func serverMemoryRows() []row { return nil }
