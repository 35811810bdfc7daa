package webrtctls

import (
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

func TestParseSetup(t *testing.T) {
	for value, want := range map[string]Setup{
		"actpass": SetupActPass, "active": SetupActive, "passive": SetupPassive,
		"ACTIVE": SetupActive, " passive\r": SetupPassive,
		"": "", "holdconn": "", "act": "", "active passive": "", strings.Repeat("a", 1<<20): "",
	} {
		got, err := ParseSetup(value)
		if got != want || (err == nil) != (want != "") || err != nil && len(err.Error()) > 200 {
			t.Errorf("%.50q: %q, %.300v", value, got, err)
		}
	}
}

// TestRole: all pairs of what SDP may say.
func TestRole(t *testing.T) {
	all := []Setup{SetupActPass, SetupActive, SetupPassive, "", "holdconn"}
	want := map[[2]Setup]hermetic.Mode{
		{SetupActive, SetupPassive}:  hermetic.DTLSClient,
		{SetupActive, SetupActPass}:  hermetic.DTLSClient,
		{SetupActPass, SetupPassive}: hermetic.DTLSClient,
		{SetupPassive, SetupActive}:  hermetic.DTLSServer,
		{SetupPassive, SetupActPass}: hermetic.DTLSServer,
		{SetupActPass, SetupActive}:  hermetic.DTLSServer,
	}
	for _, local := range all {
		for _, remote := range all {
			got, err := Role(local, remote)
			if got != want[[2]Setup{local, remote}] || (err == nil) != (got != 0) {
				t.Errorf("%q and %q: %v, %v", local, remote, got, err)
			}
		}
	}
	for _, offer := range all[:3] {
		ours, err := Role(offer.Answer(), offer)
		theirs, err2 := Role(offer, offer.Answer())
		if err != nil || err2 != nil || ours == theirs {
			t.Errorf("%q is answered with %q: %v and %v, %v, %v", offer, offer.Answer(), ours, theirs, err, err2)
		}
	}
}
