// Command release is for scripts/release and scripts/modproxy:
//
//	release run FOLDER COMMAND...   runs it there as if the working tree's modules were published
//	release check                   says what a release must not have
//	release modules                 prints each module's tag and folder, in the order of what they require
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

func main() {
	err := errors.New("what shall be done? run FOLDER COMMAND..., check or modules")
	switch args := os.Args[1:]; {
	case len(args) > 2 && args[0] == "run":
		err = run(".", args[1], args[2], args[3:]...)
	case len(args) == 1 && args[0] == "check":
		err = check(".")
	case len(args) == 1 && args[0] == "modules":
		err = printModules(".")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func printModules(repo string) error {
	all, err := modules(repo)
	for _, m := range all {
		fmt.Println(m.tag(), m.folder)
	}
	return err
}

// check compares hermetic.Version with everything else that says a version.
func check(repo string) error {
	all, err := modules(repo)
	if err != nil {
		return err
	}
	var found []error
	for _, m := range all {
		file := filepath.Join(m.folder, "go.mod")
		if m.replaces > 0 {
			found = append(found, fmt.Errorf("%s has a replace, which go install refuses", file))
		}
		for _, r := range m.requires {
			if r.Version != version {
				found = append(found, fmt.Errorf("%s requires %s %s; hermetic.Version is %s", file, r.Path, r.Version, hermetic.Version))
			}
		}
	}
	work, err := os.ReadFile(filepath.Join(repo, "go.work"))
	if err != nil {
		return err
	}
	for _, m := range regexp.MustCompile(`(?m)`+root+`\S* (v\S+) =>`).FindAllSubmatch(work, -1) {
		if string(m[1]) != version {
			found = append(found, fmt.Errorf("go.work replaces version %s; hermetic.Version is %s", m[1], hermetic.Version))
		}
	}
	changes, err := os.ReadFile(filepath.Join(repo, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	_, first, _ := strings.Cut(string(changes), "\n## ")
	first, _, _ = strings.Cut(first, "\n")
	if first != hermetic.Version && !strings.HasPrefix(first, hermetic.Version+",") {
		found = append(found, fmt.Errorf("CHANGELOG.md begins with %q; hermetic.Version is %s", first, hermetic.Version))
	}
	return errors.Join(found...)
}
