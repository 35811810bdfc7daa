//go:build !fastgroups

package mbedtls

import "github.com/hermetic-tls/hermetic"

// exchanges are the implementations of groups that are not the standard library's: see
// groups_fast.go, and install-lua --fast-groups.
var exchanges []hermetic.KeyExchange
