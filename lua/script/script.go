// Package script runs a Lua script with gopher-lua, the modules mbedtls and
// sockets: what `hermetic lua` does.
package script

import (
	"errors"
	"fmt"
	"io"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic/lua/gopher"
	"github.com/hermetic-tls/hermetic/lua/socket"
)

// Run runs the script in file, with args in the table arg, as the program lua
// does. The error has Lua's traceback.
func Run(file string, args []string) error {
	L := newState(file, args)
	defer L.Close()
	return message(L.DoFile(file))
}

// RunReader is Run for a script from a reader, for example standard input.
func RunReader(r io.Reader, name string, args []string) error {
	L := newState(name, args)
	defer L.Close()
	f, err := L.Load(r, name)
	if err != nil {
		return message(err)
	}
	L.Push(f)
	return message(L.PCall(0, lua.MultRet, nil))
}

const (
	// maxCalls is how deep a script may recurse, and maxValues how many values it may
	// have at once in local variables and arguments: as in Lua itself, far more than
	// gopher-lua's own 256 and 5,120. Both grow as needed.
	maxCalls, maxValues = 20_000, 1_000_000
	// firstValues is how many values there is room for at first, and moreValues how
	// much room is added at a time.
	firstValues, moreValues = 5 << 10, 64 << 10
)

func newState(name string, args []string) *lua.LState {
	L := lua.NewState(lua.Options{
		CallStackSize:       maxCalls,
		MinimizeStackMemory: true,
		RegistrySize:        firstValues,
		RegistryMaxSize:     maxValues,
		RegistryGrowStep:    moreValues,
	})
	gopher.Preload(L)
	socket.Preload(L)
	table := L.NewTable()
	table.RawSetInt(0, lua.LString(name))
	for i, arg := range args {
		table.RawSetInt(i+1, lua.LString(arg))
	}
	L.SetGlobal("arg", table)
	return L
}

// message formats an error as Lua's own program does.
func message(err error) error {
	if api := (*lua.ApiError)(nil); errors.As(err, &api) && api.Object != nil && api.Object != lua.LNil {
		return fmt.Errorf("%s\n%s", api.Object, api.StackTrace)
	}
	return err
}
