-- Refuse a store that is not ours: missing meta is never an empty queue. With it come the limits in force, how far a
-- change of them has got (nil: it is through), and the narrower pauses (nil: there is none).
local meta = redis.call('HMGET', KEYS[1], 'version', 'limits', 'limits_at', 'pauses')
if not meta[1] then
  return { 'STORE_UNINITIALISED' }
end
if meta[1] ~= SCHEMA_VERSION and meta[1] ~= SCHEMA_VERSION_BEFORE then
  return { 'STORE_VERSION', meta[1] }
end
local LIMITS, LIMITS_AT, PAUSES = meta[2] or nil, meta[3] or nil, meta[4] or nil
