package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/examples/integrations/internal/exampletest"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

const password = "secret"

// program finds a program of PostgreSQL, which Debian does not put into PATH.
func program(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	path, err := exec.LookPath(name)
	if err != nil {
		exampletest.Missing(t, "postgresql")
	}
	return path
}

// start runs PostgreSQL, with TLS, passwords and client certificates demanded, and returns its URL.
func start(t *testing.T, ca *pkitest.Authority) string {
	t.Helper()
	initdb, postgres := program(t, "initdb"), program(t, "postgres")
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as := new(syscall.SysProcAttr)
	own := func(name string) {}
	if os.Getuid() == 0 { // PostgreSQL does not run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			exampletest.Missing(t, "the user postgres")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		own = func(name string) {
			if err := os.Chown(name, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	own(dir)
	save := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		own(file)
		return file
	}
	chain, key := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{}))
	cas, err := os.ReadFile(exampletest.CAFile(t, ca))
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "me", "-A", "scram-sha-256", "--pwfile", save("password", []byte(password)), "--no-sync", "--no-locale", "-E", "UTF8")
	cmd.SysProcAttr, cmd.Dir = as, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	hba := save("hba.conf", []byte("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n"))
	port := exampletest.FreePort(t)
	cmd = exec.Command(postgres, "-D", data, "-F", "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "port="+port, "-c", "hba_file="+hba,
		"-c", "ssl=on", "-c", "ssl_cert_file="+save("server.crt", chain), "-c", "ssl_key_file="+save("server.key", key), "-c", "ssl_ca_file="+save("ca.crt", cas))
	cmd.SysProcAttr, cmd.Dir = as, dir
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGQUIT) // an immediate shutdown, of its processes too
		cmd.Wait()
	})
	awaitReady(t, log)
	return fmt.Sprintf("postgres://me:%s@localhost:%s/postgres", password, port)
}

// awaitReady returns when PostgreSQL says that it is ready.
func awaitReady(t *testing.T, log io.Reader) {
	t.Helper()
	var said strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := log.Read(buf)
		said.Write(buf[:n])
		if strings.Contains(said.String(), "ready to accept connections") {
			go io.Copy(io.Discard, log)
			return
		}
		if err != nil {
			t.Fatalf("PostgreSQL does not start:\n%s", &said)
		}
	}
}

// TestPostgres: the program against a real server, with queries, a canceled one, and refusals.
func TestPostgres(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	url := start(t, ca)
	me := ca.Leaf(t, pkitest.Options{Name: "me"})
	cas, pair := exampletest.CAFile(t, ca), exampletest.PairFile(t, me)

	t.Run("the program", func(t *testing.T) {
		var out strings.Builder
		if err := run(&out, []string{url, cas, pair}); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.HasPrefix(got, "TLSv1.3 TLS_AES_") || !strings.HasSuffix(got, " /CN=me\n") {
			t.Errorf("it prints %q", got)
		}
	})
	t.Run("queries", func(t *testing.T) {
		ctx, conn := open(t, url, ca, me)
		large := strings.Repeat("ö", 1<<20)
		var got string
		if err := conn.QueryRow(ctx, "SELECT $1::text || $1", large).Scan(&got); err != nil || got != large+large {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		rows, err := conn.Query(ctx, "SELECT generate_series(1, 100000)")
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil || len(list) != 100_000 {
			t.Errorf("%d rows, %v", len(list), err)
		}
	})
	t.Run("a query is canceled", func(t *testing.T) {
		ctx, conn := open(t, url, ca, me)
		_, watch := open(t, url, ca, me)
		begun := make(chan error, 1)
		go func() { // another connection knows when the query runs
			for n := 0; n == 0; {
				if err := watch.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").Scan(&n); err != nil {
					begun <- err
					return
				}
			}
			begun <- conn.PgConn().CancelRequest(ctx)
		}()
		_, err := conn.Exec(ctx, "SELECT pg_sleep(600)")
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "57014" {
			t.Errorf("%v, want query_canceled", err)
		}
		if err := <-begun; err != nil {
			t.Errorf("the request to cancel: %v", err)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		stranger := exampletest.PairFile(t, other.Leaf(t, pkitest.Options{Name: "me"}))
		if err := run(io.Discard, []string{url, cas, stranger}); err == nil {
			t.Error("the certificate of another authority is good")
		}
		if err := run(io.Discard, []string{url, exampletest.CAFile(t, other), pair}); err == nil || !strings.Contains(err.Error(), "not trusted") {
			t.Errorf("a server of another authority: %v", err)
		}
		if err := run(io.Discard, []string{strings.Replace(url, "localhost", "ip6-localhost", 1), cas, pair}); err == nil {
			t.Error("another name is good")
		}
		if err := run(io.Discard, []string{strings.Replace(url, password, "guess", 1), cas, pair}); err == nil || !strings.Contains(err.Error(), "28P01") {
			t.Errorf("another password: %v", err)
		}
	})
}

// open connects until the end of the test.
func open(t *testing.T, url string, ca *pkitest.Authority, own tls.Certificate) (context.Context, *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	conn, err := connect(ctx, url, &hermetic.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{own}})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close(ctx)
		cancel()
	})
	return ctx, conn
}

// TestHostile: a server without TLS, one that sends more than its answer, and one that is silent.
func TestHostile(t *testing.T) {
	for name, test := range map[string]struct {
		answer  string
		timeout time.Duration
		want    string
	}{
		"no TLS":    {"N", exampletest.Patience, errNoTLS.Error()},
		"an error":  {"E\x00\x00\x00\x05x", exampletest.Patience, errNoTLS.Error()},
		"injection": {"SR\x00\x00\x00\x08\x00\x00\x00\x00", exampletest.Patience, ""},
		"the end":   {"", exampletest.Patience, "EOF"},
		"silence":   {"-", 50 * time.Millisecond, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				io.ReadFull(c, make([]byte, 8))
				if test.answer != "-" {
					io.WriteString(c, test.answer)
				}
				if test.answer != "" {
					io.Copy(io.Discard, c)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
			defer cancel()
			_, err = connect(ctx, "postgres://me@"+l.Addr().String()+"/x", &hermetic.Config{RootCAs: pkitest.CA(t).Pool()})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}
