-- end_pauses: let go on what was paused until a time that has come. It judges by what is paused now: whoever moved or
-- dropped that time a moment before is obeyed.
-- From     (any)              To  (any)
-- Replies  OK                 the pause record when the pause of all workers has ended, else an empty list; and the
--                             names and last records of narrower pauses that have, up to 20: bring_back goes on
-- Flags    allow-oom
-- Repeat   safe: what has ended ends no second time
local resumed = {}
local found = redis.call('HMGET', Q .. 'pause', 'paused', 'until', 'version')
local ends, version = tonumber(found[2] or nil), tonumber(found[3] or nil)
if found[1] == '1' and ends and version and ends <= now then
  version = math.max(version, tonumber(redis.call('HGET', KEYS[1], 'pause_version') or 0) or 0)
  resume_workers(version + 1, 'system', ENDED, redis.call('ZCARD', Q .. 'leases') > 0)
  resumed = redis.call('HGETALL', Q .. 'pause')
end
local lifted = {}
for _, name in ipairs(PAUSES and redis.call('HKEYS', Q .. 'pauses') or {}) do
  local record = narrow_record(name)
  if record and record.ends > 0 and record.ends <= now and #lifted < 40 then
    lifted[#lifted + 1] = name
    lifted[#lifted + 1] = record_narrow(name, record,
      { action = 'resume', value = record.value, who = 'system', why = ENDED })
  end
end
return { 'OK', resumed, lifted }
