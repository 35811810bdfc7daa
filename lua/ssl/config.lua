-- What there is: the tables of LuaSec's ssl.config.
local ciphers = require 'ssl.ciphers'

local function set(...)
  local t = {}
  for _, name in ipairs { ... } do t[name] = true end
  return t
end

return {
  protocols = set('tlsv1_2', 'tlsv1_3'),
  algorithms = set('ec'),
  capabilities = set('alpn', 'curves_list', 'ecdh_auto'),
  curves = ciphers.curves(),
  -- Most say how OpenSSL shall treat what there is not here, and so change nothing.
  options = set('all', 'cipher_server_preference', 'dont_insert_empty_fragments', 'enable_middlebox_compat', 'ignore_unexpected_eof',
    'legacy_server_connect', 'no_anti_replay', 'no_compression', 'no_encrypt_then_mac', 'no_extended_master_secret', 'no_query_mtu',
    'no_renegotiation', 'no_session_resumption_on_renegotiation', 'no_ssl_mask', 'no_sslv2', 'no_sslv3', 'no_ticket', 'no_tlsv1',
    'no_tlsv1_1', 'no_tlsv1_2', 'no_tlsv1_3', 'prioritize_chacha', 'safari_ecdhe_ecdsa_bug', 'single_dh_use', 'single_ecdh_use',
    'tls_rollback_bug', 'tlsext_padding'),
}
