package gnettls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestOracle runs each script on plain gnet and on this package, with both ways
// in which gnet polls. What happens must be the same, but for the differences.
func TestOracle(t *testing.T) {
	for _, s := range slices.Concat(scripts, actionScripts()) {
		edge := s
		edge.opts = append(slices.Clone(s.opts), gnet.WithEdgeTriggeredIO(true))
		t.Run(s.name, s.compare)
		t.Run(s.name+"/edge-triggered", edge.compare)
	}
}

// compare runs the script on both.
func (script script) compare(t *testing.T) {
	t.Parallel()
	plain, secured := script.run(t, false), script.run(t, true)
	for _, d := range differences {
		if d.script != script.name {
			continue
		}
		i := slices.Index(plain, d.gnet)
		if i < 0 {
			t.Errorf("gnet has no %q: the difference is none any more", d.gnet)
			continue
		}
		if plain[i] = d.gnettls; d.gnettls == "" {
			plain = slices.Delete(plain, i, i+1)
		}
	}
	if !slices.Equal(plain, secured) {
		t.Errorf("gnet and this package differ:\n gnet:    %s\n gnettls: %s", strings.Join(plain, "; "), strings.Join(secured, "; "))
	}
}

// differences are what is not as with gnet, with the reason: a line that is
// another one, or missing. The package's comment has them in words. The methods
// that lateOperations marks differ after OnClose: gnet has them use a descriptor
// that may be another client's.
var differences = []struct{ script, gnet, gnettls, reason string }{
	{"the client half-closes", "close EOF", "close nil", "close_notify is an end that nobody has forged"},
	{"the client closes", "close EOF", "close nil", "close_notify is an end that nobody has forged"},
	{"OnClose writes", "close EOF", "close nil", "close_notify is an end that nobody has forged"},
	{"the client closes without close_notify", "close EOF", "close ErrUnexpectedEOF", "data may have been cut off"},
	{"a client without TLS", "open", "", "OnOpen comes when the handshake is complete"},
	{"a client without TLS", "close EOF", "failed ErrUnexpectedEOF", "and OnClose only after it: OnFailure hears of the others"},
	{"ReadFrom", "buffered after ReadFrom: true", "buffered after ReadFrom: false", "it is sent at once, as by gnet on Windows; gnet on Unix needs Flush"},
	{"EventLoop", "Register: nil", "Register: ErrUnsupportedOp", "we would be a server towards a server"},
	{"after OnClose", "Fd -1: false", "Fd -1: true", "the number may be another client's by then; gnet on Windows returns -1"},
}

// A script is what a handler and a client do.
type script struct {
	name    string
	handler func(s *stage) *actor
	client  func(s *stage, p *peer) // nil: the engine ends by itself
	opts    []gnet.Option
}

