-- register_policy: make a worker policy known, and collect the lanes that it may read, in slices.
-- From     (none)             To  (none)
-- Args     policy             text     id of the policy
--          text               text     its types, repositories, capabilities
--          cursor             text     0 to begin, then what the last slice replied
-- Replies  OK                 the next cursor; 0 when it is complete
--          RATE_LIMITED       256 policies are in use
-- Repeat   safe: a slice may be done again; a claim waits for the last one
local known = redis.call('HGET', Q .. 'policies', policy)
if known and string.sub(known, 1, 1) == '+' then
  return { 'OK', '0' }
end
if not known and redis.call('HLEN', Q .. 'policies') >= 256 then
  local idle = redis.call('ZRANGEBYSCORE', Q .. 'policies:used', '-inf', int(now - 60000), 'LIMIT', '0', '1')[1]
  if not idle then
    return { 'RATE_LIMITED' }
  end
  forget_policy(idle)
end

-- From the first slice on, lanes that turn ready match this policy too; what lay ready before is collected here.
redis.call('HSET', Q .. 'policies', policy, '~' .. text)
redis.call('ZADD', Q .. 'policies:used', int(now), policy)
local slice = redis.call('ZSCAN', Q .. 'ready', cursor, 'COUNT', '400')
policy_texts = { policy, '~' .. text }
local found = slice[2]
local roomy = {}
for at = 1, #found, 2 do
  local lane, class, score = string.sub(found[at], 1, -3), string.sub(found[at], -2), found[at + 1]
  if #readers(lane) > 0 then
    local holder, member = parked_by(lane, class, score)
    if holder then
      redis.call('ZADD', Q .. 'parked:' .. policy, '0', member)
      if holder.most and running_under(holder) < holder.most then
        roomy[holder.name] = holder
      end
    else
      redis.call('ZADD', order_of(policy, lane), score, found[at])
    end
  end
end
-- When a slot was freed, nobody may have been there to see the lane that it was for.
policy_texts, matches = nil, {}
for _, limit in pairs(roomy) do
  give_back(limit)
end
if slice[1] == '0' then
  redis.call('HSET', Q .. 'policies', policy, '+' .. text)
end
return { 'OK', slice[1] }
