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

// notBuilt are tests of features that hermetic does not have, beside those for
// which the shim exits with 89.
var notBuilt = map[string]string{
	"SkipNewSessionTicket":                                          "tickets",
	"SendEmptySessionTicket-TLS13":                                  "tickets",
	"TLS13-DuplicateTicketEarlyDataSupport":                         "tickets",
	"WrongMessageType-NewSessionTicket-TLS":                         "tickets",
	"WrongMessageType-NewSessionTicket-DTLS":                        "tickets",
	"TrailingMessageData-NewSessionTicket-DTLS":                     "tickets",
	"DTLS-Retransmit-Server-NewSessionTicketTimeout-TLS13":          "tickets",
	"DTLS-Retransmit-Server-NewSessionTicketTimeout-TLS13-Short":    "tickets",
	"DTLS-Retransmit-Server-DoNotACKDiscardedFragments-TLS13":       "tickets",
	"DTLS-Retransmit-Server-DoNotACKDiscardedFragments-TLS13-Short": "tickets",
	"TrailingMessageData-NewSessionTicket-TLS":                      "tickets",
	"KeyUpdate-ProcessInOrder-DTLS":                                 "tickets",
	"KeyUpdate-ExtraMessageBuffered-DTLS":                           "tickets",
	"KeyUpdate-ExtraMessage-DTLS":                                   "tickets",
	"DuplicateCertCompressionExt-TLS12":                             "certificate compression",
	"DuplicateCertCompressionExt-TLS13":                             "certificate compression",
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
	t.Logf("of %d applicable tests %d passed, %d failed, %d ask for what is not built (and %d more: %v)",
		len(tests)+len(notBuilt), counts["PASS"], counts["FAIL"], counts["SKIP"], len(notBuilt), notBuilt)
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
		if name != "" && notBuilt[name] == "" {
			tests = append(tests, name)
		}
	}
	return tests
}

// runRunner returns each test's result.
func runRunner(t *testing.T, runner, shim string, tests []string) map[string]string {
	dir := t.TempDir()
	config, output := filepath.Join(dir, "config.json"), filepath.Join(dir, "results.json")
	if err := os.WriteFile(config, []byte(`{"DisabledTests": {}, "ErrorMap": {}}`), 0o600); err != nil {
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
