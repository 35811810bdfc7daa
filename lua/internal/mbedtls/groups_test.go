package mbedtls

import (
	"bytes"
	"os/exec"
	"testing"
)

// TestFastGroups: the build tag, and only that, brings circl in. The test runs itself again
// with the tag.
func TestFastGroups(t *testing.T) {
	if len(exchanges) > 0 {
		var o Options
		if err := o.Set("mode", "string", "tls-client"); err != nil {
			t.Fatal(err)
		}
		if c, err := o.Config(); err != nil || len(c.config.KeyExchanges) != len(exchanges) {
			t.Errorf("a configuration does not have them: %v", err)
		}
		return
	}
	if testing.Short() {
		t.Skip("it builds the package again")
	}
	list := exec.Command("go", "list", "-deps", ".")
	if out, err := list.CombinedOutput(); err != nil || bytes.Contains(out, []byte("cloudflare/circl")) {
		t.Errorf("without the tag: %v\n%s", err, out)
	}
	again := exec.Command("go", "test", "-tags", "fastgroups", "-run", "^TestFastGroups$", ".")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("with the tag: %v\n%s", err, out)
	}
}
