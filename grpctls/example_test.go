package grpctls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/grpctls"
)

// A server with a self-signed certificate, and a client that accepts any.
func ExampleNew() {
	serverCreds, err := grpctls.New(&hermetic.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(serverCreds))
	healthpb.RegisterHealthServer(server, health.NewServer())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(l)
	defer server.Stop()

	clientCreds, err := grpctls.New(&hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(clientCreds))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	reply, err := healthpb.NewHealthClient(conn).Check(context.Background(), new(healthpb.HealthCheckRequest))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Status)
	// Output: SERVING
}

// An interceptor finds the client of mutual TLS as with credentials.NewTLS.
func ExampleNew_mutual() {
	creds, err := grpctls.New(&hermetic.Config{
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  x509.NewCertPool(), // those of the clients
	})
	if err != nil {
		log.Fatal(err)
	}
	admit := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		p, _ := peer.FromContext(ctx)
		client := p.AuthInfo.(credentials.TLSInfo)
		log.Printf("%v, %v", client.SPIFFEID, client.State.VerifiedChains[0][0].Subject)
		return next(ctx, req)
	}
	server := grpc.NewServer(grpc.Creds(creds), grpc.UnaryInterceptor(admit))
	server.Stop()
	// Output:
}
