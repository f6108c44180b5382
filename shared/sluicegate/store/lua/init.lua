-- init: lay out a new store, running and at version 0 of the pause; an existing one stays as it is.
-- From     (none)             To  (none)
-- Args     partitions         integer  how many partitions the deployment has
-- Replies  OK                 partitions of the store
--          STORE_VERSION      it was laid out by a version that this one cannot work with
--          STORE_UNINITIALISED  there are jobs but no record of what wrote them: somebody must look
-- Repeat   safe: only the first call writes
-- Store    may be new
local found = redis.call('HMGET', KEYS[1], 'version', 'partitions')
if found[1] then
  if found[1] ~= SCHEMA_VERSION and found[1] ~= SCHEMA_VERSION_BEFORE then
    return { 'STORE_VERSION', found[1] }
  end
  return { 'OK', found[2] or '1' }
end
for _, name in ipairs({ 'pause', 'audit', 'lanes', 'leases', 'delayed', 'status:queued', 'status:running',
  'status:succeeded', 'status:failed', 'status:cancelled', 'status:dead_letter' }) do
  if redis.call('EXISTS', Q .. name) == 1 then
    return { 'STORE_UNINITIALISED' }
  end
end
redis.call('HSET', KEYS[1], 'version', SCHEMA_VERSION, 'partitions', int(partitions), 'pause_version', '0',
  'created_at', int(now))
redis.call('HSET', Q .. 'pause', 'paused', '0', 'version', '0', 'updated_at', int(now))
return { 'OK', int(partitions) }
