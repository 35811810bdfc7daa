package flow

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 ms", 1500 * time.Nanosecond: "2 µs", 999 * time.Microsecond: "999 µs",
		1500 * time.Microsecond: "1.5 ms", 12 * time.Millisecond: "12 ms", 1250 * time.Millisecond: "1.25 s", 61500 * time.Millisecond: "61.5 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d ns: got %q, want %q", d, got, want)
		}
	}
}

func TestTrigger(t *testing.T) {
	for label, want := range map[string]string{"timeout": "no answer in time", "peer_repeats": "the peer repeats its flight",
		"partial_ack": "only a part was acknowledged", "else": "else"} {
		if got := Trigger(label); got != want {
			t.Errorf("%q: got %q, want %q", label, got, want)
		}
	}
}
