package main

import (
	"errors"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// names maps our causes to the names that the runner expects.
var names = []struct{ cause, name string }{}

// describe is an error as the runner reads it.
func describe(err error) string {
	text := err.Error()
	var alert *hermetic.AlertError
	if errors.As(err, &alert) {
		if alert.Received {
			return ":" + receivedName(alert.Alert) + ": " + text
		}
	}
	for _, n := range names {
		if strings.Contains(text, n.cause) {
			return ":" + n.name + ": " + text
		}
	}
	return text
}

// receivedName is BoringSSL's name of an alert of the peer.
func receivedName(a hermetic.Alert) string {
	return "TLSV1_ALERT_" + strings.ToUpper(a.String())
}
