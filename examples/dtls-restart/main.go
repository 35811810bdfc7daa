//go:build linux

// Dtls-restart is a DTLS echo server that replaces itself with a new version of its program when
// it gets SIGHUP. No peer loses its connection, or notices anything.
//
//	go build -o /tmp/dtls-restart ./examples/dtls-restart
//	/tmp/dtls-restart localhost:4433 &
//	hermetic client --dtls --insecure localhost:4433
//	kill -HUP %1
//
// It executes its own file, so its process ID stays. The socket is inherited, and what arrives
// meanwhile waits in it. The connections, and what opens them, go through a file in memory, which
// ends with the two programs: nothing of it is ever on a disk, and nothing is imported twice.
//
// If the program crashes instead, the connections are lost. Their peers notice when nothing
// answers, and connect again.
package main

import (
	"context"
	"crypto/rand"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// The descriptors that a new program inherits are in these variables.
const socketVar, legacyVar = "DTLS_RESTART_SOCKET", "DTLS_RESTART_LEGACY"

// A legacy is what one program leaves to the next.
type legacy struct {
	Secret []byte // of cookies: clients in the middle of a handshake have one
	Ticket [32]byte
	Key    []byte // of Conns
	Conns  []netconn.SavedConn
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: dtls-restart HOST:PORT")
	}
	log.Fatal(run(os.Args[1]))
}

// run returns only with an error.
func run(address string) error {
	l, socket, left, err := start(address)
	if err != nil {
		return err
	}
	fmt.Printf("%v, %d connections\n", l.Addr(), len(left.Conns))
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	for {
		go serve(l)
		<-hangup
		if l, err = restart(l, socket, left); err != nil {
			return err
		}
		log.Print("the new program cannot be executed: this one continues")
	}
}

// start listens on the inherited socket, or on a new one. It also returns another descriptor of
// the socket, which keeps it open when the listener is closed.
func start(address string) (*netconn.PacketListener, *os.File, *legacy, error) {
	left := &legacy{Secret: make([]byte, 32)}
	var pc net.PacketConn
	var err error
	if fd, inherited := os.LookupEnv(socketVar); inherited {
		if pc, err = inheritedSocket(fd); err == nil {
			left, err = inheritedLegacy(os.Getenv(legacyVar))
		}
	} else {
		rand.Read(left.Secret)
		rand.Read(left.Ticket[:])
		pc, err = net.ListenPacket("udp", address)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	socket, err := pc.(*net.UDPConn).File()
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := listen(pc, left)
	return l, socket, left, err
}

// listen continues the connections on a socket.
func listen(pc net.PacketConn, left *legacy) (*netconn.PacketListener, error) {
	opts := &netconn.PacketConfig{OnFailure: func(peer net.Addr, err error) { log.Print(peer, ": ", err) }}
	if len(left.Conns) > 0 {
		aead, err := chacha20poly1305.NewX(left.Key)
		if err != nil {
			return nil, err
		}
		opts.Import, opts.ImportKey = left.Conns, aead
	}
	// A self-signed certificate. With one of your own, only resumption and new peers are concerned.
	return netconn.NewPacketListener(pc, &hermetic.Config{
		TicketKeys: hermetic.StaticTicketKeys(left.Ticket),
		DTLS:       hermetic.DTLSConfig{CookieSecret: left.Secret, ConnectionIDs: true, ConnectionIDLength: 8},
	}, opts)
}

func serve(l *netconn.PacketListener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 2048)
			for {
				n, err := conn.Read(buf)
				switch {
				case errors.Is(err, hermetic.ErrExported): // another goroutine, or program, continues
					return
				case err != nil:
					return
				}
				conn.Write(buf[:n])
			}
		}()
	}
}

// restart executes this program's file anew. If it returns without an error, that was not possible,
// and the listener that it returns has the connections.
func restart(l *netconn.PacketListener, socket *os.File, left *legacy) (*netconn.PacketListener, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	left.Key = make([]byte, chacha20poly1305.KeySize)
	rand.Read(left.Key)
	aead, err := chacha20poly1305.NewX(left.Key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if left.Conns, err = l.Export(ctx, aead); err != nil {
		return nil, err
	}
	log.Printf("%d connections move", len(left.Conns))
	if err := bequeath(self, socket, left); err != nil {
		log.Print(err)
	}
	pc, err := net.FilePacketConn(socket) // nobody has imported the connections
	if err != nil {
		return nil, err
	}
	return listen(pc, left)
}

// bequeath executes the new program, and returns only if that fails.
func bequeath(self string, socket *os.File, left *legacy) error {
	fd, err := unix.MemfdCreate("legacy", 0) // inherited: it has no MFD_CLOEXEC
	if err != nil {
		return err
	}
	memory := os.NewFile(uintptr(fd), "legacy")
	defer memory.Close()
	if err := gob.NewEncoder(memory).Encode(left); err != nil {
		return err
	}
	if _, err := memory.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(socket.Fd(), unix.F_SETFD, 0); err != nil { // inherited, too
		return err
	}
	env := append(os.Environ(), socketVar+"="+strconv.Itoa(int(socket.Fd())), legacyVar+"="+strconv.Itoa(fd))
	return os.NewSyscallError("execve", syscall.Exec(self, os.Args, env))
}

func inheritedFile(number string) (*os.File, error) {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "inherited"), nil
}

func inheritedSocket(number string) (net.PacketConn, error) {
	f, err := inheritedFile(number)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	os.Unsetenv(socketVar)
	return net.FilePacketConn(f)
}

func inheritedLegacy(number string) (*legacy, error) {
	f, err := inheritedFile(number)
	if err != nil {
		return nil, err
	}
	defer f.Close() // and with it the memory
	os.Unsetenv(legacyVar)
	left := new(legacy)
	return left, gob.NewDecoder(f).Decode(left)
}
