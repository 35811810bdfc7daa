package gopher

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

const configType = "mbedtls.ssl.config"

// config is what ssl.newconfig returns.
type config struct {
	mode   hermetic.Mode
	config *hermetic.Config
}

func newConfig(L *lua.LState) int {
	a := arguments{L, "newconfig", false}
	var options mbedtls.Options
	set := func(key, value string) {
		if err := options.Set(key, value); err != nil {
			a.bad(1, mbedtls.Text(err))
		}
	}
	if table, ok := L.Get(1).(*lua.LTable); ok {
		setTable(a, table, set)
	} else {
		mode := a.text(1)
		if _, err := hermetic.ParseMode(mode); err != nil {
			a.bad(1, "invalid option '"+mode+"'")
		}
		set("mode", mode)
		for i, key := range []string{"cacert", "cert"} {
			if !a.absent(i + 2) {
				set(key, a.text(i+2))
			}
		}
	}
	c, err := options.Config()
	if err != nil {
		L.RaiseError("%s", mbedtls.Text(err))
	}
	ud := L.NewUserData()
	ud.Value = &config{options.Mode(), c}
	ud.Metatable = stateOf(L).configs
	L.Push(ud)
	return 1
}

// setTable sets options from a table: an option that is a list is set for each
// element, one that is a table for each of its fields, as "option.field".
func setTable(a arguments, table *lua.LTable, set func(key, value string)) {
	one := func(key string, v lua.LValue) {
		switch v.(type) {
		case lua.LString, lua.LNumber, lua.LBool:
			set(key, v.String())
		default:
			a.bad(1, fmt.Sprintf("option '%s' is a %s", key, v.Type()))
		}
	}
	table.ForEach(func(k, v lua.LValue) {
		key, ok := k.(lua.LString)
		if !ok {
			a.bad(1, "an option's name is not a string")
		}
		inner, ok := v.(*lua.LTable)
		if !ok {
			one(string(key), v)
			return
		}
		for i := 1; i <= inner.Len(); i++ {
			one(string(key), inner.RawGetInt(i))
		}
		inner.ForEach(func(k, v lua.LValue) {
			if field, ok := k.(lua.LString); ok {
				one(string(key)+"."+string(field), v)
			}
		})
	})
}
