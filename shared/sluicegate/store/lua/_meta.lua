-- Refuse a store that is not ours: missing meta is never an empty queue.
local meta_version = redis.call('HGET', KEYS[1], 'version')
if not meta_version then
  return { 'STORE_UNINITIALISED' }
end
if meta_version ~= SCHEMA_VERSION and meta_version ~= SCHEMA_VERSION_BEFORE then
  return { 'STORE_VERSION', meta_version }
end
