-- HTTPS with copas: three requests at a time.
--
--   lua copas_client.lua HOST PORT CACERT NAME
--
-- Releases of copas that know LuaSec also take the module `ssl`, for copas.wrap and copas.dohandshake.
local copas, socket, fetch = require 'copas', require 'socket', require 'fetch'

local host, port, cacert, name = arg[1], tonumber(arg[2]), arg[3], arg[4]
local config = fetch.config(cacert, name)
local running = 0

local function request(path)
  local sock = socket.tcp()
  sock:settimeout(0)
  assert(copas.connect(sock, host, port))
  local answer, err = fetch.get(config, {
    send = function(data) assert(copas.send(sock, data)) end,
    receive = function()
      local data, _, part = copas.receivePartial(sock, 16384)
      data = data or part
      return data ~= '' and data or nil
    end,
  }, name, path)
  sock:close()
  print(path, answer or err)
end

for _, path in ipairs { '/1', '/2', '/3' } do
  running = running + 1
  copas.addthread(function()
    request(path)
    running = running - 1
  end)
end
while running > 0 do copas.step() end
