package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic/lua/script"
)

func luaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lua SCRIPT [ARGUMENT]...",
		Short: "Run a Lua script with mbedtls.ssl and sockets, without installing Lua",
		Long: `Run a Lua 5.1 script with the modules mbedtls, mbedtls.ssl, mbedtls.md,
mbedtls.base64 (see docs/lua.md) and socket, which has the functions of LuaSocket
that non-blocking programs use. SCRIPT may be - for standard input. The
ARGUMENTs are in the table arg.`,
		Example: "  hermetic lua examples/lua/echo_server.lua 4433",
		Args:    needs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" {
				return script.RunReader(os.Stdin, "stdin", args[1:])
			}
			return script.Run(args[0], args[1:])
		},
	}
	// All arguments after the script, options included, are the script's.
	cmd.Flags().SetInterspersed(false)
	return cmd
}
