-- HTTPS with cqueues: three requests at a time.
--
--   lua cqueues_client.lua HOST PORT CACERT NAME
local cqueues, socket, fetch = require 'cqueues', require 'cqueues.socket', require 'fetch'

local host, port, cacert, name = arg[1], tonumber(arg[2]), arg[3], arg[4]
local config = fetch.config(cacert, name)
local loop = cqueues.new()

local function request(path)
  local sock = assert(socket.connect(host, port))
  sock:setmode('bn', 'bn') -- binary, and without a buffer
  local answer, err = fetch.get(config, {
    send = function(data) assert(sock:write(data)) end,
    receive = function() return (sock:read(-16384)) end,
  }, name, path)
  sock:close()
  print(path, answer or err)
end

for _, path in ipairs { '/1', '/2', '/3' } do loop:wrap(request, path) end
assert(loop:loop())
