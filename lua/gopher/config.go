package gopher

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

const configType = "mbedtls.ssl.config"

// config is what ssl.newconfig returns.
type config struct {
	made      *mbedtls.Config
	functions *lua.LTable // the options that are functions
}

// files are the options that may also be arguments after the mode.
var files = []string{"cacert", "cert"}

func newConfig(L *lua.LState) int {
	a := arguments{L, "newconfig", false}
	var options mbedtls.Options
	functions := L.NewTable()
	set := func(key, luaType, value string) {
		if err := options.Set(key, luaType, value); err != nil {
			a.bad(1, mbedtls.Text(err))
		}
	}
	if table, ok := L.Get(1).(*lua.LTable); ok {
		for i, key := range files {
			if !a.absent(i + 2) {
				a.bad(i+2, "not with a table: name it in the table, as '"+key+"'")
			}
		}
		options.Table = true
		setTable(a, table, functions, set)
	} else {
		mode := a.text(1)
		if _, err := hermetic.ParseMode(mode); err != nil {
			a.bad(1, "invalid option '"+mode+"'")
		}
		set("mode", "string", mode)
		for i, key := range files {
			if !a.absent(i + 2) {
				set(key, "string", a.text(i+2))
			}
		}
	}
	c, err := options.Config()
	if err != nil {
		L.RaiseError("%s", mbedtls.Text(err))
	}
	ud := L.NewUserData()
	ud.Value = &config{c, functions}
	ud.Metatable = stateOf(L).configs
	L.Push(ud)
	return 1
}

// setTable sets options from a table. An option that is a table is set as one,
// then for each element of a list, and each field, as "option.field".
func setTable(a arguments, table, functions *lua.LTable, set func(key, luaType, value string)) {
	one := func(key string, v lua.LValue) {
		if _, ok := v.(*lua.LTable); ok {
			set(key, mbedtls.NestedTable, "")
			return
		}
		set(key, v.Type().String(), v.String())
	}
	fields := func(key string, table *lua.LTable) {
		table.ForEach(func(k, v lua.LValue) {
			if field, ok := k.(lua.LString); ok {
				one(key+"."+string(field), v)
			}
		})
	}
	table.ForEach(func(k, v lua.LValue) {
		key, ok := k.(lua.LString)
		if !ok {
			a.bad(1, "an option's name is not a string")
		}
		inner, ok := v.(*lua.LTable)
		if !ok {
			one(string(key), v)
			if v.Type() == lua.LTFunction {
				functions.RawSetString(string(key), v)
			}
			return
		}
		set(string(key), "table", "")
		for i := 1; i <= inner.Len(); i++ {
			element := inner.RawGetInt(i)
			one(string(key), element)
			if t, ok := element.(*lua.LTable); ok {
				fields(string(key), t)
			}
		}
		fields(string(key), inner)
	})
}
