package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the counts to docs/conformance.md")

// pass is one way in which the tests are run.
type pass struct {
	name  string   // in docs/conformance.md
	flags []string // of the shim
	dtls  bool     // only the tests of DTLS
	// rule says why the result of a test is as it should be in this pass, although the
	// runner expects another one: "", it is not; passed, the runner objects only to the
	// shim's notes.
	rule func(outcome) string
	// either are tests that pass, or fail with that text, by chance: both are by rule.
	either map[string]string
}

// passes are run one after the other.
var passes = []pass{
	{name: "Engine"},
	{name: "Engine, lenient", flags: []string{"-lenient"}, dtls: true, rule: lenient},
	{name: "Engine, MTU 1,472", flags: []string{"-default-mtu", "1472"}, dtls: true, rule: smallMTU},
	{name: "Context", flags: []string{"-api", "context"}},
	{name: "netconn", flags: []string{"-api", "netconn"}, either: beside},
	{name: "Engine, own certificate choice", flags: []string{"-own-choice"}, rule: ownChoice},
	{name: "Engine, own verification", flags: []string{"-own-verification"}, rule: ownVerification},
}

// outcome is the result of a test in a pass.
type outcome struct {
	test
	result string // PASS, FAIL or SKIP
	log    string // what the runner objects to
}

// expected reports whether a negative test has failed in a way that the runner does not
// expect, or not at all.
func (o outcome) negative() bool {
	return strings.HasPrefix(o.log, "unexpected success") || strings.HasPrefix(o.log, "unexpected error\n")
}

// TestBoGo runs the tests that apply to hermetic with BoringSSL's runner.
func TestBoGo(t *testing.T) {
	if os.Getenv("BOGO_RUNNER") == "" {
		t.Skip("BOGO_RUNNER is not set: BoringSSL's runner is not run (see README.md)")
	}
	tests := applicable(t)
	shim := filepath.Join(t.TempDir(), "shim")
	build := exec.Command("go", "build", "-o", shim, ".")
	build.Env = append(os.Environ(), "GOTOOLCHAIN=go1.27.3") // which has ML-DSA
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the shim: %v\n%s", err, out)
	}
	var counts conformance
	for _, p := range passes {
		t.Run(p.name, func(t *testing.T) {
			for _, o := range p.run(t, shim, tests) {
				verdict, err := p.judge(o)
				if err != nil {
					t.Errorf("%s: %v\n%s", o.name, err, o.log)
				}
				counts.add(p.name, o.test, verdict)
			}
		})
	}
	counts.check(t)
}

// The verdicts on a test.
const (
	passed       = "passed"
	byRule       = "by rule"
	excludedTest = "excluded"
	declined     = "declined"
	notBuilt     = "not built"
	failed       = "failed"
)

// judge compares the result of a test with the expected one.
func (p *pass) judge(o outcome) (verdict string, err error) {
	d, declines := declines[o.name]
	_, lacks := unbuilt[o.name]
	switch {
	case strings.Contains(o.log, noteExcluded) && (p.name == "netconn" || p.name == "Context"):
		return excludedTest, nil
	case o.result == "SKIP" && lacks:
		return notBuilt, nil
	case o.result == "SKIP":
		return failed, errors.New("the shim does not know a flag")
	case lacks:
		return failed, errors.New("it runs, and is in the list of what is not built")
	case declines && o.result == "PASS":
		return failed, errors.New("it passes, and is in the list of what is declined")
	case declines && !strings.Contains(o.log, d.says):
		return failed, fmt.Errorf("it fails in another way than expected: %q", d.says)
	case declines:
		return declined, nil
	case p.either[o.name] != "" && (o.result == "PASS" || strings.Contains(o.log, p.either[o.name])):
		return byRule, nil
	case o.result == "PASS":
		return passed, nil
	}
	if p.rule != nil {
		switch p.rule(o) {
		case passed:
			return passed, nil
		case "":
		default:
			return byRule, nil
		}
	}
	return failed, errors.New("it fails")
}

// test is a test of the runner.
type test struct{ name, protocol, group string }

