package gopher

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

const contextType = "mbedtls.ssl.context"

// context is what ssl.newcontext returns: a session, and the callbacks that carry its bytes.
type context struct {
	mbedtls.Session
	mode          hermetic.Mode
	fed           bool // it has no callbacks
	rcb, wcb, ref lua.LValue
	config        *config
	chosen        *config // by the function servername
	busy          bool    // inside an operation
	want          string  // what the last operation waits for
}

// newContext is ssl.newcontext(cfg, rcb, wcb, [ref]).
func newContext(L *lua.LState) int {
	a := arguments{L, "newcontext", false}
	cfg := a.object(1, stateOf(L).configs, configType).(*config)
	c := &context{config: cfg}
	c.setCallbacks(a)
	return c.push(a)
}

// newEngine is ssl.newengine(cfg): a context for feed and drain.
func newEngine(L *lua.LState) int {
	a := arguments{L, "newengine", false}
	cfg := a.object(1, stateOf(L).configs, configType).(*config)
	return (&context{config: cfg, fed: true}).push(a)
}

// push makes a userdata of a new context.
func (c *context) push(a arguments) int {
	c.mode, c.want = c.config.made.Mode(), "nothing"
	if err := c.Init(c.config.made, c.fed); err != nil {
		a.L.RaiseError("%s", mbedtls.Text(err))
	}
	ud := a.L.NewUserData()
	ud.Value = c
	ud.Metatable = stateOf(a.L).contexts
	a.L.Push(ud)
	return 1
}

// setCallbacks sets the callbacks from arguments 2, 3 and 4.
func (c *context) setCallbacks(a arguments) {
	for n := 2; n <= 3; n++ {
		if a.absent(n) {
			// This is an argument of newcontext, too, not only of a method.
			a.bad(n, "value is nil")
		}
	}
	c.rcb, c.wcb, c.ref = a.L.Get(2), a.L.Get(3), a.L.Get(4)
}

var methods = map[string]lua.LGFunction{
	"handshake":   method("handshake", handshake),
	"read":        method("read", read),
	"write":       method("write", write),
	"readearly":   method("readearly", readEarly),
	"writeearly":  method("writeearly", writeEarly),
	"close":       method("close", closeNotify),
	"closenotify": method("closenotify", closeNotify),
	"reset":       method("reset", reset),
	"setbio":      method("setbio", setBIO),
	"feed":        method("feed", feed),
	"drain":       method("drain", drain),
	"want":        method("want", want),
	"pending":     method("pending", pending),
	"setpeerid":   method("setpeerid", setPeerID),
	"sethostname": method("sethostname", setHostname),
	"gettimeout":  method("gettimeout", getTimeout),
	"info":        method("info", info),
	"peerchain":   method("peerchain", peerChain),
	"verifypeer":  method("verifypeer", verifyPeer),
	"getsession":  method("getsession", getSession),
	"setsession":  method("setsession", setSession),
	"export":      method("export", export),
}

// method is a method of a context that is not inside one of its operations.
func method(name string, f func(*context, arguments) int) lua.LGFunction {
	return func(L *lua.LState) int {
		a := arguments{L, name, true}
		c := a.object(1, stateOf(L).contexts, contextType).(*context)
		if c.busy {
			a.bad(1, mbedtls.Busy)
		}
		return f(c, a)
	}
}

func handshake(c *context, a arguments) int { return c.operate(a.L, mbedtls.Handshake, 0, nil) }

func read(c *context, a arguments) int { return c.operate(a.L, mbedtls.Read, a.count(2), nil) }

func write(c *context, a arguments) int { return c.operate(a.L, mbedtls.Write, 0, a.part(2)) }

func readEarly(c *context, a arguments) int {
	size := a.count(2)
	if c.mode != hermetic.TLSServer {
		a.bad(1, mbedtls.NotSupported)
	}
	if size == 0 {
		a.bad(2, mbedtls.OutOfRange) // '' means the end
	}
	return c.operate(a.L, mbedtls.ReadEarly, size, nil)
}

func writeEarly(c *context, a arguments) int {
	if c.mode == hermetic.DTLSServer {
		a.bad(1, mbedtls.NotSupported)
	}
	return c.operate(a.L, mbedtls.WriteEarly, 0, a.part(2))
}

func closeNotify(c *context, a arguments) int { return c.operate(a.L, mbedtls.Close, 0, nil) }

func reset(c *context, a arguments) int {
	c.want = "nothing"
	return returned(a, c.Reset())
}

func setBIO(c *context, a arguments) int {
	if c.fed {
		a.bad(1, mbedtls.NotSupported+": the context has no callbacks")
	}
	c.setCallbacks(a)
	return 0
}

// onlyFed throws unless the context is one of newengine.
func onlyFed(c *context, a arguments) {
	if !c.fed {
		a.bad(1, mbedtls.NotSupported+": the context has callbacks")
	}
}

