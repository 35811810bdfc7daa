package main

import (
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// TestFastGroups: only the flag brings circl in.
func TestFastGroups(t *testing.T) {
	for _, fast := range []bool{false, true} {
		var cfg hermetic.Config
		o := protocolOptions{cid: noCID, fastGroups: fast}
		if err := o.apply(&cfg); err != nil || (len(cfg.KeyExchanges) > 0) != fast {
			t.Errorf("with the flag %t: %d implementations, %v", fast, len(cfg.KeyExchanges), err)
		}
	}
}
