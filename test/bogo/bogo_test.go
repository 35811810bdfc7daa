package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Why some tests cannot pass.
const (
	unknownPSK  = "an unknown PSK is answered like a wrong key: with decrypt_error"
	noNameAck   = "pion/dtls cannot read a server_name in a ServerHello"
	noHint      = "no psk_identity_hint"
	only13      = "what has no suite for TLS 1.2 is not offered"
	clientOrder = "of several PSKs the client's order counts"
	pskFirst    = "a PSK that is known comes before a certificate"
	ourOrder    = "our order of suites counts, not the client's"
	compression = "certificate compression"
)

// otherwise are tests of what hermetic does not have, or does in another way,
// beside those for which the shim exits with 89.
var otherwise = map[string]string{
	"ServerNameExtensionServer-DTLS-TLS12":                      noNameAck,
	"PSK-Server-NoCommonPSKs-TLS":                               unknownPSK,
	"PSK-Server-IdentityDoesNotMatch-TLS":                       unknownPSK,
	"PSK-Server-PartialImport-NoMatch-TLS":                      unknownPSK,
	"TLS-TLS12-ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256-server":  noHint,
	"PSK-Client-PSKRequired-TLS12-TLS":                          only13,
	"PSK-Server-ServerPreferenceOrder-TLS":                      clientOrder,
	"PSK-Server-CertOrPSK-Cert-TLS":                             pskFirst,
	"PSK-Server-NoCommonPSKs-DTLS":                              unknownPSK,
	"PSK-Server-IdentityDoesNotMatch-DTLS":                      unknownPSK,
	"PSK-Server-PartialImport-NoMatch-DTLS":                     unknownPSK,
	"DTLS-TLS12-ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256-server": noHint,
	"PSK-Client-PSKRequired-TLS12-DTLS":                         only13,
	"PSK-Server-ServerPreferenceOrder-DTLS":                     clientOrder,
	"PSK-Server-CertOrPSK-Cert-DTLS":                            pskFirst,
	"Resume-Server-CipherNotPreferred-TLS13":                    ourOrder,
	"DuplicateCertCompressionExt-TLS12":                         compression,
	"DuplicateCertCompressionExt-TLS13":                         compression,
}

// TestBoGo runs the tests that apply to hermetic with BoringSSL's runner.
func TestBoGo(t *testing.T) {
	runner := os.Getenv("BOGO_RUNNER")
	if runner == "" {
		t.Skip("BOGO_RUNNER is not set: BoringSSL's runner is not run (see README.md)")
	}
	tests := applicable(t)
	shim := filepath.Join(t.TempDir(), "shim")
	if out, err := exec.Command("go", "build", "-o", shim, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the shim: %v\n%s", err, out)
	}
	results := map[string]string{}
	for part := range slices.Chunk(tests, 1000) { // a command line has its limits
		maps.Copy(results, runRunner(t, runner, shim, part))
	}
	counts := map[string]int{}
	for _, name := range tests {
		result := results[name]
		counts[result]++
		if result != "PASS" && result != "SKIP" {
			t.Errorf("%s: %s", name, result)
		}
	}
	t.Logf("of %d applicable tests %d passed, %d failed, %d ask for what is not built (and %d are not run: %v)",
		len(tests)+len(otherwise), counts["PASS"], counts["FAIL"], counts["SKIP"], len(otherwise), otherwise)
	if counts["PASS"] == 0 {
		t.Error("no test has run")
	}
}

// applicable reads the list of the tests that apply.
func applicable(t *testing.T) []string {
	data, err := os.ReadFile("../../../shared/bogo/applicable.txt")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no list of applicable tests: %v", err)
	}
	var tests []string
	for name := range strings.Lines(string(data)) {
		name = strings.TrimSpace(name)
		if name != "" && otherwise[name] == "" {
			tests = append(tests, name)
		}
	}
	return tests
}

// runRunner returns each test's result.
func runRunner(t *testing.T, runner, shim string, tests []string) map[string]string {
	dir := t.TempDir()
	config, output := filepath.Join(dir, "config.json"), filepath.Join(dir, "results.json")
	if err := os.WriteFile(config, []byte(`{"DisabledTests": {}, "ErrorMap": {}, "HalfRTTTickets": 0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(runner, "-shim-path", shim, "-shim-config", config, "-allow-unimplemented", "-num-workers", "6",
		"-json-output", output, "-test", strings.Join(tests, ";"))
	cmd.Dir = os.Getenv("BOGO_DIR")
	log, runErr := cmd.CombinedOutput()
	data, err := os.ReadFile(output)
	if err != nil {
		t.Fatalf("the runner gave no results: %v\n%s", runErr, tail(log))
	}
	var parsed struct {
		Tests map[string]struct {
			Actual string `json:"actual"`
		} `json:"tests"`
	}
	if err := json.Unmarshal(data, &parsed); err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	failed := false
	for name, test := range parsed.Tests {
		results[name] = test.Actual
		failed = failed || test.Actual == "FAIL"
	}
	if failed {
		t.Log(failures(string(log)))
	}
	return results
}

func tail(b []byte) string { return string(b[max(0, len(b)-4000):]) }

// failures are the parts of the runner's log that are about failures.
func failures(log string) string {
	var b strings.Builder
	for i, part := range strings.Split(log, "FAILED (") {
		if i > 0 {
			text, _, _ := strings.Cut(part, "PASSED (")
			fmt.Fprintf(&b, "FAILED (%s\n", text)
		}
	}
	return b.String()
}
