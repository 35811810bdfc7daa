-- An HTTPS request over whatever a host has for a connection: the other files here call it.
local ssl = require 'mbedtls.ssl'

local fetch = {}

-- config makes the configuration, at the first use and not before: see "Forks" in docs/lua.md.
function fetch.config(cacert, hostname)
  return ssl.newconfig { mode = 'tls-client', cacert = cacert, hostname = hostname }
end

-- stream is TLS over conn: conn.send(data) sends all of it, conn.receive() returns what has come, or
-- nil at the end. Both may yield, as the host's own functions do.
local function stream(config, conn)
  local engine = ssl.newengine(config)
  return function(operation, ...)
    while true do
      local result, err = engine[operation](engine, ...)
      local out = engine:drain()
      if out ~= '' then conn.send(out) end
      if err ~= 'want-read' then return result, err end
      local data = conn.receive()
      if not data then return nil, 'connection lost' end
      engine:feed(data)
    end
  end
end

-- get returns the answer to a request, or nil and what went wrong.
function fetch.get(config, conn, host, path)
  local perform = stream(config, conn)
  local request, sent = ('GET %s HTTP/1.0\r\nHost: %s\r\n\r\n'):format(path, host), 0
  while sent < #request do
    local n, err = perform('write', request, sent + 1)
    if not n then return nil, err end
    sent = sent + n
  end
  local parts = {}
  while true do
    local data, err = perform('read', 16384)
    if err == 'closed' then break end
    if not data then return nil, err end -- the stream was cut, or has failed
    parts[#parts + 1] = data
  end
  perform 'close'
  return table.concat(parts)
end

return fetch
