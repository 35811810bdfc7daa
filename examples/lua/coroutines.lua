-- TLS in coroutines: a server and many clients in one thread, each written as
-- if nothing ever blocked.
--
--   lua coroutines.lua [CLIENTS]
--
-- The scheduler below knows sockets and coroutines, but not TLS: an operation
-- that cannot continue yields what it waits for.
local socket, ssl = require 'socket', require 'mbedtls.ssl'

-- The scheduler

local waiting = { read = {}, write = {} } -- coroutines by socket

local function resume(thread, ...)
  local ok, want, sock = coroutine.resume(thread, ...)
  if not ok then error(want) end
  if coroutine.status(thread) ~= 'dead' then waiting[want][sock] = thread end
end

local function spawn(f, ...) resume(coroutine.create(f), ...) end

local function keys(t)
  local list = {}
  for key in pairs(t) do list[#list + 1] = key end
  return list
end

local function run()
  while next(waiting.read) or next(waiting.write) do
    local readable, writable = socket.select(keys(waiting.read), keys(waiting.write))
    for want, ready in pairs { read = readable, write = writable } do
      for _, sock in ipairs(ready) do
        local thread = waiting[want][sock]
        waiting[want][sock] = nil
        if thread then resume(thread) end
      end
    end
  end
end

-- Connects. Some systems report a connection that has just been established as
-- "already connected".
local function connect(host, port)
  local sock = assert(socket.tcp())
  sock:settimeout(0)
  local ok, err = sock:connect(host, port)
  if err == 'timeout' then
    coroutine.yield('write', sock)
    ok, err = sock:connect(host, port)
  end
  assert(ok or err == 'already connected', err)
  return sock
end

-- A stream: TLS over a socket, for use in a coroutine

local stream = {}
stream.__index = stream

local function secure(config, sock)
  sock:settimeout(0)
  local context = ssl.newcontext(config, function(size)
    local data, err, part = sock:receive(size)
    return data or err == 'timeout' and part or error('socket: ' .. err, 0)
  end, function(data)
    local last, err, sent = sock:send(data)
    return last or err == 'timeout' and sent or error('socket: ' .. err, 0)
  end)
  return setmetatable({ context = context, sock = sock }, stream)
end

function stream:await(operation, ...)
  while true do
    local result, err = self.context[operation](self.context, ...)
    if err == 'want-read' then
      coroutine.yield('read', self.sock)
    elseif err == 'want-write' then
      coroutine.yield('write', self.sock)
    else
      return result, err
    end
  end
end

function stream:send(data)
  local sent = 0
  while sent < #data do sent = sent + assert(self:await('write', data, sent + 1)) end
end

function stream:receive()
  return self:await('read', 16384)
end

function stream:close()
  self:await('close')
  self.sock:close()
end

-- The program

local clients = tonumber(arg[1] or 10)
local server_config, client_config = ssl.newconfig('tls-server'), ssl.newconfig('tls-client')
local listener = assert(socket.bind('127.0.0.1', 0))
listener:settimeout(0)
local host, port = listener:getsockname()

local function session(sock)
  local peer = secure(server_config, sock)
  local data = peer:receive()
  while data do
    peer:send(data:upper())
    data = peer:receive()
  end
  peer:close()
end

spawn(function()
  for _ = 1, clients do
    local sock
    repeat
      coroutine.yield('read', listener)
      sock = listener:accept()
    until sock
    spawn(session, sock)
  end
end)

local done = 0
for i = 1, clients do
  spawn(function()
    local peer = secure(client_config, connect(host, port))
    local question = ('client %d says hello'):format(i)
    peer:send(question)
    local answer = ''
    while #answer < #question do answer = answer .. assert(peer:receive()) end
    assert(answer == question:upper(), answer)
    peer:close()
    done = done + 1
  end)
end

run()
print(('%d of %d clients were answered'):format(done, clients))