// scripts are the table of TestOracle.
var scripts = []script{
	{name: "greeting and contexts", handler: func(s *stage) *actor {
		return &actor{
			open: func(c gnet.Conn) ([]byte, gnet.Action) {
				s.log("open %v %v %s", c.Context(), c.RemoteAddr().String() != "", c.LocalAddr().Network())
				c.SetContext("mine")
				c.Write([]byte("one "))
				return []byte("two"), gnet.None
			},
			message: func(c gnet.Conn, m string) gnet.Action {
				s.log("%s %v", m, c.Context())
				c.Write([]byte("pong"))
				return gnet.None
			},
			closed: func(c gnet.Conn, err error) gnet.Action {
				s.log("context %v", c.Context())
				return gnet.None
			},
		}
	}, client: func(s *stage, p *peer) {
		p.expect("one two")
		p.ask("ping", "pong")
		p.vanish()
		s.await("close")
	}},
	{name: "reading", handler: func(s *stage) *actor {
		return &actor{traffic: func(c gnet.Conn) gnet.Action {
			if c.InboundBuffered() < 20 {
				return gnet.None
			}
			show := func(what string, b []byte, err error) {
				s.log("%s %q %s %d", what, b, name(err), c.InboundBuffered())
			}
			b, err := c.Peek(3)
			show("Peek(3)", b, err)
			b, err = c.Next(2)
			show("Next(2)", b, err)
			b = make([]byte, 4)
			_, err = c.Read(b)
			show("Read(4)", b, err)
			n, err := c.Discard(5)
			show(fmt.Sprint("Discard(5) ", n), nil, err)
			b, err = c.Peek(100)
			show("Peek(100)", b, err)
			b, err = c.Next(100)
			show("Next(100)", b, err)
			b, err = c.Peek(0)
			show("Peek(0)", b, err)
			b, err = c.Peek(-1)
			show("Peek(-1)", b, err)
			_, err = c.Read(nil)
			show("Read(0)", nil, err)
			var w bytes.Buffer
			m, err := c.WriteTo(&w)
			show(fmt.Sprint("WriteTo ", m), w.Bytes(), err)
			n, err = c.Read(b[:1:1])
			show(fmt.Sprint("Read ", n), nil, err)
			b, err = c.Next(0)
			show("Next(0)", b, err)
			n, err = c.Discard(7)
			show(fmt.Sprint("Discard ", n), nil, err)
			c.Write([]byte("done"))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("0123456789")
		p.ask("abcdefghij", "done")
	}},
	{name: "reading in part", handler: func(s *stage) *actor {
		left := ""
		return &actor{traffic: func(c gnet.Conn) gnet.Action {
			for c.InboundBuffered() >= 3 { // the rest is there the next time
				b, _ := c.Next(3)
				left += string(b)
			}
			if len(left) == 30000 {
				s.log("in order: %v", left == strings.Repeat("0123456789", 3000))
				c.Write([]byte("done"))
			}
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		for range 300 {
			p.send(strings.Repeat("0123456789", 10))
		}
		p.expect("done")
	}},
	{name: "writing", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			n, err := c.Write([]byte("abc"))
			s.log("Write %d %s", n, name(err))
			n, err = c.Write(nil)
			s.log("Write(nil) %d %s", n, name(err))
			n, err = c.Writev([][]byte{[]byte("def"), nil, []byte("g")})
			s.log("Writev %d %s", n, name(err))
			n, err = c.Writev(nil)
			s.log("Writev(nil) %d %s", n, name(err))
			n, err = c.Write(bytes.Repeat([]byte("x"), 100000))
			s.log("Write %d %s", n, name(err))
			s.log("Flush %s", name(c.Flush()))
			n, err = c.SendTo([]byte("x"), c.RemoteAddr())
			s.log("SendTo %d %s", n, name(err))
			s.log("deadlines %s %s %s", name(c.SetDeadline(time.Now())), name(c.SetReadDeadline(time.Now())), name(c.SetWriteDeadline(time.Now())))
			c.Write([]byte("done"))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("ping")
		p.expect("abcdefg" + strings.Repeat("x", 100000) + "done")
	}},
	{name: "ReadFrom", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			n, err := c.ReadFrom(strings.NewReader("from a reader"))
			s.log("ReadFrom %d %s", n, name(err))
			s.log("buffered after ReadFrom: %v", c.OutboundBuffered() > 0)
			s.log("Flush %s", name(c.Flush()))
			n, err = c.ReadFrom(io.MultiReader(strings.NewReader(", and another"), badReader{}))
			s.log("ReadFrom %d %s", n, name(err))
			s.log("Flush %s", name(c.Flush()))
			c.Write([]byte("!"))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "from a reader, and another!")
	}},
	{name: "options of the socket", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			fd, err := c.Dup()
			s.log("Dup %v %s, Fd %v", fd > 0, name(err), c.Fd() > 0)
			syscall.Close(fd)
			s.log("%s %s %s %s %s", name(c.SetReadBuffer(100000)), name(c.SetWriteBuffer(100000)), name(c.SetLinger(1)), name(c.SetNoDelay(true)),
				name(c.SetKeepAlivePeriod(time.Minute)))
			s.log("%s %s", name(c.SetKeepAlive(true, time.Minute, time.Second, 5)), name(c.SetKeepAlive(true, 0, 0, 0)))
			c.Write([]byte("pong"))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "pong")
	}},
	{name: "asynchronous writes of a worker", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			go func() {
				written := func(other gnet.Conn, err error) error {
					s.log("written %s %v", name(err), other == c)
					return errors.New("gnet does not care")
				}
				s.logWorker("AsyncWrite %s", name(c.AsyncWrite([]byte("abc"), written)))
				s.await("written")
				s.logWorker("AsyncWritev %s", name(c.AsyncWritev([][]byte{[]byte("def"), []byte("g")}, written)))
				s.await("written")
				s.logWorker("AsyncWrite %s", name(c.AsyncWrite(nil, written)))
				s.await("written")
				s.logWorker("AsyncWrite without callback %s", name(c.AsyncWrite([]byte("h"), nil)))
			}()
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "abcdefgh")
		s.await("AsyncWrite without callback")
	}},
	{name: "asynchronous writes keep their order", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			write := func(n int, callback gnet.AsyncCallback) { c.AsyncWrite(fmt.Appendf(nil, "%04d", n), callback) }
			for n := range 3000 { // more than gnet's queue for urgent tasks has room for
				var callback gnet.AsyncCallback
				if n < 1000 {
					callback = func(gnet.Conn, error) error { write(3000+n, nil); return nil }
				}
				write(n, callback)
			}
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("ping")
		var want strings.Builder
		for n := range 4000 {
			fmt.Fprintf(&want, "%04d", n)
		}
		p.expect(want.String())
	}},
	{name: "Wake", handler: func(s *stage) *actor {
		return &actor{traffic: func(c gnet.Conn) gnet.Action {
			b, _ := c.Peek(-1)
			if len(b) > 0 && len(b) < 6 && c.Context() == nil {
				return gnet.None
			}
			s.log("traffic %q", b)
			switch string(b) {
			case "":
				c.Write([]byte("awake"))
			case "keepit":
				c.SetContext("kept")
				s.log("Wake %s", name(c.Wake(nil)))
				c.Next(4)
			case "it":
				c.Write([]byte("kept"))
			case "wakeup":
				c.Next(6)
				s.log("Wake %s", name(c.Wake(func(other gnet.Conn, err error) error {
					s.log("woken %s %v", name(err), other == c)
					return errors.New("gnet does not care")
				})))
			}
			return gnet.None
		}, closed: func(c gnet.Conn, err error) gnet.Action {
			s.log("left %d", c.InboundBuffered())
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("wakeup", "awake")
		p.ask("keepit", "kept")
		p.vanish()
		s.await("close")
	}},
	{name: "Close of a worker", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			go func() {
				c.AsyncWrite([]byte("bye"), nil)
				s.logWorker("Close %s", name(c.Close()))
			}()
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("ping")
		p.end()
		s.await("Close nil")
	}},
	{name: "Close on the loop", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			s.log("Close %s", name(c.Close()))
			c.Write([]byte("after Close")) // it is deferred
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("ping")
		p.end()
		s.await("close")
	}},
	{name: "CloseWithCallback", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			s.log("CloseWithCallback %s", name(c.CloseWithCallback(func(other gnet.Conn, err error) error {
				s.log("closed %s %v %v", name(err), other == c, c.Context())
				return errors.New("gnet does not care")
			})))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("ping")
		p.end()
		s.await("closed")
	}},
	{name: "EventLoop", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			if m == "what" {
				s.log("its own loop: %v", c.EventLoop() == c.EventLoop())
				s.log("Execute %s", name(c.EventLoop().Execute(s.t.Context(), nil)))
				_, err := c.EventLoop().Enroll(s.t.Context(), nil)
				s.log("Enroll: %v", err)
				_, err = c.EventLoop().Register(s.t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
				s.log("Register: %s", name(err))
				c.EventLoop().Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
					c.Write([]byte("from the loop"))
					return nil
				}))
				return gnet.None
			}
			s.log("Close %s", name(c.EventLoop().Close(c)))
			s.log("again %s", name(c.EventLoop().Close(c)))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("what", "from the loop")
		p.send("ping")
		p.end()
		s.await("again")
	}},
	{name: "Enroll", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			s.log("%s %v", m, c.Context())
			if m == "more" {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					s.t.Error(err)
					return gnet.Close
				}
				c.Write(fmt.Appendf(nil, "%-32s", l.Addr()))
				loop := c.EventLoop()
				go func() {
					defer l.Close()
					nc, err := l.Accept()
					if err != nil {
						s.t.Error(err)
						return
					}
					results, err := loop.Enroll(gnet.NewContext(context.Background(), "enrolled"), nc)
					s.logWorker("Enroll %s", name(err))
					r := <-results
					s.logWorker("enrolled %s %v", name(r.Err), r.Conn != nil)
					_, more := <-results
					s.logWorker("more %v", more)
				}()
				return gnet.None
			}
			c.Write([]byte("pong"))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("more")
		var addr [32]byte
		if _, err := io.ReadFull(p, addr[:]); err != nil {
			s.t.Fatal(err)
		}
		other := s.dial(strings.TrimSpace(string(addr[:])))
		s.await("more false")
		other.ask("ping", "pong")
		other.vanish()
		s.await("close")
	}},
	{name: "a client without TLS", handler: func(s *stage) *actor {
		return &actor{open: func(gnet.Conn) ([]byte, gnet.Action) {
			s.log("open")
			return nil, gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		s.await("open")
		connect(s.t, s.addr).Close()
		if s.secure {
			s.await("failed")
		} else {
			s.await("close")
		}
	}},
	{name: "the client half-closes", handler: echoing, client: func(s *stage, p *peer) {
		p.ask("ping", "ping")
		p.closeWrite()
		p.end()
		s.await("close")
	}},
	{name: "the client closes", handler: echoing, client: func(s *stage, p *peer) {
		p.ask("ping", "ping")
		p.Close()
		s.await("close")
	}},
	{name: "the client closes without close_notify", handler: echoing, client: func(s *stage, p *peer) {
		p.ask("ping", "ping")
		p.raw.CloseWrite()
		s.await("close")
	}},
	{name: "the client vanishes", handler: echoing, client: func(s *stage, p *peer) {
		p.ask("ping", "ping")
		p.vanish()
		s.await("close")
	}},
	{name: "OnClose writes", handler: func(s *stage) *actor {
		return &actor{closed: func(c gnet.Conn, _ error) gnet.Action {
			n, err := c.Write([]byte("goodbye"))
			s.log("Write %d %s, %d buffered, context %v", n, name(err), c.InboundBuffered(), c.Context())
			return gnet.None
		}, message: func(c gnet.Conn, m string) gnet.Action {
			c.SetContext(m)
			c.Write([]byte("pong"))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "pong")
		p.closeWrite()
		p.end()
		s.await("close")
	}},
	{name: "a client that does not read", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			if m == "more" {
				c.SetWriteBuffer(64 << 10)
				for range 64 {
					if n, err := c.Write(make([]byte, 1<<17)); n != 1<<17 || err != nil {
						s.t.Errorf("Write: %d, %v", n, err)
					}
				}
				c.AsyncWrite([]byte("end"), func(_ gnet.Conn, err error) error {
					s.log("written %s", name(err))
					return nil
				})
			}
			s.log("%s, buffered: %v", m, c.OutboundBuffered() > 0)
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("more")
		s.await("written")
		p.expect(string(make([]byte, 8<<20)) + "end")
		p.send("done")
		s.await("done")
	}},
	{name: "a client that does not read, and is closed", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			c.SetWriteBuffer(64 << 10)
			c.Write(make([]byte, 8<<20))
			s.log("buffered %v", c.OutboundBuffered() > 0)
			return gnet.Close
		}}
	}, client: func(s *stage, p *peer) {
		p.send("more")
		s.await("close")
		got, _ := io.ReadAll(p)
		s.logClient("all: %v", len(got) == 8<<20)
	}},
	{name: "Write to a client that has vanished", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			c.SetContext("context")
			s.log("blocked")
			s.await("vanished")
			var err error
			for n := 0; n < 1<<22 && err == nil; n++ {
				_, err = c.Write([]byte("x"))
				runtime.Gosched()
			}
			s.log("Write %s", name(err))
			s.log("then %d %d %v %s", c.InboundBuffered(), c.OutboundBuffered(), c.Context(), name(c.Flush()))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.send("more")
		s.await("blocked")
		p.vanish()
		s.log("vanished")
		s.await("then")
	}},
	{name: "after OnClose", handler: func(s *stage) *actor {
		var late []func(c gnet.Conn)
		for _, o := range lateOperations {
			if !o.reaches {
				late = append(late, func(c gnet.Conn) { o.call(c, func(result string) { s.log("%s: %s", o.method, result) }) })
			}
		}
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			loop, fd := c.EventLoop(), c.Fd()
			go func() {
				s.await("close")
				loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
					for _, f := range late {
						f(c)
					}
					s.log("Fd -1: %v", c.Fd() == -1 && fd != -1)
					loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
						s.log("all tasks are done")
						return nil
					}))
					return nil
				}))
			}()
			return gnet.Close
		}}
	}, client: func(s *stage, p *peer) {
		p.send("more")
		p.end()
		s.await("all tasks are done")
	}},
	{name: "Stop", handler: func(s *stage) *actor {
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			s.log("connections %d", s.engine.CountConnections())
			c.Write([]byte("pong"))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "pong")
		s.stop()
		p.end()
	}},
	{name: "Stop, with asynchronous writes", handler: func(s *stage) *actor {
		conns := make(chan gnet.Conn, 1)
		return &actor{message: func(c gnet.Conn, m string) gnet.Action {
			conns <- c
			c.Write([]byte("pong"))
			return gnet.None
		}, shutdown: func() {
			(<-conns).AsyncWrite([]byte("last words"), func(_ gnet.Conn, err error) error {
				s.log("written %s", name(err))
				return nil
			})
		}, closed: func(c gnet.Conn, _ error) gnet.Action {
			s.log("AsyncWrite %s", name(c.AsyncWrite([]byte("too late"), func(gnet.Conn, error) error {
				s.log("its callback")
				return nil
			})))
			return gnet.None
		}}
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "pong")
		s.stop()
		p.end()
	}},
	{name: "OnTick", opts: []gnet.Option{gnet.WithTicker(true)}, handler: func(s *stage) *actor {
		ticks := 0
		return &actor{tick: func() (time.Duration, gnet.Action) {
			s.log("tick")
			if ticks++; ticks == 4 {
				return time.Hour, gnet.Shutdown
			}
			return time.Duration(ticks) * time.Millisecond, gnet.Close // which does nothing
		}}
	}},
	{name: "no OnTick without WithTicker", handler: func(s *stage) *actor {
		a := echoing(s)
		a.tick = func() (time.Duration, gnet.Action) {
			s.log("tick")
			return 0, gnet.Shutdown
		}
		return a
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "ping")
	}},
	{name: "OnBoot ends it", handler: func(s *stage) *actor {
		return &actor{boot: func() gnet.Action { return gnet.Shutdown }}
	}},
	{name: "OnBoot closes nothing", handler: func(s *stage) *actor {
		a := echoing(s)
		a.boot = func() gnet.Action { return gnet.Close }
		return a
	}, client: func(s *stage, p *peer) {
		p.ask("ping", "ping")
	}},
}

