// Package grpctls has transport credentials for google.golang.org/grpc: gRPC over hermetic, in place
// of grpc's credentials.NewTLS.
//
// [New] serves clients and servers. An interceptor finds the peer as with NewTLS: the AuthInfo of
// peer.FromContext is a credentials.TLSInfo, with the verified certificates of mutual TLS.
package grpctls
