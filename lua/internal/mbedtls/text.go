package mbedtls

import (
	"strings"
)

// Text returns what Lua sees of an error: one line.
func Text(err error) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, err.Error())
}

// Errors for callbacks that return nonsense, and for their callers.
const (
	InvalidReadResult  = "invalid read result"
	InvalidWriteResult = "invalid write result"
	OutOfRange         = "value out of range"
	InvalidValue       = "invalid value"
	NotSupported       = "operation not supported"
	Busy               = "context is busy"
)