// actionScripts return each action from each event.
func actionScripts() (list []script) {
	actions := map[gnet.Action]string{gnet.None: "None", gnet.Close: "Close", gnet.Shutdown: "Shutdown"}
	for action, text := range actions {
		ends := func(s *stage, p *peer) {
			if action != gnet.None {
				p.end()
			}
		}
		list = append(list,
			script{name: "OnOpen returns " + text, handler: func(s *stage) *actor {
				return &actor{open: func(c gnet.Conn) ([]byte, gnet.Action) { return []byte("hello"), action }}
			}, client: func(s *stage, p *peer) {
				p.expect("hello")
				ends(s, p)
			}},
			script{name: "OnTraffic returns " + text, handler: func(s *stage) *actor {
				return &actor{message: func(c gnet.Conn, m string) gnet.Action {
					c.Write([]byte("hello"))
					return action
				}}
			}, client: func(s *stage, p *peer) {
				p.ask("ping", "hello")
				ends(s, p)
			}},
			script{name: "OnTraffic for Wake returns " + text, handler: func(s *stage) *actor {
				return &actor{traffic: func(c gnet.Conn) gnet.Action {
					if c.InboundBuffered() > 0 {
						c.Discard(-1)
						c.Wake(func(_ gnet.Conn, err error) error {
							s.log("woken %s", name(err))
							return nil
						})
						return gnet.None
					}
					s.log("wake")
					c.Write([]byte("hello"))
					return action
				}}
			}, client: func(s *stage, p *peer) {
				p.ask("p", "hello")
				ends(s, p)
				s.await("woken")
			}},
			script{name: "OnClose returns " + text, handler: func(s *stage) *actor {
				return &actor{
					message: func(c gnet.Conn, m string) gnet.Action {
						c.Write([]byte("hello"))
						return gnet.Close
					},
					closed: func(gnet.Conn, error) gnet.Action { return action },
				}
			}, client: func(s *stage, p *peer) {
				p.ask("ping", "hello")
				p.end()
			}},
		)
	}
	return list
}

