//go:build fastgroups

package mbedtls

import "github.com/hermetic-tls/hermetic/circlgroups"

// exchanges are the implementations of groups that are not the standard library's.
var exchanges = circlgroups.All()
