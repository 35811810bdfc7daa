// Package sim is a simulated network with a virtual clock, for DTLS: what happens
// to a datagram is up to a seed, and the same seed gives the same run, and the same
// bytes of trace. The command has it as hermetic trace sim.
//
//	go test ./test/sim -seeds 100000 -first 100001
//	go test ./test/sim -seeds 100000    # so many runs
//	go test ./test/sim -seed 4711 -v    # one of them, with its events
package sim