// lateOperations are all methods of a gnet.Conn, after OnClose.
var lateOperations = []struct {
	method  string
	reaches bool // gnet would use the descriptor
	call    func(c gnet.Conn, done func(result string))
	want    string
}{
	{"Read", false, func(c gnet.Conn, done func(string)) {
		n, err := c.Read(make([]byte, 1))
		done(fmt.Sprint(n, " ", name(err)))
	}, "0 ErrShortBuffer"},
	{"WriteTo", false, func(c gnet.Conn, done func(string)) {
		n, err := c.WriteTo(new(bytes.Buffer))
		done(fmt.Sprint(n, " ", name(err)))
	}, "0 nil"},
	{"Next", false, func(c gnet.Conn, done func(string)) {
		b, err := c.Next(-1)
		done(fmt.Sprint(len(b), " ", name(err)))
	}, "0 nil"},
	{"Peek", false, func(c gnet.Conn, done func(string)) {
		b, err := c.Peek(1)
		done(fmt.Sprint(len(b), " ", name(err)))
	}, "0 ErrShortBuffer"},
	{"Discard", false, func(c gnet.Conn, done func(string)) {
		n, err := c.Discard(1)
		done(fmt.Sprint(n, " ", name(err)))
	}, "0 nil"},
	{"InboundBuffered", false, func(c gnet.Conn, done func(string)) { done(fmt.Sprint(c.InboundBuffered())) }, "0"},
	{"OutboundBuffered", false, func(c gnet.Conn, done func(string)) { done(fmt.Sprint(c.OutboundBuffered())) }, "0"},
	{"Write", true, func(c gnet.Conn, done func(string)) {
		n, err := c.Write([]byte("late"))
		done(fmt.Sprint(n, " ", name(err)))
	}, "0 ErrClosed"},
	{"Writev", true, func(c gnet.Conn, done func(string)) {
		n, err := c.Writev([][]byte{[]byte("late")})
		done(fmt.Sprint(n, " ", name(err)))
	}, "0 ErrClosed"},
	{"ReadFrom", true, func(c gnet.Conn, done func(string)) { // which gnet puts into a buffer
		n, err := c.ReadFrom(strings.NewReader("late"))
		done(fmt.Sprint(n, " ", name(err)))
	}, "0 ErrClosed"},
	{"SendTo", false, func(c gnet.Conn, done func(string)) {
		n, err := c.SendTo([]byte("late"), new(net.TCPAddr))
		done(fmt.Sprint(n, " ", name(err)))
	}, "0 ErrUnsupportedOp"},
	{"Flush", false, func(c gnet.Conn, done func(string)) { done(name(c.Flush())) }, "nil"},
	{"AsyncWrite", false, func(c gnet.Conn, done func(string)) {
		returned(done, c.AsyncWrite([]byte("late"), result(c, done)))
	}, "ErrClosed"},
	{"AsyncWritev", false, func(c gnet.Conn, done func(string)) {
		returned(done, c.AsyncWritev([][]byte{[]byte("late")}, result(c, done)))
	}, "ErrClosed"},
	{"Wake", false, func(c gnet.Conn, done func(string)) { returned(done, c.Wake(result(c, done))) }, "nil"},
	{"Close", false, func(c gnet.Conn, done func(string)) { done(name(c.Close())) }, "nil"},
	{"CloseWithCallback", false, func(c gnet.Conn, done func(string)) {
		returned(done, c.CloseWithCallback(result(c, done)))
	}, "nil"},
	{"Context", false, func(c gnet.Conn, done func(string)) { done(fmt.Sprint(c.Context())) }, "<nil>"},
	{"SetContext", false, func(c gnet.Conn, done func(string)) {
		c.SetContext(1)
		done(fmt.Sprint(c.Context()))
	}, "1"},
	{"EventLoop", false, func(c gnet.Conn, done func(string)) { done(name(c.EventLoop().Close(c))) }, "nil"},
	{"LocalAddr", false, func(c gnet.Conn, done func(string)) { done(fmt.Sprint(c.LocalAddr())) }, "<nil>"},
	{"RemoteAddr", false, func(c gnet.Conn, done func(string)) { done(fmt.Sprint(c.RemoteAddr())) }, "<nil>"},
	{"SetDeadline", false, func(c gnet.Conn, done func(string)) { done(name(c.SetDeadline(time.Now()))) }, "ErrUnsupportedOp"},
	{"SetReadDeadline", false, func(c gnet.Conn, done func(string)) { done(name(c.SetReadDeadline(time.Now()))) }, "ErrUnsupportedOp"},
	{"SetWriteDeadline", false, func(c gnet.Conn, done func(string)) { done(name(c.SetWriteDeadline(time.Now()))) }, "ErrUnsupportedOp"},
	{"Fd", true, func(c gnet.Conn, done func(string)) { done(fmt.Sprint(c.Fd())) }, "-1"},
	{"Dup", true, func(c gnet.Conn, done func(string)) {
		fd, err := c.Dup()
		done(fmt.Sprint(fd, " ", name(err)))
	}, "-1 ErrClosed"},
	{"SetReadBuffer", true, func(c gnet.Conn, done func(string)) { done(name(c.SetReadBuffer(1))) }, "ErrClosed"},
	{"SetWriteBuffer", true, func(c gnet.Conn, done func(string)) { done(name(c.SetWriteBuffer(1))) }, "ErrClosed"},
	{"SetLinger", true, func(c gnet.Conn, done func(string)) { done(name(c.SetLinger(0))) }, "ErrClosed"},
	{"SetNoDelay", true, func(c gnet.Conn, done func(string)) { done(name(c.SetNoDelay(false))) }, "ErrClosed"},
	{"SetKeepAlivePeriod", true, func(c gnet.Conn, done func(string)) { done(name(c.SetKeepAlivePeriod(time.Second))) }, "ErrClosed"},
	{"SetKeepAlive", true, func(c gnet.Conn, done func(string)) {
		done(name(c.SetKeepAlive(false, time.Second, time.Second, 1)))
	}, "ErrClosed"},
}

