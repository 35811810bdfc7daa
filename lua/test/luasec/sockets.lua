-- Pairs of connections of the module `ssl`, over sockets of this machine.
local socket, ssl = require 'socket', require 'ssl'
local h = require 'harness'

local sockets = {}

-- Whether this is LuaSec itself: what only we do is not tested then.
sockets.original = os.getenv('HERMETIC_TEST_LUASEC') == 'original'

function sockets.server(more)
  local cfg = { mode = 'server', protocol = 'any', key = h.file 'key.pem', certificate = h.file 'server.crt', verify = 'none', options = 'all' }
  for k, v in pairs(more or {}) do cfg[k] = v end
  return cfg
end

function sockets.client(more)
  local cfg = { mode = 'client', protocol = 'any', verify = 'none', options = 'all' }
  for k, v in pairs(more or {}) do cfg[k] = v end
  return cfg
end

-- Two ends of a TCP connection.
function sockets.tcp()
  local listener = assert(socket.bind('127.0.0.1', 0))
  local _, port = listener:getsockname()
  local client = assert(socket.connect('127.0.0.1', port))
  local server = assert(listener:accept())
  listener:close()
  return client, server
end

function sockets.pair(client, server)
  local c, s = sockets.tcp()
  local cc, sc = assert(ssl.wrap(c, client or sockets.client())), assert(ssl.wrap(s, server or sockets.server()))
  cc:settimeout(0)
  sc:settimeout(0)
  return cc, sc
end

-- Performs both handshakes; returns the errors of the client and the server.
function sockets.shake(c, s)
  local errors, done = {}, {}
  for _ = 1, 10000 do
    for name, conn in pairs { client = c, server = s } do
      if not done[name] then
        local ok, err = conn:dohandshake()
        if ok then
          done[name] = true
        elseif err ~= 'wantread' and err ~= 'wantwrite' then
          done[name], errors[name] = true, err
        end
      end
    end
    if done.client and done.server then return errors.client, errors.server end
    if errors.client then c:close() end
    if errors.server then s:close() end
    socket.select({ c, s }, nil, 0.01)
  end
  error('the handshake does not end', 2)
end

function sockets.established(client, server)
  local c, s = sockets.pair(client, server)
  local cerr, serr = sockets.shake(c, s)
  if cerr or serr then error(('client: %s, server: %s'):format(tostring(cerr), tostring(serr)), 2) end
  return c, s
end

-- Receives as a program with a loop does, until it is no longer told to wait.
function sockets.await(conn, pattern, prefix)
  local data, err, part = conn:receive(pattern, prefix)
  for _ = 1, 1000 do
    if data or err ~= 'wantread' then return data, err, part end
    socket.select({ conn }, nil, 0.1)
    data, err, part = conn:receive(pattern, part)
  end
  error('nothing comes', 2)
end

return sockets
