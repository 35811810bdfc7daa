package flow

import (
	"fmt"
	"time"
)

// Duration returns a time for a person to read: "12 ms". What is negative is "0 ms".
func Duration(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d > 0:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	}
	return "0 ms"
}

// Trigger says in words why something is sent again: the Label of a [Retransmission]. One that
// it does not know is returned as it is.
func Trigger(label string) string {
	switch label {
	case "timeout":
		return "no answer in time"
	case "peer_repeats":
		return "the peer repeats its flight"
	case "partial_ack":
		return "only a part was acknowledged"
	}
	return label
}
