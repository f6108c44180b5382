-- apply_limits: the next slice of a change of the limits: which slots are taken, then where each lane stands.
-- From     (any)              To  (any)
-- Replies  OK                 MORE: call again; DONE: the limits are in force
-- Flags    allow-oom
-- Repeat   safe: the store knows how far it is, so that many callers share the work
local stage, cursor = string.match(LIMITS_AT or '', '^(%a+) (%d+)$')
if not stage then
  return { 'OK', 'DONE' }
end
local slice = redis.call('ZSCAN', Q .. (stage == 'leases' and 'leases' or 'ready'), cursor, 'COUNT', '100')
local found = slice[2]
for at = 1, #found, 2 do
  if stage == 'leases' then
    local lane = redis.call('HGET', job_key(found[at]), 'lane')
    if lane then
      take_slots(lane, found[at])
    end
  else
    local lane, class = string.sub(found[at], 1, -3), string.sub(found[at], -2)
    unpark(lane, class)
    local holder = held_by(lane)
    if holder then
      set_aside(lane, class, found[at + 1], holder)
    else
      enter_orders(lane, class, found[at + 1])
    end
  end
end
if slice[1] ~= '0' then
  redis.call('HSET', KEYS[1], 'limits_at', stage .. ' ' .. slice[1])
elseif stage == 'leases' then
  redis.call('HSET', KEYS[1], 'limits_at', 'lanes 0')
else
  redis.call('HDEL', KEYS[1], 'limits_at')
  local policies = redis.call('HKEYS', Q .. 'policies')
  for _, policy in ipairs(policies) do
    ring_bell(policy)
  end
  return { 'OK', 'DONE' }
end
return { 'OK', 'MORE' }
