-- HTTPS with luv, or in neovim, whose vim.loop is luv: three requests at a time.
--
--   lua luv_client.lua HOST PORT CACERT NAME
--   nvim --headless --cmd "lua arg = { 'HOST', 'PORT', 'CACERT', 'NAME' }" -c 'luafile luv_client.lua' -c 'qa!'
local uv, fetch = vim and vim.loop or require 'luv', require 'fetch'

local host, port, cacert, name = arg[1], tonumber(arg[2]), arg[3], arg[4]
local config = fetch.config(cacert, name)
local running = 0

-- A coroutine's view of a TCP connection. What comes before receive is called, waits in a queue.
local function connect(thread)
  local tcp, queue, waiting = uv.new_tcp(), {}, false
  local function resume(...) assert(coroutine.resume(thread, ...)) end
  tcp:connect(host, port, resume)
  assert(not coroutine.yield())
  local function receive()
    if #queue == 0 then
      waiting = true
      coroutine.yield()
      waiting = false
    end
    return table.remove(queue, 1) or nil -- false is the end
  end
  tcp:read_start(function(err, data)
    queue[#queue + 1] = not err and data or false
    if waiting then resume() end
  end)
  return { send = function(data) tcp:write(data) end, receive = receive, close = function() tcp:close() end }
end

local function request(path)
  local conn = connect(coroutine.running())
  local answer, err = fetch.get(config, conn, name, path)
  conn.close()
  io.stdout:write(path, '\t', answer or err, '\n')
  running = running - 1
end

for _, path in ipairs { '/1', '/2', '/3' } do
  running = running + 1
  coroutine.wrap(request)(path)
end
if vim then
  vim.wait(60000, function() return running == 0 end, 10)
else
  uv.run()
end
