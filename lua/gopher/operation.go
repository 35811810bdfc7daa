package gopher

import (
	"errors"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

// maxRead is the most that one read returns.
const maxRead = 16384

// room is what a step needs for input and output.
type room struct {
	in  [mbedtls.MaxInput]byte
	out [mbedtls.MaxOutput]byte
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// failed returns nil and an error.
func failed(L *lua.LState, value lua.LValue) int {
	L.Push(lua.LNil)
	L.Push(value)
	return 2
}

// operate performs an operation: it steps the session, and calls the callbacks in between. If it
// fails, it returns nil and an error, or what a callback has raised.
func (c *context) operate(L *lua.LState, op mbedtls.Op, size int, data []byte) int {
	r := rooms.Get().(*room)
	c.busy, c.want = true, "nothing"
	defer func() {
		c.busy = false
		rooms.Put(r)
	}()
	st := &mbedtls.Step{Op: op, Begin: true, Size: min(size, maxRead), Data: data, In: r.in[:], Out: r.out[:]}
	for {
		c.Step(st)
		st.Begin, st.Body = false, nil
		err := c.send(L, st)
		if err == nil && st.Status == mbedtls.WantRead && st.N > 0 {
			st.Body, err = c.receive(L, st.N)
		}
		if err == nil && st.Status == mbedtls.WantAnswer {
			err = c.answer(L)
		}
		switch {
		case err != nil:
			return c.failed(L, err)
		case st.Status == mbedtls.WantRead && st.N > 0, st.Status == mbedtls.WantWrite, st.Status == mbedtls.WantAnswer:
		default:
			return c.result(L, st)
		}
	}
}

// failed returns nil and what ends an operation early.
func (c *context) failed(L *lua.LState, err error) int {
	if r := (raised{}); errors.As(err, &r) {
		return failed(L, r.value)
	}
	switch err {
	case hermetic.ErrWantRead:
		c.want = "read"
	case hermetic.ErrWantWrite:
		c.want = "write"
	case errWantAnswer:
		c.want = "answer"
	}
	return failed(L, lua.LString(mbedtls.Text(err)))
}

// result returns the result of an operation that has ended.
func (c *context) result(L *lua.LState, st *mbedtls.Step) int {
	switch st.Status {
	case mbedtls.Done:
	case mbedtls.WantRead:
		return c.failed(L, hermetic.ErrWantRead)
	case mbedtls.Closed:
		return failed(L, stateOf(L).closed)
	case mbedtls.Invalid:
		return failed(L, lua.LString(hermetic.ErrInvalidOperation.Error()))
	default:
		return failed(L, lua.LString(st.Text))
	}
	switch st.Op {
	case mbedtls.Read, mbedtls.ReadEarly:
		L.Push(lua.LString(st.Result))
	case mbedtls.Write, mbedtls.WriteEarly:
		L.Push(lua.LNumber(st.N))
	default:
		L.Push(lua.LTrue)
	}
	return 1
}

// raised is a callback's exception.
type raised struct{ value lua.LValue }

func (r raised) Error() string { return "a callback has raised " + r.value.String() }

// send offers a step's output to wcb.
func (c *context) send(L *lua.LState, st *mbedtls.Step) error {
	for rest := st.Output; len(rest) > 0; {
		n, err := c.offer(L, rest)
		if n > 0 && c.mode.IsDTLS() {
			n = len(rest) // a datagram leaves whole
		}
		if rest = rest[n:]; n > 0 && err == nil {
			continue
		}
		if st.Status == mbedtls.Failed {
			return nil // the alert is dropped: its reason is the result
		}
		goOn := c.Unsent(st.Op, rest)
		switch {
		case err != nil:
			return err
		case !goOn:
			return hermetic.ErrWantWrite
		}
		return nil
	}
	return nil
}

// offer calls wcb. A string that is a number counts as one.
func (c *context) offer(L *lua.LState, p []byte) (int, error) {
	result, _, err := c.call(L, c.wcb, c.ref, lua.LString(p))
	if err != nil {
		return 0, err
	}
	number, ok := result.(lua.LNumber)
	if text, isText := result.(lua.LString); isText {
		number, ok = lua.LVAsNumber(text), isNumeral(L, text)
	}
	if n := int(number); ok && 0 <= n && n <= len(p) && lua.LNumber(n) == number {
		return n, nil
	}
	return 0, raised{lua.LString(mbedtls.InvalidWriteResult)}
}

// receive calls rcb. A number counts as its text.
func (c *context) receive(L *lua.LState, size int) ([]byte, error) {
	result, _, err := c.call(L, c.rcb, c.ref, lua.LNumber(size))
	if err != nil {
		return nil, err
	}
	switch result.(type) {
	case lua.LString, lua.LNumber:
		switch data := result.String(); {
		case data == "":
			return nil, hermetic.ErrWantRead
		case len(data) <= size:
			return []byte(data), nil
		}
	}
	return nil, raised{lua.LString(mbedtls.InvalidReadResult)}
}

var errWantAnswer = errors.New("want-answer")

// answer calls the function of the configuration that the handshake waits for.
func (c *context) answer(L *lua.LState) error {
	function, argument, chosen := c.Question()
	from := c.config
	if chosen {
		from = c.chosen
	}
	result, why, err := c.call(L, from.functions.RawGetString(function), lua.LNil, fieldTable(L, argument))
	if err != nil {
		return err
	}
	var value any
	switch result := result.(type) {
	case *lua.LNilType:
		return errWantAnswer
	case lua.LBool:
		value = bool(result)
	case lua.LString:
		value = string(result)
	case *lua.LUserData:
		if chosen, ok := result.Value.(*config); ok {
			c.chosen, value = chosen, chosen.made
		}
	}
	reason := ""
	switch why.(type) {
	case lua.LString, lua.LNumber:
		reason = why.String()
	}
	if err := c.Answer(value, reason); err != nil {
		return raised{lua.LString(mbedtls.Text(err))}
	}
	return nil
}

// call calls a function, and returns its first two results.
func (c *context) call(L *lua.LState, f, ref, argument lua.LValue) (first, second lua.LValue, err error) {
	// Without a parent a thread cannot yield: the Go functions below it would be
	// gone when it is resumed.
	parent := L.Parent
	L.Parent = nil
	defer func() { L.Parent = parent }()
	args := []lua.LValue{argument}
	if ref != nil && ref != lua.LNil {
		args = []lua.LValue{ref, argument}
	}
	top := L.GetTop()
	err = L.CallByParam(lua.P{Fn: f, NRet: 2, Protect: true}, args...)
	if api := (*lua.ApiError)(nil); errors.As(err, &api) {
		return nil, nil, raised{api.Object}
	} else if err != nil {
		return nil, nil, raised{lua.LString(err.Error())}
	}
	first, second = L.Get(-2), L.Get(-1)
	L.SetTop(top)
	return first, second, nil
}
