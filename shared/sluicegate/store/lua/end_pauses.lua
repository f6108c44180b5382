-- end_pauses: let go on what was paused until a time that has come. It judges by what is paused now: whoever moved or
-- dropped that time a moment before is obeyed.
-- From     (any)              To  (any)
-- Replies  OK                 the pause record when the pause of all workers has ended, else an empty list
-- Flags    allow-oom
-- Repeat   safe: what has ended ends no second time
local found = redis.call('HMGET', Q .. 'pause', 'paused', 'until', 'version')
local ends, version = tonumber(found[2] or nil), tonumber(found[3] or nil)
if found[1] ~= '1' or not ends or not version or ends > now then
  return { 'OK', {} }
end
version = math.max(version, tonumber(redis.call('HGET', KEYS[1], 'pause_version') or 0) or 0)
resume_workers(version + 1, 'system', 'its time was over', redis.call('ZCARD', Q .. 'leases') > 0)
return { 'OK', redis.call('HGETALL', Q .. 'pause') }
