-- signs: what may need a person, of one moment: bounded, whatever the queue holds.
-- From     (any)              To  (any)
-- Args     old_ms             integer  what waits for less is left out
--          heard_ms           integer  a worker is gone that was not heard of for so long
--          most               integer  leases, and ready lanes of each band of priority, that are looked at
-- Replies  OK                 time; leases that have run out or whose worker is gone: job, end, worker, start, when
--                             the worker was heard of last; what waits for long: its lane without priority and
--                             affinity key, since when, how many; since when a due job waits to be moved, or empty
-- Flags    no-writes
-- Repeat   safe: reads only
local leases = redis.call('ZRANGE', Q .. 'leases', '0', int(most - 1), 'WITHSCORES')
local unheld = {}
for at = 1, #leases, 2 do
  local id, expires = leases[at], tonumber(leases[at + 1])
  local job = redis.call('HMGET', job_key(id), 'owner', 'started_at')
  local heard = job[1] and redis.call('ZSCORE', Q .. 'workers', job[1])
  if expires <= now or not heard or tonumber(heard) < now - heard_ms then
    unheld[#unheld + 1] = { id, int(expires), job[1] or '', job[2] or '', heard or '' }
  end
end

local groups, by_name = {}, {}
for _, band in ipairs({ { 1, 1000 }, { 0, 0 }, { -1000, -1 } }) do
  local first = int((1000 - band[2]) * BAND)
  local last = int((1000 - band[1] + 1) * BAND - 1)
  local heads = redis.call('ZRANGEBYSCORE', Q .. 'ready', first, last, 'WITHSCORES', 'LIMIT', '0', int(most))
  for at = 1, #heads, 2 do
    local since = tonumber(heads[at + 1]) % BAND
    if since <= now - old_ms then
      local name = string.match(heads[at], '^[^|]*|([^|]*|[^|]*|[^|]*)|')
      local group = by_name[name]
      if not group then
        group = { name, since, 0 }
        by_name[name] = group
        groups[#groups + 1] = group
      end
      group[2] = math.min(group[2], since)
      group[3] = group[3] + tonumber(redis.call('HGET', Q .. 'lanes', heads[at]) or 0)
    end
  end
end
for _, group in ipairs(groups) do
  group[2], group[3] = int(group[2]), int(group[3])
end

local due = redis.call('ZRANGEBYSCORE', Q .. 'delayed', '-inf', int(now), 'WITHSCORES', 'LIMIT', '0', '1')[2]
return { 'OK', int(now), unheld, groups, due or '' }