// result is a callback that reports its error.
func result(c gnet.Conn, done func(string)) gnet.AsyncCallback {
	return func(other gnet.Conn, err error) error {
		if done(name(err)); other != c {
			done("for another connection")
		}
		return nil
	}
}

// returned reports an error of an operation with a callback, if there is one.
func returned(done func(string), err error) {
	if err != nil {
		done("returned " + name(err))
	}
}

// TestLateOperations: after OnClose, and with other clients on its descriptor,
// each method of a connection does no harm, says so once, and says what it should.
func TestLateOperations(t *testing.T) {
	listed := make(map[string]bool)
	for _, o := range lateOperations {
		listed[o.method] = true
	}
	for i, all := 0, reflect.TypeFor[gnet.Conn](); i < all.NumMethod(); i++ {
		if name := all.Method(i).Name; !listed[name] {
			t.Errorf("%s: what does it do after OnClose?", name)
		}
	}
	s := newStage(t, true)
	conns := make(chan gnet.Conn, 1)
	s.start(&actor{message: func(c gnet.Conn, m string) gnet.Action {
		if m == "mine" {
			conns <- c
		}
		c.Write([]byte(m))
		return gnet.None
	}})
	p := s.dial(s.addr)
	p.ask("mine", "mine")
	c := <-conns
	p.vanish()
	s.await("close")
	loop := c.EventLoop()
	s.run(loop, func() {}) // the descriptor is closed now
	var others []*peer
	for range 6 { // one of them has it, at one end or the other
		o := s.dial(s.addr)
		o.ask("ping", "ping")
		others = append(others, o)
	}
	for _, o := range lateOperations {
		var results []string
		s.run(loop, func() { o.call(c, func(result string) { results = append(results, result) }) })
		s.run(loop, func() {}) // what it has queued
		if want := []string{o.want}; !slices.Equal(results, want) {
			t.Errorf("%s: %q, want %q", o.method, results, want)
		}
	}
	for _, o := range others {
		o.ask("ping", "ping")
	}
	s.stop()
	if err := c.AsyncWrite([]byte("late"), nil); err != gneterrors.ErrEngineInShutdown {
		t.Errorf("AsyncWrite when the engine has stopped: %v", err)
	}
	if err := Answer(c, func() { t.Error("the answer is run") }); err != net.ErrClosed {
		t.Errorf("Answer: %v", err)
	}
}

