// Command grpc is a gRPC server, and its client, with mutual TLS over hermetic:
//
//	grpc server localhost:4433 ca.pem server.pem
//	grpc client localhost:4433 ca.pem client.pem hello
//
// The files have certificates; that of each side has its private key too. The service has no
// generated code: its messages are well-known types.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/grpctls"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

var errUsage = errors.New("usage: grpc server|client ADDRESS CA-FILE KEY-PAIR-FILE [MESSAGE]")

func run(out io.Writer, args []string) error {
	if len(args) < 4 {
		return errUsage
	}
	cas, err := hermetic.LoadCertPool(args[2])
	if err != nil {
		return err
	}
	own, err := hermetic.LoadKeyPair(args[3])
	if err != nil {
		return err
	}
	switch {
	case args[0] == "server" && len(args) == 4:
		l, err := net.Listen("tcp", args[1])
		if err != nil {
			return err
		}
		server, err := newServer(cas, own)
		if err != nil {
			return err
		}
		return server.Serve(l)
	case args[0] == "client" && len(args) == 5:
		return greet(out, args[1], cas, own, args[4])
	}
	return errUsage
}

// newServer makes a server that demands a certificate of its clients.
func newServer(cas *x509.CertPool, own tls.Certificate) (*grpc.Server, error) {
	creds, err := grpctls.New(&hermetic.Config{
		Certificates: []tls.Certificate{own},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    cas,
	})
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(grpc.Creds(creds), grpc.ConnectionTimeout(10*time.Second))
	server.RegisterService(&greeter, nil)
	return server, nil
}

// greeter is what protoc would generate for: rpc Greet (StringValue) returns (StringValue).
var greeter = grpc.ServiceDesc{
	ServiceName: "example.Greeter",
	Methods: []grpc.MethodDesc{{
		MethodName: "Greet",
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			message := new(wrapperspb.StringValue)
			if err := decode(message); err != nil {
				return nil, err
			}
			return answer(ctx, message.GetValue())
		},
	}},
}

// answer greets the client by the name in its certificate.
func answer(ctx context.Context, message string) (*wrapperspb.StringValue, error) {
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil, status.Error(codes.Unauthenticated, "no verified certificate")
	}
	name := info.State.VerifiedChains[0][0].Subject.CommonName
	return wrapperspb.String(fmt.Sprintf("%s, %s, over %s", message, name, tls.VersionName(info.State.Version))), nil
}

// greet calls the server and prints its answer.
func greet(out io.Writer, address string, cas *x509.CertPool, own tls.Certificate, message string) error {
	creds, err := grpctls.New(&hermetic.Config{Certificates: []tls.Certificate{own}, RootCAs: cas})
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reply := new(wrapperspb.StringValue)
	if err := conn.Invoke(ctx, "/example.Greeter/Greet", wrapperspb.String(message), reply); err != nil {
		return err
	}
	fmt.Fprintln(out, reply.GetValue())
	return nil
}
