package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hermetic-tls/hermetic"
)

// earlyData returns the content of the file of --early-data, or nil.
func (o *clientOptions) earlyData() ([]byte, error) {
	if o.early == "" {
		return nil, nil
	}
	data, err := os.ReadFile(o.early)
	if err != nil {
		return nil, misuse("--early-data: %w", err)
	}
	return data, nil
}

// sendEarly sends as much of data as the session permits. If the server rejects it, it
// must be sent again.
func sendEarly(ctx *hermetic.Context, data []byte) (n int, err error) {
	for n < len(data) {
		m, err := ctx.WriteEarlyData(data[n:])
		if errors.Is(err, hermetic.ErrInvalidOperation) {
			break
		} else if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// whyLate says why some of the early data, of which n bytes were sent, is sent after the
// handshake; "": none is.
func whyLate(cfg *hermetic.Config, size, n int, accepted bool) string {
	file, ok := cfg.SessionCache.(*sessionFile)
	switch {
	case n > 0 && !accepted:
		return "the server rejected it: sent after the handshake"
	case n == size:
		return ""
	case n > 0:
		return fmt.Sprintf("the session permits %d bytes: the rest is sent after the handshake", n)
	case !ok:
		return "no session without --session FILE: sent after the handshake"
	case file.empty:
		return "no session yet: sent after the handshake"
	}
	return "no session that permits it: sent after the handshake"
}