// TestWorkers: workers use connections while they end. Each callback comes once.
func TestWorkers(t *testing.T) {
	s := newStage(t, true)
	var mu sync.Mutex
	calls := make(map[[3]int]int)
	var pending sync.WaitGroup
	s.start(&actor{message: func(c gnet.Conn, m string) gnet.Action {
		for worker := range 3 {
			pending.Go(func() {
				for n := range 100 {
					pending.Add(1)
					callback := func(_ gnet.Conn, err error) error {
						defer pending.Done()
						mu.Lock()
						defer mu.Unlock()
						calls[[3]int{int(m[0]), worker, n}]++
						return nil
					}
					var err error
					switch (n + worker) % 4 {
					case 0:
						err = c.AsyncWrite([]byte("x"), callback)
					case 1:
						err = c.AsyncWritev([][]byte{{1}, {2}}, callback)
					case 2:
						err = c.Wake(callback)
					case 3:
						c.SetNoDelay(n%2 == 0)
						c.SetKeepAlive(true, time.Minute, time.Second, 3)
						if fd, err := c.Dup(); err == nil {
							syscall.Close(fd)
						}
						callback(c, nil)
					}
					if err != nil {
						t.Error(err)
						pending.Done()
					}
					if n == 50 && worker == 0 {
						c.Close()
					}
				}
			})
		}
		return gnet.None
	}}, gnet.WithNumEventLoop(2))
	const clients = 20
	var started sync.WaitGroup
	for i := range clients {
		started.Go(func() {
			p := s.dial(s.addr)
			p.send(string(rune('a'+i)) + "ork")
			if i%2 == 0 {
				p.Read(make([]byte, 1))
				p.vanish()
			}
			io.Copy(io.Discard, p)
		})
	}
	started.Wait()
	for range clients {
		s.await("close")
	}
	pending.Wait()
	if len(calls) != clients*300 {
		t.Errorf("%d callbacks, want %d", len(calls), clients*300)
	}
	for key, n := range calls {
		if n != 1 {
			t.Errorf("the callback %v is called %d times", key, n)
		}
	}
}

