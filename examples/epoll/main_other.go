//go:build !linux

package main

import "log"

func main() {
	log.Fatal("epoll is of Linux: for kqueue, and other loops, change the calls of package unix only")
}
