-- A DTLS echo server: one UDP socket, many peers.
--
--   lua dtls_echo_server.lua [PORT [CERT]]
--
-- Nothing is kept for a stranger until it has shown that its address is its
-- own: its first ClientHello is answered with a cookie, by one context that all
-- strangers share. A peer that returns the cookie gets that context for itself.
--
-- The same socket answers a plain request, "status", and protects it by its own
-- cookies: the answer to "status" is "cookie C", and the answer to "status C" is
-- the number of sessions.
local socket, ssl = require 'socket', require 'mbedtls.ssl'

local port, cert = tonumber(arg[1] or 4433), arg[2]
local config = ssl.newconfig('dtls-server', nil, cert)
local udp = assert(socket.udp())
assert(udp:setsockname('127.0.0.1', port))
udp:settimeout(0)
print(('listening on %s %d'):format(udp:getsockname()))
io.stdout:flush()

local sessions, count = {}, 0 -- by the peer's identity: address#port

-- A session's transport: the datagrams of its peer, one by one.
local function new()
  local session = {}
  session.context = ssl.newcontext(config, function()
    local datagram = session.datagram or ''
    session.datagram = nil
    return datagram
  end, function(data)
    udp:sendto(data, session.ip, session.port)
    return #data
  end)
  return session
end

local stranger = new()

local function forget(session, why)
  io.stderr:write(session.id, ': ', tostring(why), '\n')
  sessions[session.id] = nil
  count = count - 1
end

-- Continues a session, for a datagram or because its timeout has passed.
local function serve(session)
  while true do
    local data, err = session.context:read(16384)
    if not data then
      if err == 'closed' then session.context:close() end
      if err ~= 'want-read' and err ~= 'want-write' then return forget(session, err) end
      local timeout = session.context:gettimeout()
      session.deadline = timeout and socket.gettime() + timeout
      return
    end
    session.context:write(data) -- what cannot be sent is lost: this is UDP
  end
end

local function greet(id, ip, port, datagram)
  stranger.id, stranger.ip, stranger.port, stranger.datagram = id, ip, port, datagram
  stranger.context:setpeerid(id)
  if stranger.context:handshake() then
    sessions[id], stranger = stranger, new()
    count = count + 1
    serve(sessions[id])
  end
end

local function status(id, ip, port, cookie)
  if ssl.checkcookie(id, cookie) then
    udp:sendto(('%d sessions\n'):format(count), ip, port)
  else
    udp:sendto(('cookie %s\n'):format(ssl.getcookie(id)), ip, port)
  end
end

while true do
  local now, wait = socket.gettime()
  for _, session in pairs(sessions) do
    if session.deadline then wait = math.min(wait or math.huge, math.max(0, session.deadline - now)) end
  end
  socket.select({ udp }, nil, wait)
  local datagram, ip, port = udp:receivefrom()
  if datagram then
    local id = ip .. '#' .. port
    local cookie = datagram:match('^status%s*(%S*)')
    if cookie then
      status(id, ip, port, cookie)
    elseif sessions[id] then
      sessions[id].datagram = datagram
      serve(sessions[id])
    else
      greet(id, ip, port, datagram)
    end
  end
  now = socket.gettime()
  local due = {}
  for _, session in pairs(sessions) do
    if session.deadline and session.deadline <= now then due[#due + 1] = session end
  end
  for _, session in ipairs(due) do serve(session) end
end