// echoing sends back what comes.
func echoing(s *stage) *actor {
	return &actor{message: func(c gnet.Conn, m string) gnet.Action {
		s.log("%s", m)
		c.Write([]byte(m))
		return gnet.None
	}}
}

// badReader fails.
type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// actor is a handler that does what its functions say, and logs what gnet tells.
type actor struct {
	s        *stage
	boot     func() gnet.Action
	open     func(c gnet.Conn) ([]byte, gnet.Action)
	traffic  func(c gnet.Conn) gnet.Action
	message  func(c gnet.Conn, m string) gnet.Action // of 4 bytes; in place of traffic
	closed   func(c gnet.Conn, err error) gnet.Action
	shutdown func()
	tick     func() (time.Duration, gnet.Action)
}

func (a *actor) OnBoot(e gnet.Engine) gnet.Action {
	a.s.engine, a.s.addr = e, address(a.s.t, e)
	defer close(a.s.booted)
	if a.boot != nil {
		return a.boot()
	}
	return gnet.None
}

func (a *actor) OnShutdown(gnet.Engine) {
	a.s.log("shutdown")
	if a.shutdown != nil {
		a.shutdown()
	}
}

func (a *actor) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	if a.open != nil {
		return a.open(c)
	}
	return nil, gnet.None
}

func (a *actor) OnTraffic(c gnet.Conn) gnet.Action {
	switch {
	case a.traffic != nil:
		return a.traffic(c)
	case a.message == nil:
		c.Discard(-1)
	}
	for c.InboundBuffered() >= 4 {
		m, err := c.Next(4)
		if err != nil {
			a.s.t.Error(err)
			return gnet.Close
		}
		if action := a.message(c, string(m)); action != gnet.None {
			return action
		}
	}
	return gnet.None
}

func (a *actor) OnClose(c gnet.Conn, err error) gnet.Action {
	action := gnet.None
	if a.closed != nil {
		action = a.closed(c, err)
	}
	a.s.log("close %s", name(err))
	return action
}

func (a *actor) OnTick() (time.Duration, gnet.Action) {
	if a.tick != nil {
		return a.tick()
	}
	return time.Hour, gnet.None
}

// stage is where a script runs, with or without TLS.
type stage struct {
	t      *testing.T
	secure bool
	ca     *pkitest.Authority
	addr   string
	engine gnet.Engine
	booted chan struct{}
	done   chan struct{} // Run has returned

	mu     sync.Mutex
	more   *sync.Cond
	lines  [3][]string    // of the loop, of workers, of clients
	seen   map[string]int // by await: how many lines that begin so
	gaveUp bool
}

func newStage(t *testing.T, secure bool) *stage {
	s := &stage{t: t, secure: secure, ca: pkitest.CA(t), booted: make(chan struct{}), done: make(chan struct{}), seen: make(map[string]int)}
	s.more = sync.NewCond(&s.mu)
	return s
}

