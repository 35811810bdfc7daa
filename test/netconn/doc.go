// Package netconn tests the root module's package of that name with
// golang.org/x/net/nettest, which the root module does not depend on.
package netconn
