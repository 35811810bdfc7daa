package gopher

import (
	"errors"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

const contextType = "mbedtls.ssl.context"

// context is what ssl.newcontext returns: a hermetic.Context whose transport
// is the pair of Lua callbacks.
type context struct {
	*hermetic.Context
	mode      hermetic.Mode
	callbacks callbacks
}

// newContext is ssl.newcontext(cfg, rcb, wcb, [ref]).
func newContext(L *lua.LState) int {
	a := arguments{L, "newcontext", false}
	cfg := a.object(1, stateOf(L).configs, configType).(*config)
	c := &context{mode: cfg.mode}
	c.callbacks.set(a)
	var err error
	if c.Context, err = hermetic.NewContext(cfg.mode, cfg.config, &c.callbacks); err != nil {
		L.RaiseError("%s", mbedtls.Text(err))
	}
	ud := L.NewUserData()
	ud.Value = c
	ud.Metatable = stateOf(L).contexts
	L.Push(ud)
	return 1
}

var methods = map[string]lua.LGFunction{
	"handshake":   operation("handshake", handshake),
	"read":        operation("read", read),
	"write":       operation("write", write),
	"readearly":   operation("readearly", readEarly),
	"writeearly":  operation("writeearly", writeEarly),
	"close":       operation("close", closeNotify),
	"closenotify": operation("closenotify", closeNotify),
	"reset":       method("reset", reset),
	"setbio":      method("setbio", setBIO),
	"setpeerid":   method("setpeerid", setPeerID),
	"sethostname": method("sethostname", setHostname),
	"gettimeout":  method("gettimeout", getTimeout),
	"info":        method("info", info),
	"export":      method("export", export),
}

// method is a method of a context that is not inside one of its callbacks.
func method(name string, f func(*context, arguments) int) lua.LGFunction {
	return func(L *lua.LState) int {
		a := arguments{L, name, true}
		c := a.object(1, stateOf(L).contexts, contextType).(*context)
		if c.callbacks.busy {
			a.bad(1, mbedtls.Busy)
		}
		return f(c, a)
	}
}

// operation is a method that may call callbacks. If it fails, it returns nil and an
// error, or what a callback has raised.
func operation(name string, f func(*context, arguments) (lua.LValue, error)) lua.LGFunction {
	return method(name, func(c *context, a arguments) int {
		c.callbacks.L = a.L
		result, err := f(c, a)
		c.callbacks.L = nil
		if err == nil {
			a.L.Push(result)
			return 1
		}
		a.L.Push(lua.LNil)
		var r raised
		switch {
		case errors.As(err, &r):
			a.L.Push(r.value)
		case err == hermetic.ErrClosed:
			a.L.Push(stateOf(a.L).closed)
		case errors.Is(err, hermetic.ErrInvalidOperation):
			a.L.Push(lua.LString(hermetic.ErrInvalidOperation.Error()))
		default:
			a.L.Push(lua.LString(mbedtls.Text(err)))
		}
		return 2
	})
}

func handshake(c *context, a arguments) (lua.LValue, error) {
	return lua.LTrue, c.Handshake()
}

// maxRead is the most that one read returns.
const maxRead = 16384

func read(c *context, a arguments) (lua.LValue, error) {
	p := make([]byte, min(a.count(2), maxRead))
	n, err := c.Read(p)
	return lua.LString(p[:n]), err
}

func write(c *context, a arguments) (lua.LValue, error) {
	n, err := c.Write(a.part(2))
	return lua.LNumber(n), err
}

func readEarly(c *context, a arguments) (lua.LValue, error) {
	size := a.count(2)
	if c.mode != hermetic.TLSServer {
		a.bad(1, mbedtls.NotSupported)
	}
	if size == 0 {
		a.bad(2, mbedtls.OutOfRange) // '' means the end
	}
	p := make([]byte, min(size, maxRead))
	n, err := mbedtls.ReadEarlyData(c.Context, p)
	return lua.LString(p[:n]), err
}

func writeEarly(c *context, a arguments) (lua.LValue, error) {
	if c.mode == hermetic.DTLSServer {
		a.bad(1, mbedtls.NotSupported)
	}
	n, err := c.WriteEarlyData(a.part(2))
	return lua.LNumber(n), err
}

func closeNotify(c *context, a arguments) (lua.LValue, error) {
	return lua.LTrue, c.Close()
}

func reset(c *context, a arguments) int {
	return returned(a, c.Reset())
}

func setBIO(c *context, a arguments) int {
	c.callbacks.set(a)
	return 0
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
	a.L.Push(fieldTable(a.L, mbedtls.Info(c.Engine().State())))
	return 1
}

func fieldTable(L *lua.LState, fields []mbedtls.Field) *lua.LTable {
	t := L.NewTable()
	for _, f := range fields {
		switch value := f.Value.(type) {
		case string:
			t.RawSetString(f.Key, lua.LString(value))
		case bool:
			t.RawSetString(f.Key, lua.LBool(value))
		case []mbedtls.Field:
			t.RawSetString(f.Key, fieldTable(L, value))
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
	secret, err := c.Engine().ExportKeyingMaterial(label, with, size)
	if err != nil {
		a.L.Push(lua.LNil)
		a.L.Push(lua.LString(hermetic.ErrInvalidOperation.Error()))
		return 2
	}
	a.L.Push(lua.LString(secret))
	return 1
}

// callbacks are rcb and wcb as an io.ReadWriter.
type callbacks struct {
	rcb, wcb, ref lua.LValue
	L             *lua.LState // the thread that an operation was called from
	busy          bool
}

// set sets the callbacks from arguments 2, 3 and 4.
func (c *callbacks) set(a arguments) {
	for n := 2; n <= 3; n++ {
		if a.absent(n) {
			// This is an argument of newcontext, too, not only of a method.
			a.bad(n, "value is nil")
		}
	}
	c.rcb, c.wcb, c.ref = a.L.Get(2), a.L.Get(3), a.L.Get(4)
}

// raised is a callback's exception.
type raised struct{ value lua.LValue }

func (r raised) Error() string { return fmt.Sprint("callback raised ", r.value) }

// call calls a callback and returns its first result.
func (c *callbacks) call(f, argument lua.LValue) (lua.LValue, error) {
	L := c.L
	// Without a parent a thread cannot yield: the Go functions below it would be
	// gone when it is resumed.
	parent := L.Parent
	L.Parent = nil
	c.busy = true
	defer func() { c.busy, L.Parent = false, parent }()
	args := []lua.LValue{argument}
	if c.ref != lua.LNil {
		args = []lua.LValue{c.ref, argument}
	}
	top := L.GetTop()
	err := L.CallByParam(lua.P{Fn: f, NRet: 1, Protect: true}, args...)
	if api := (*lua.ApiError)(nil); errors.As(err, &api) {
		return nil, raised{api.Object}
	} else if err != nil {
		return nil, raised{lua.LString(err.Error())}
	}
	result := L.Get(-1)
	L.SetTop(top)
	return result, nil
}

// Read calls rcb. A number counts as its text.
func (c *callbacks) Read(p []byte) (int, error) {
	result, err := c.call(c.rcb, lua.LNumber(len(p)))
	if err != nil {
		return 0, err
	}
	switch result.(type) {
	case lua.LString, lua.LNumber:
		if data := result.String(); len(data) <= len(p) {
			return copy(p, data), nil
		}
	}
	return 0, raised{lua.LString(mbedtls.InvalidReadResult)}
}

// Write calls wcb. A string that is a number counts as one.
func (c *callbacks) Write(p []byte) (int, error) {
	result, err := c.call(c.wcb, lua.LString(p))
	if err != nil {
		return 0, err
	}
	number, ok := result.(lua.LNumber)
	if text, isText := result.(lua.LString); isText {
		number, ok = lua.LVAsNumber(text), isNumeral(c.L, text)
	}
	if n := int(number); ok && 0 <= n && n <= len(p) && lua.LNumber(n) == number {
		return n, nil
	}
	return 0, raised{lua.LString(mbedtls.InvalidWriteResult)}
}