func feed(c *context, a arguments) int {
	onlyFed(c, a)
	if err := c.Feed([]byte(a.text(2))); err != nil {
		return failed(a.L, lua.LString(mbedtls.Text(err)))
	}
	a.L.Push(lua.LTrue)
	return 1
}

func drain(c *context, a arguments) int {
	onlyFed(c, a)
	var all []byte
	for more := true; more; {
		var part [4096]byte
		var n int
		n, more = c.Drain(part[:])
		all = append(all, part[:n]...)
	}
	a.L.Push(lua.LString(all))
	return 1
}

func want(c *context, a arguments) int {
	a.L.Push(lua.LString(c.want))
	return 1
}

func pending(c *context, a arguments) int {
	a.L.Push(lua.LNumber(c.Pending()))
	return 1
}

func setPeerID(c *context, a arguments) int {
	id := a.text(2)
	if c.mode != hermetic.DTLSServer {
		a.bad(1, mbedtls.NotSupported)
	}
	return returned(a, c.SetPeerID([]byte(id)))
}

func setHostname(c *context, a arguments) int {
	if a.L.GetTop() < 2 {
		a.bad(2, "value expected")
	}
	var name string
	if !a.absent(2) {
		name = a.text(2)
	}
	if c.mode.IsServer() {
		a.bad(1, mbedtls.NotSupported)
	}
	if len(name) > 255 {
		a.bad(2, mbedtls.OutOfRange)
	}
	return returned(a, c.SetServerName(name))
}

func setSession(c *context, a arguments) int {
	session := a.text(2)
	if c.mode.IsServer() {
		a.bad(1, mbedtls.NotSupported)
	}
	if err := c.SetSession([]byte(session)); err != nil {
		a.bad(2, mbedtls.Text(err))
	}
	return 0
}

func getSession(c *context, a arguments) int {
	if session, err := c.SavedSession(); err == nil && session != nil {
		a.L.Push(lua.LString(session))
	} else {
		a.L.Push(lua.LNil)
	}
	return 1
}

// returned throws err, or returns nothing.
func returned(a arguments, err error) int {
	if err != nil {
		a.L.RaiseError("%s", mbedtls.Text(err))
	}
	return 0
}

func getTimeout(c *context, a arguments) int {
	if d, ok := c.Timeout(); ok {
		a.L.Push(lua.LNumber(d.Seconds()))
	} else {
		a.L.Push(lua.LNil)
	}
	return 1
}

func info(c *context, a arguments) int {
	a.L.Push(fieldTable(a.L, c.Info()))
	return 1
}

func peerChain(c *context, a arguments) int {
	if chain := c.Chain(); chain != nil {
		a.L.Push(fieldTable(a.L, chain))
	} else {
		a.L.Push(lua.LNil)
	}
	return 1
}

func verifyPeer(c *context, a arguments) int {
	var name string
	if !a.absent(2) {
		name = a.text(2)
	}
	if err := c.VerifyPeer(name); err != nil {
		return failed(a.L, lua.LString(mbedtls.Text(err)))
	}
	a.L.Push(lua.LTrue)
	return 1
}

// verifyChain is ssl.verifychain(chain, authorities).
func verifyChain(L *lua.LState) int {
	a := arguments{L, "verifychain", false}
	if err := mbedtls.VerifyChain([]byte(a.text(1)), []byte(a.text(2))); err != nil {
		return failed(L, lua.LString(mbedtls.Text(err)))
	}
	L.Push(lua.LTrue)
	return 1
}

// certificate is ssl.certificate(text).
func certificate(L *lua.LState) int {
	a := arguments{L, "certificate", false}
	fields, err := mbedtls.ParseCertificate([]byte(a.text(1)))
	if err != nil {
		a.bad(1, mbedtls.Text(err))
	}
	L.Push(fieldTable(L, fields))
	return 1
}

func fieldTable(L *lua.LState, fields []mbedtls.Field) *lua.LTable {
	t := L.NewTable()
	for _, f := range fields {
		var v lua.LValue
		switch value := f.Value.(type) {
		case string:
			v = lua.LString(value)
		case int:
			v = lua.LNumber(value)
		case bool:
			v = lua.LBool(value)
		case []mbedtls.Field:
			v = fieldTable(L, value)
		}
		if f.Key == "" {
			t.Append(v)
		} else {
			t.RawSetString(f.Key, v)
		}
	}
	return t
}

func export(c *context, a arguments) int {
	label := a.text(2)
	var with []byte
	if !a.absent(3) {
		with = append([]byte{}, a.text(3)...)
	}
	size := a.count(4)
	if size > maxRead {
		a.bad(4, mbedtls.OutOfRange)
	}
	secret, err := c.Export(label, with, size)
	if err != nil {
		return failed(a.L, lua.LString(hermetic.ErrInvalidOperation.Error()))
	}
	a.L.Push(lua.LString(secret))
	return 1
}
