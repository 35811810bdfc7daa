package test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestMethodsAreAnnotated: a context's methods are in userdata that no script can list; the C module
// says which there are.
func TestMethodsAreAnnotated(t *testing.T) {
	source, err := os.ReadFile("../cmodule/context.c")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := os.ReadFile("../meta/mbedtls/ssl.lua")
	if err != nil {
		t.Fatal(err)
	}
	methods := regexp.MustCompile(`\{"([a-z]+)", context_`).FindAllSubmatch(source, -1)
	if len(methods) < 20 {
		t.Fatalf("%d methods: where is the list?", len(methods))
	}
	for _, m := range methods {
		if !regexp.MustCompile(`\nfunction context:` + string(m[1]) + `\(`).Match(meta) {
			t.Errorf("lua/meta/mbedtls/ssl.lua lacks context:%s", m[1])
		}
	}
}

// TestPackage: the package is whole, and works where it is unpacked.
func TestPackage(t *testing.T) {
	real := known[3]
	real.need(t)
	tar := need(t, "tar")
	need(t, "strip")
	dir := t.TempDir()
	said := output(t, command(t, "../../scripts/package-lua", "--lua", real.abi, "--out", dir))
	if n := len(regexp.MustCompile(`(?m): \d+ bytes`).FindAllString(said, -1)); n != 3 {
		t.Errorf("it says %q", said)
	}
	files, err := filepath.Glob(dir + "/hermetic-lua5.4-*.tar.gz")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	output(t, command(t, tar, "-xzf", files[0], "-C", dir, "--strip-components=1"))
	cmd := command(t, real.command, "-e", "local tls = require 'mbedtls.ssl' tls.newengine(tls.newconfig 'tls-client') print(require 'ssl.config'.algorithms.ec)")
	cmd.Env = append(os.Environ(), "LUA_PATH="+dir+"/share/lua/5.4/?.lua;;", "LUA_CPATH="+dir+"/lib/lua/5.4/?.so;;")
	if out := output(t, cmd); out != "true\n" {
		t.Errorf("it prints %q", out)
	}
}

// TestRockspecs: that of the release differs from the other by its version and source only.
func TestRockspecs(t *testing.T) {
	development, err := os.ReadFile("../../hermetic-scm-1.rockspec")
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("../../hermetic-[0-9]*.rockspec")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	release, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`hermetic-(\d+\.\d+\.\d+)-\d+\.rockspec`).FindStringSubmatch(names[0])
	if source, err := os.ReadFile("../../doc.go"); m == nil || err != nil || !regexp.MustCompile(`const Version = "`+regexp.QuoteMeta(m[1])+`"`).Match(source) {
		t.Errorf("%s is not of this version", names[0])
	}
	if !regexp.MustCompile(`tag = 'v` + regexp.QuoteMeta(m[1]) + `'`).Match(release) {
		t.Errorf("%s has no tag of its version", names[0])
	}
	same := regexp.MustCompile(`(?m)^(version|source) = .*\n`)
	if string(same.ReplaceAll(development, nil)) != string(same.ReplaceAll(release, nil)) {
		t.Errorf("%s and hermetic-scm-1.rockspec differ", names[0])
	}
}
