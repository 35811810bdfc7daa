package main

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// groupName returns a group's name; a PSK without ECDHE has none.
func groupName(g tls.CurveID) string {
	if g == 0 {
		return "none"
	}
	return hermetic.GroupName(g)
}

// parseSuites reads a list of names, separated by commas or colons.
func parseSuites(list string) (ids []uint16, err error) {
	for _, name := range split(list) {
		all := hermetic.CipherSuites()
		if i := slices.IndexFunc(all, func(s *tls.CipherSuite) bool { return strings.EqualFold(s.Name, name) }); i >= 0 {
			ids = append(ids, all[i].ID)
			continue
		}
		n, err := strconv.ParseUint(name, 0, 16)
		if err != nil {
			return nil, fmt.Errorf("--ciphers: %s is not a cipher suite: give names such as TLS_AES_128_GCM_SHA256", name)
		}
		ids = append(ids, uint16(n))
	}
	return ids, nil
}

func parseGroups(list string) (ids []tls.CurveID, err error) {
	for _, name := range split(list) {
		all := hermetic.Groups()
		i := slices.IndexFunc(all, func(g tls.CurveID) bool { return strings.EqualFold(groupName(g), name) })
		if i < 0 {
			var names []string
			for _, g := range all {
				names = append(names, groupName(g))
			}
			return nil, fmt.Errorf("--groups: %s is not a group: choose from %s", name, strings.Join(names, ", "))
		}
		ids = append(ids, all[i])
	}
	return ids, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ':' || r == ' ' })
}
