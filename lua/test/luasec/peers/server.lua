-- server.lua CERTIFICATE PROTOCOL: echoes the lines of one client.
local socket, ssl = require 'socket', require 'ssl'

local listener = assert(socket.bind('127.0.0.1', 0))
local _, port = listener:getsockname()
print('listening on 127.0.0.1 ' .. port)
io.stdout:flush()
local conn = assert(ssl.wrap(assert(listener:accept()), { mode = 'server', protocol = arg[2], key = arg[1], certificate = arg[1] }))
assert(conn:dohandshake())
for line in function() return conn:receive() end do assert(conn:send(line .. '\n')) end
conn:close()
