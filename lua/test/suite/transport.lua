-- Transports in memory: what one context writes the other reads.
local ssl = require 'mbedtls.ssl'

local transport = {}

-- A stream. Its fields may be changed at any time:
--   piece   at most so many bytes pass at once (0: none)
--   asked   sizes that rcb was called with
--   sent    strings that passed wcb
function transport.stream()
  local s = { data = '', asked = {}, sent = {}, piece = math.huge }
  function s.rcb(size)
    s.asked[#s.asked + 1] = size
    local n = math.min(size, s.piece, #s.data)
    local piece = s.data:sub(1, n)
    s.data = s.data:sub(n + 1)
    return piece
  end
  function s.wcb(data)
    local n = math.min(#data, s.piece)
    if n > 0 then s.sent[#s.sent + 1] = data:sub(1, n) end
    s.data = s.data .. data:sub(1, n)
    return n
  end
  return s
end

-- Datagrams. lose(data, number), if set, says which are lost.
function transport.datagrams()
  local d = { queue = {}, asked = {}, sent = {}, piece = math.huge }
  function d.rcb(size)
    d.asked[#d.asked + 1] = size
    return table.remove(d.queue, 1) or ''
  end
  function d.wcb(data)
    if d.piece == 0 then return 0 end
    d.sent[#d.sent + 1] = data
    if not (d.lose and d.lose(data, #d.sent)) then d.queue[#d.queue + 1] = data end
    return #data
  end
  return d
end

local function default_client()
  return ssl.newconfig { mode = 'tls-client', versions = os.getenv('HERMETIC_TEST_VERSION') }
end

-- A client and a server with nothing done yet; up goes to the server.
function transport.pair(client, server, new)
  new = new or transport.stream
  local up, down = new(), new()
  local c = ssl.newcontext(client or default_client(), down.rcb, up.wcb)
  local s = ssl.newcontext(server or ssl.newconfig('tls-server'), up.rcb, down.wcb)
  return c, s, up, down
end

-- Whether an operation is to be repeated.
function transport.waits(err) return err == 'want-read' or err == 'want-write' end

-- Performs both handshakes; returns what went wrong, if anything.
function transport.shake(c, s)
  local client, server
  for _ = 1, 20000 do
    local err
    if not client then
      client, err = c:handshake()
      if not client and not transport.waits(err) then return 'client: ' .. tostring(err) end
    end
    if not server then
      server, err = s:handshake()
      if not server and not transport.waits(err) then return 'server: ' .. tostring(err) end
    end
    if client and server then return nil end
  end
  return 'it never ends'
end

-- A pair that has shaken hands.
function transport.established(...)
  local c, s, up, down = transport.pair(...)
  local err = transport.shake(c, s)
  if err then error(err, 2) end
  return c, s, up, down
end

-- Sends all of data from one to the other, and returns what came.
function transport.send(from, to, data)
  local parts, sent, got = {}, 0, 0
  for _ = 1, 1000000 do
    if sent < #data then
      local n, err = from:write(data, sent + 1)
      if n then sent = sent + n elseif not transport.waits(err) then error(err, 2) end
    end
    local part, err = to:read(16384)
    if part then
      parts[#parts + 1] = part
      got = got + #part
    elseif not transport.waits(err) then
      error(err, 2)
    end
    if got >= #data then break end
  end
  return table.concat(parts)
end

return transport
