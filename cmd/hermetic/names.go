package main

import (
	"crypto/tls"
	"errors"
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

// nameList is the value of a flag that is a list of names, separated by commas or colons. A name
// may also be the number in the registry, such as 0x1301, which is checked later.
type nameList struct {
	ids  []uint16
	all  func() []uint16
	name func(uint16) string
	one  string // what one of them is, in words
}

var errEmptyList = errors.New("the list is empty")

func (l *nameList) Type() string   { return "names" }
func (l *nameList) String() string { return "" }

func (l *nameList) Set(list string) error {
	names := split(list)
	if len(names) == 0 {
		return errEmptyList
	}
	for _, name := range names {
		id, ok := l.find(name)
		switch {
		case !ok:
			return fmt.Errorf("%s is not %s: choose from %s", shown(name), l.one, strings.Join(l.names(), ", "))
		case slices.Contains(l.ids, id):
			return fmt.Errorf("%s is given twice", shown(name))
		}
		l.ids = append(l.ids, id)
	}
	return nil
}

func (l *nameList) find(name string) (uint16, bool) {
	for _, id := range l.all() {
		if strings.EqualFold(l.name(id), name) {
			return id, true
		}
	}
	number, err := strconv.ParseUint(name, 0, 16)
	return uint16(number), err == nil
}

func (l *nameList) names() (names []string) {
	for _, id := range l.all() {
		names = append(names, l.name(id))
	}
	return names
}

// suiteList is a list of cipher suites.
func suiteList() nameList {
	return nameList{one: "a cipher suite", name: hermetic.CipherSuiteName, all: func() (ids []uint16) {
		for _, s := range hermetic.CipherSuites() {
			ids = append(ids, s.ID)
		}
		return ids
	}}
}

// groupList is a list of key exchange groups.
func groupList() nameList {
	return nameList{one: "a group", name: func(id uint16) string { return groupName(tls.CurveID(id)) }, all: func() (ids []uint16) {
		for _, g := range hermetic.Groups() {
			ids = append(ids, uint16(g))
		}
		return ids
	}}
}

// profileList is a list of SRTP protection profiles.
func profileList() nameList {
	return nameList{one: "an SRTP profile", name: hermetic.SRTPProfileName, all: hermetic.SRTPProfiles}
}

// groups returns the list as groups.
func (l *nameList) groups() (groups []tls.CurveID) {
	for _, id := range l.ids {
		groups = append(groups, tls.CurveID(id))
	}
	return groups
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ':' || r == ' ' })
}
