-- A TLS echo server: one thread, any number of clients, socket.select.
--
--   lua echo_server.lua [PORT [CERT [CACERT]]]
--
-- CERT holds a certificate and its key; without it the server uses a self-signed
-- one, made for this run. With CACERT, clients must have a certificate, too.
local socket, ssl = require 'socket', require 'mbedtls.ssl'

local port, cert, cacert = tonumber(arg[1] or 4433), arg[2], arg[3]
local config = ssl.newconfig('tls-server', cacert, cert)
local listener = assert(socket.bind('127.0.0.1', port))
listener:settimeout(0)
print(('listening on %s %d'):format(listener:getsockname()))
io.stdout:flush()

local clients = {} -- by socket

-- The context's transport: a non-blocking socket. Its errors are returned by the
-- operation in progress. The error of a connection that was cut is not "closed":
-- that is how a client ends its data.
local function receive(sock, size)
  local data, err, part = sock:receive(size)
  if data then return data end
  if err == 'timeout' then return part end
  error('socket: ' .. err, 0)
end

local function send(sock, data)
  local last, err, sent = sock:send(data)
  if last then return last end
  if err == 'timeout' then return sent end
  error('socket: ' .. err, 0)
end

-- Echoes until it must wait; returns what for, or the end.
local function echo(client)
  while true do
    if client.data == '' then
      local data, err = client.context:read(16384)
      if not data then return err end
      client.data = data
    end
    local sent, err = client.context:write(client.data)
    if not sent then return err end
    client.data = client.data:sub(sent + 1)
  end
end

local function serve(client)
  client.waits = echo(client)
  if client.waits == 'want-read' or client.waits == 'want-write' then return end
  if client.waits == 'closed' then
    client.context:close()
  else
    io.stderr:write(client.name, ': ', tostring(client.waits), '\n')
  end
  clients[client.sock] = nil
  client.sock:close()
end

while true do
  local readers, writers = { listener }, {}
  for sock, client in pairs(clients) do
    local set = client.waits == 'want-write' and writers or readers
    set[#set + 1] = sock
  end
  local readable, writable = socket.select(readers, writers)
  for _, ready in ipairs { readable, writable } do
    for _, sock in ipairs(ready) do
      if sock == listener then
        local accepted = listener:accept()
        if accepted then
          accepted:settimeout(0)
          clients[accepted] = {
            sock = accepted,
            name = table.concat({ accepted:getpeername() }, '#', 1, 2),
            context = ssl.newcontext(config, receive, send, accepted),
            waits = 'want-read',
            data = '',
          }
        end
      elseif clients[sock] then
        serve(clients[sock])
      end
    end
  end
end