// run runs the script and returns what has happened.
func (script script) run(t *testing.T, secure bool) []string {
	s := newStage(t, secure)
	s.start(script.handler(s), script.opts...)
	if script.client != nil {
		script.client(s, s.dial(s.addr))
		s.stop()
	}
	<-s.done
	return slices.Concat(s.lines[0], s.lines[1], s.lines[2])
}

// start runs the engine.
func (s *stage) start(a *actor, opts ...gnet.Option) {
	a.s = s
	go func() {
		defer close(s.done)
		var err error
		if s.secure {
			server := &Server{Handler: a, HandshakeTimeout: -1, Config: &hermetic.Config{
				Certificates: []tls.Certificate{s.ca.Leaf(s.t, pkitest.Options{})}}}
			server.OnFailure = func(_ net.Addr, err error) { s.log("failed %s", name(err)) }
			err = server.Run("tcp://127.0.0.1:0", opts...)
		} else {
			err = gnet.Run(a, "tcp://127.0.0.1:0", opts...)
		}
		s.log("Run %s", name(err))
	}()
	select {
	case <-s.booted: // perhaps it has ended since
	case <-s.done:
		select {
		case <-s.booted:
		default:
			s.t.Fatal("the engine does not start: ", s.lines[0])
		}
	}
	s.t.Cleanup(s.stop)
}

// stop ends the engine.
func (s *stage) stop() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	s.engine.Stop(now) // which would look for the end twice in a second
	<-s.done
}

// run runs f on the loop.
func (s *stage) run(loop gnet.EventLoop, f func()) {
	done := make(chan struct{})
	if err := loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		defer close(done)
		f()
		return nil
	})); err != nil {
		s.t.Fatal(err)
	}
	<-done
}

// log writes down what happens on the event loop, in its order; logWorker and
// logClient what others do meanwhile.
func (s *stage) log(format string, args ...any)       { s.logTo(0, format, args) }
func (s *stage) logWorker(format string, args ...any) { s.logTo(1, format, args) }
func (s *stage) logClient(format string, args ...any) { s.logTo(2, format, args) }

func (s *stage) logTo(track int, format string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[track] = append(s.lines[track], fmt.Sprintf(format, args...))
	s.more.Broadcast()
}

// await waits for one line more that begins so.
func (s *stage) await(prefix string) {
	defer time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.gaveUp = true
		s.more.Broadcast()
	}).Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[prefix]++
	for s.count(prefix) < s.seen[prefix] && !s.gaveUp {
		s.more.Wait()
	}
	if s.gaveUp {
		s.t.Errorf("no %q comes: %q", prefix, s.lines)
	}
}

func (s *stage) count(prefix string) (n int) {
	for _, lines := range s.lines {
		for _, l := range lines {
			if strings.HasPrefix(l, prefix) {
				n++
			}
		}
	}
	return n
}

// peer is a client.
type peer struct {
	net.Conn
	s   *stage
	raw *net.TCPConn
}

func (s *stage) dial(addr string) *peer {
	s.t.Helper()
	raw := connect(s.t, addr).(*net.TCPConn)
	raw.SetReadBuffer(64 << 10) // so that a client that does not read is noticed early
	s.t.Cleanup(func() { raw.Close() })
	if !s.secure {
		return &peer{raw, s, raw}
	}
	c := tls.Client(raw, &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost", Time: func() time.Time { return pkitest.Now }})
	if err := c.Handshake(); err != nil {
		s.t.Error(err)
	}
	return &peer{c, s, raw}
}

func (p *peer) send(m string) {
	p.s.t.Helper()
	if _, err := io.WriteString(p, m); err != nil {
		p.s.t.Error(err)
	}
}

// ask sends m, and expects the answer.
func (p *peer) ask(m, answer string) {
	p.s.t.Helper()
	p.send(m)
	p.expect(answer)
}

// expect reads m.
func (p *peer) expect(m string) {
	p.s.t.Helper()
	got := make([]byte, len(m))
	if n, err := io.ReadFull(p, got); err != nil || string(got) != m {
		p.s.t.Errorf("TLS %v: the client reads %d bytes, %.50q, %v, want %.50q", p.s.secure, n, got[:n], err, m)
	}
}

// end reads all that is left.
func (p *peer) end() {
	got, err := io.ReadAll(p)
	p.s.logClient("reads %q, then %s", got, name(err))
}

// closeWrite ends what the client sends.
func (p *peer) closeWrite() { p.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// vanish resets the connection.
func (p *peer) vanish() {
	p.raw.SetLinger(0)
	p.raw.Close()
}

// name is how an error is compared.
func name(err error) string {
	var alert *hermetic.AlertError
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &alert):
		return "alert " + alert.Alert.String()
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	}
	for text, known := range map[string]error{"EOF": io.EOF, "ErrUnexpectedEOF": io.ErrUnexpectedEOF, "ErrClosed": net.ErrClosed,
		"ErrShortBuffer": io.ErrShortBuffer, "ErrUnsupportedOp": gneterrors.ErrUnsupportedOp, "ErrEngineShutdown": gneterrors.ErrEngineShutdown} {
		if errors.Is(err, known) {
			return text
		}
	}
	return err.Error()
}
