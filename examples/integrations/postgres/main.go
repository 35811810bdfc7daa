// Command postgres asks PostgreSQL over hermetic how the connection is encrypted:
//
//	postgres postgres://user:password@localhost:5432/database ca.pem me.pem
//
// The file me.pem has the client's certificate and its key.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

var errUsage = errors.New("usage: postgres URL CA-FILE KEY-PAIR-FILE")

func run(out io.Writer, args []string) error {
	if len(args) != 3 {
		return errUsage
	}
	cfg, err := hermetic.LoadConfig(hermetic.TLSClient, args[1], args[2])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := connect(ctx, args[0], cfg)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version, cipher, client string
	err = conn.QueryRow(ctx, "SELECT version, cipher, coalesce(client_dn, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&version, &cipher, &client)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, version, cipher, client)
	return nil
}

// connect connects with TLS, or not at all. pgxpool.Config has the same field ConnConfig.
func connect(ctx context.Context, url string, cfg *hermetic.Config) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	// pgx's own TLS is crypto/tls. So it gets connections that are encrypted already, and must
	// not ask the server for TLS once more: no TLSConfig, and no fallbacks, which have some too.
	config.TLSConfig = nil
	config.Fallbacks = nil
	cfg = cfg.Clone()
	// DialFunc gets an address that is resolved already, so the name to verify is set here.
	cfg.ServerName = config.Host
	dial := config.DialFunc
	// pgx also calls DialFunc to cancel a query, which is then encrypted too.
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		secure, err := startTLS(ctx, conn, cfg)
		if err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
	return pgx.ConnectConfig(ctx, config)
}

// sslRequest is the code of an SSLRequest (PostgreSQL, "Message Formats").
const sslRequest = 80877103

var errNoTLS = errors.New("the server does not support TLS")

// startTLS asks the server for TLS and performs the handshake.
func startTLS(ctx context.Context, conn net.Conn, cfg *hermetic.Config) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
		defer conn.SetDeadline(time.Time{})
	}
	request := binary.BigEndian.AppendUint32(nil, 8)
	request = binary.BigEndian.AppendUint32(request, sslRequest)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	// One byte, and none more: what follows it belongs to TLS. An attacker who appends
	// unencrypted data makes the handshake fail.
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, err
	}
	if answer[0] != 'S' {
		return nil, errNoTLS
	}
	secure := netconn.Client(conn, cfg)
	return secure, secure.HandshakeContext(ctx)
}
