-- A TLS client: sends each line of its input and prints what comes back.
--
--   lua client.lua HOST PORT [CACERT [NAME]]
--
-- CACERT verifies the server, for the name NAME (default: HOST). Without it
-- nothing is verified, and an attacker in between can read everything.
local socket, ssl = require 'socket', require 'mbedtls.ssl'

local host, port, cacert, name = arg[1] or 'localhost', tonumber(arg[2] or 4433), arg[3], arg[4]
local config = ssl.newconfig('tls-client', cacert)
local sock = assert(socket.connect(host, port))
sock:settimeout(0)

-- LuaSocket's "closed" must not be taken for the server's close_notify: anybody can
-- cut a connection.
local context = ssl.newcontext(config, function(size)
  local data, err, part = sock:receive(size)
  if data then return data end
  if err == 'timeout' then return part end
  error('socket: ' .. err, 0)
end, function(data)
  local last, err, sent = sock:send(data)
  if last then return last end
  if err == 'timeout' then return sent end
  error('socket: ' .. err, 0)
end)
context:sethostname(name or host)

-- Repeats an operation until it is done.
local function await(operation, ...)
  while true do
    local result, err = operation(context, ...)
    if result then return result end
    if err == 'want-read' then
      socket.select({ sock }, nil)
    elseif err == 'want-write' then
      socket.select(nil, { sock })
    else
      io.stderr:write(tostring(err), '\n')
      os.exit(1)
    end
  end
end

await(context.handshake)
local info = context:info()
io.stderr:write(('%s, %s, %s\n'):format(info.version, info.suite, info.group))

for line in function() return io.read('*l') end do
  local question, answer = line .. '\n', ''
  while question ~= '' do question = question:sub(await(context.write, question) + 1) end
  repeat answer = answer .. await(context.read, 16384) until answer:sub(-1) == '\n'
  io.write(answer)
  io.stdout:flush()
end
await(context.close)
sock:close()
