-- client.lua PORT CAFILE PROTOCOL: sends each line of its input, and prints what comes back.
local socket, ssl = require 'socket', require 'ssl'

local conn = assert(ssl.wrap(assert(socket.connect('127.0.0.1', tonumber(arg[1]))),
  { mode = 'client', protocol = arg[3], verify = 'peer', cafile = arg[2], options = 'all' }))
conn:sni 'localhost'
assert(conn:dohandshake())
print('ready', conn:info 'protocol', (conn:getpeerverification()))
io.stdout:flush()
for line in io.lines() do
  assert(conn:send(line .. '\n'))
  print(assert(conn:receive()))
  io.stdout:flush()
end
conn:close()
