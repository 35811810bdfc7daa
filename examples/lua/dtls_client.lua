-- A DTLS client: sends each line of its input and prints what comes back. Lost
-- parts of the handshake are sent again when gettimeout says so; a line without
-- an answer is sent again, too, each second for a minute.
--
--   lua dtls_client.lua HOST PORT [CACERT [NAME]]
local socket, ssl = require 'socket', require 'mbedtls.ssl'

local host, port, cacert, name = arg[1] or '127.0.0.1', tonumber(arg[2] or 4433), arg[3], arg[4]
local udp = assert(socket.udp())
assert(udp:setpeername(host, port))
udp:settimeout(0)

local context = ssl.newcontext(ssl.newconfig('dtls-client', cacert), function(size)
  local data, err = udp:receive(math.min(size, 8192))
  if data then return data end
  if err == 'timeout' then return '' end
  error(err, 0)
end, function(data)
  local sent, err = udp:send(data)
  if sent then return #data end
  if err == 'timeout' then return 0 end
  error(err, 0)
end)
context:sethostname(name or host)

-- Repeats an operation until it is done, or for some time.
local function await(seconds, operation, ...)
  local deadline = socket.gettime() + seconds
  while true do
    local result, err = operation(context, ...)
    if result then return result end
    if err ~= 'want-read' and err ~= 'want-write' then return nil, err end
    local rest = deadline - socket.gettime()
    if rest <= 0 then return nil, 'no answer' end
    local wait = math.min(rest, context:gettimeout() or rest)
    if err == 'want-read' then
      socket.select({ udp }, nil, wait)
    else
      socket.select(nil, { udp }, wait)
    end
  end
end

local function check(result, err)
  if result then return result end
  io.stderr:write(tostring(err), '\n')
  os.exit(1)
end

check(await(60, context.handshake))
local info = context:info()
io.stderr:write(('%s, %s\n'):format(info.version, info.suite))

for line in function() return io.read('*l') end do
  local answer, err
  for _ = 1, 60 do
    check(await(1, context.write, line .. '\n'))
    answer, err = await(1, context.read, 16384)
    if answer or err ~= 'no answer' then break end
  end
  io.write(check(answer, err))
  io.stdout:flush()
end
context:close()
udp:close()
