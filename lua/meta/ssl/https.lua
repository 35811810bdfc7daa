---@meta ssl.https

-- Annotations of LuaCATS for ssl.https.

---@class ssl.https
---@field PORT integer
---@field TIMEOUT number
---@field _VERSION string
---@field _COPYRIGHT string
local https = {}

---@param address string|table
---@param body? string
---@return string|1|nil result
---@return integer|string code
---@return table<string, string>? headers
---@return string? status
function https.request(address, body) end

---@param params? ssl.params
---@return fun(): table create
function https.tcp(params) end

return https