// applicable reads the lists of the tests that apply.
func applicable(t *testing.T) []test {
	core := lines(t, "applicable.txt")
	more := map[string]string{}
	for _, line := range lines(t, "more.tsv") {
		name, group, _ := strings.Cut(line, "\t")
		if slices.Contains(moreGroups, group) {
			more[name] = group
		}
	}
	var tests []test
	mldsa := 0
	for _, line := range lines(t, "groups.tsv") {
		fields := strings.Split(line, "\t")
		name, protocol := fields[0], strings.ToUpper(fields[1])
		if group := more[name]; group != "" {
			tests = append(tests, test{name, protocol, group})
		} else if _, is := slices.BinarySearch(core, name); is {
			tests = append(tests, test{name, protocol, "core"})
		} else if fields[2] == "mldsa" {
			tests = append(tests, test{name, protocol, "mldsa"})
			mldsa++
		}
	}
	if want := len(core) + len(more) + mldsa; len(tests) != want || mldsa == 0 {
		t.Fatalf("%d of %d tests are in groups.tsv", len(tests), want)
	}
	return tests
}

// moreGroups are the groups of more.tsv whose tests apply.
var moreGroups = []string{"ocsp-callback", "reverify", "old-cert-callback", "traffic-secrets", "tls-unique", "ml-kem-1024", "policy", "ticket-callback"}

// lines reads a file of the lists, sorted.
func lines(t *testing.T, file string) []string {
	data, err := os.ReadFile(filepath.Join("../../../shared/bogo", file))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no list of applicable tests: %v", err)
	}
	list := strings.Split(strings.TrimSpace(string(data)), "\n")
	slices.Sort(list)
	return list
}

// run runs the tests of a pass.
func (p *pass) run(t *testing.T, shim string, tests []test) []outcome {
	if p.dtls {
		tests = slices.DeleteFunc(slices.Clone(tests), func(t test) bool { return t.protocol != "DTLS" })
	}
	var outcomes []outcome
	for part := range slices.Chunk(tests, 1000) { // a command line has its limits
		results, logs := runRunner(t, shim, p.flags, part)
		for _, test := range part {
			outcomes = append(outcomes, outcome{test, results[test.name], logs[test.name]})
		}
	}
	return outcomes
}

// runRunner returns each test's result, and what the runner says about it.
func runRunner(t *testing.T, shim string, flags []string, tests []test) (results, logs map[string]string) {
	dir := t.TempDir()
	config, output := filepath.Join(dir, "config.json"), filepath.Join(dir, "results.json")
	if err := os.WriteFile(config, []byte(`{"DisabledTests": {}, "ErrorMap": {}, "HalfRTTTickets": 0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, test := range tests {
		names = append(names, test.name)
	}
	cmd := exec.Command(os.Getenv("BOGO_RUNNER"), "-shim-path", shim, "-shim-config", config, "-allow-unimplemented", "-num-workers", "6", "-pipe",
		"-shim-extra-flags", strings.Join(flags, ";"), "-json-output", output, "-test", strings.Join(names, ";"))
	cmd.Dir = os.Getenv("BOGO_DIR")
	log, runErr := cmd.CombinedOutput()
	data, err := os.ReadFile(output)
	if err != nil {
		t.Fatalf("the runner gave no results: %v\n%s", runErr, log[max(0, len(log)-4000):])
	}
	var parsed struct {
		Tests map[string]struct {
			Actual string `json:"actual"`
		} `json:"tests"`
	}
	if err := json.Unmarshal(data, &parsed); err != nil {
		t.Fatal(err)
	}
	results = map[string]string{}
	for name, test := range parsed.Tests {
		results[name] = test.Actual
	}
	return results, split(string(log))
}

// head is the line with which the runner begins to report on a test.
var head = regexp.MustCompile(`(?m)^(?:PASSED|FAILED|UNIMPLEMENTED) \((\S+)\)\n`)

// split takes the runner's log apart by tests.
func split(log string) map[string]string {
	logs := map[string]string{}
	at := head.FindAllStringSubmatchIndex(log, -1)
	for i, m := range at {
		end := len(log)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		logs[log[m[2]:m[3]]] = log[m[1]:end]
	}
	return logs
}
