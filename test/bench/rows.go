package main

// A section is a part of the table. Its rows have the same contestants.
type section struct {
	name string
	// oneThread is for work that this process does itself: it is measured in one thread, and
	// its time is that of the processor.
	oneThread bool
	// detailed sections have a line for each contestant in the documentation, not one for each row.
	detailed bool
	rows     func() []row
}

// sections are the table.
func sections() []section {
	return []section{
		{name: "Handshakes", oneThread: true, rows: handshakeRows},
		{name: "Records", oneThread: true, rows: recordRows},
		{name: "Memory", oneThread: true, rows: memoryRows},
		{name: "Resident memory", oneThread: true, detailed: true, rows: crowdRows},
		{name: "Peers of a listener", detailed: true, rows: listenerRows},
		{name: "DTLS beside pion", oneThread: true, detailed: true, rows: pionRows},
		{name: "DTLS memory beside pion", oneThread: true, detailed: true, rows: pionMemoryRows},
		{name: "Servers", rows: serverRows},
		{name: "Server latency", detailed: true, rows: latencyRows},
		{name: "Server memory", rows: serverMemoryRows},
	}
}

// A row is one piece of work, and its contestants.
type row struct {
	name string
	// measure is what the contestants are compared by.
	measure measure
	// rounds is the number of rounds, if it is not that of the flags: for what takes long.
	rounds      int
	contestants []contestant
	// versus names, for a contestant, the others that it is compared with. If it is nil, the
	// first contestant is compared with all others.
	versus map[string][]string
}

// A contestant does the work of a row.
type contestant struct {
	name string
	// start prepares the work, and returns what measures it once. What must end with the trial, start
	// registers with [trial.Cleanup].
	start func(t *trial) round
}

// A round measures a contestant once, for about the time of [trial.slice]. If it fails, it calls
// t.Fatal.
type round func(t *trial) sample

// A sample is what one round measures.
type sample map[measure]float64

// A measure is one kind of figure.
type measure string

// The measures.
const (
	opTime      measure = "time"           // of one operation
	allocations measure = "allocations"    // of one operation
	garbage     measure = "garbage"        // bytes that one operation allocates
	onWire      measure = "wire"           // bytes that one operation sends, in both directions
	idleHeap    measure = "idle"           // bytes of heap that an established connection keeps
	compactHeap measure = "compact"        // the same once it is made small
	openHeap    measure = "half-open"      // the same while it waits for its peer's next flight
	stacks      measure = "stacks"         // bytes of goroutines' stacks that an established connection keeps
	idleRSS     measure = "idle RSS"       // resident memory of an established connection
	compactRSS  measure = "compact RSS"    // the same once it is made small
	wakeTime    measure = "wake"           // of the processor, until all small connections have been heard and answered
	rss         measure = "rss"            // bytes of resident memory
	perCPU      measure = "per CPU second" // operations, for a second of the processor that a server took
	p50         measure = "p50"            // the time that half of the operations do not exceed
	p99         measure = "p99"
	p999        measure = "p99.9"
)

// measures are all of them, in the order of the columns.
var measures = []struct {
	measure
	show  func(float64) string
	large bool // more is better
}{
	{opTime, showTime, false},
	{allocations, showCount, false},
	{garbage, showBytes, false},
	{onWire, showCount, false},
	{idleHeap, showBytes, false},
	{compactHeap, showBytes, false},
	{openHeap, showBytes, false},
	{stacks, showBytes, false},
	{idleRSS, showBytes, false},
	{compactRSS, showBytes, false},
	{wakeTime, showTime, false},
	{rss, showBytes, false},
	{perCPU, showCount, true},
	{p50, showTime, false},
	{p99, showTime, false},
	{p999, showTime, false},
}

// order is a measure's place in measures.
func (m measure) order() int {
	i := m.find()
	if i < 0 {
		panic("measures has no " + string(m))
	}
	return i
}

func (m measure) find() int {
	for i := range measures {
		if measures[i].measure == m {
			return i
		}
	}
	return -1
}

func (m measure) known() bool { return m.find() >= 0 }

func (m measure) show(v float64) string { return measures[m.order()].show(v) }

func (m measure) large() bool { return measures[m.order()].large }

// The contestants of several rows.
const (
	ours       = "hermetic"
	oursCircl  = "hermetic with circl"
	cryptoTLS  = "crypto/tls"
	floor      = "floor"
	floorCircl = "floor with circl"
)
