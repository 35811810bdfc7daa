//go:build !linux

package main

// processRows need Linux: its /proc, its epoll, and its clocks of other processes.
func processRows() []row { return nil }
