package mbedtls

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEveryOptionIsDocumented: the table of docs/lua.md has the options that there are, and what
// can be wrong with a value says what is allowed.
func TestEveryOptionIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| Option ")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]bool{}
	name := regexp.MustCompile("`([a-z]+)`")
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > 2 {
			for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
				documented[m[1]] = true
				if _, ok := known[m[1]]; !ok {
					t.Errorf("docs/lua.md has an option %s, which there is not", m[1])
				}
			}
		}
	}
	if len(documented) < 20 {
		t.Fatalf("docs/lua.md has %d options: where is the table?", len(documented))
	}
	for key, option := range known {
		if !documented[key] && !strings.Contains(key, ".") {
			t.Errorf("docs/lua.md lacks the option %s", key)
		}
		if option.take == nil {
			continue
		}
		if o := new(Options); option.allows == "" && option.take(o, "\x00nonsense") != nil {
			t.Errorf("option %s refuses a value, and does not say what it allows", key)
		}
	}
}

// TestEveryOptionIsAnnotated: editors know the options that there are.
func TestEveryOptionIsAnnotated(t *testing.T) {
	text, err := os.ReadFile("../../meta/mbedtls/ssl.lua")
	if err != nil {
		t.Fatal(err)
	}
	_, class, _ := strings.Cut(string(text), "---@class mbedtls.ssl.options\n")
	class, _, _ = strings.Cut(class, "\n\n")
	annotated := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^---@field ([a-z]+)\??`).FindAllStringSubmatch(class, -1) {
		annotated[m[1]] = true
		if _, ok := known[m[1]]; !ok {
			t.Errorf("an option %s is annotated, which is unknown", m[1])
		}
	}
	for key := range known {
		if !annotated[key] && !strings.Contains(key, ".") {
			t.Errorf("lua/meta/mbedtls/ssl.lua lacks the option %s", key)
		}
	}
}

// TestSecretsAreNotQuoted: no error shows a value that is a secret.
func TestSecretsAreNotQuoted(t *testing.T) {
	for _, key := range []string{"password", "psk.key", "ticketkeys", "cookiesecret", "certs.password"} {
		for _, value := range []string{"hunter2", strings.Repeat("hunter2", 20)} {
			if err := new(Options).Set(key, "string", value); err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", key, err)
			}
		}
	}
}
