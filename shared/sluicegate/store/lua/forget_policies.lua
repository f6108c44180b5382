-- forget_policies: drop worker policies that no claim used for a time; nothing while paused.
-- From     (none)             To  (none)
-- Args     idle_ms            integer  unused for longer than this
-- Replies  OK                 how many were dropped
--          PAUSED             nothing written, since paused workers leave no trace
-- Repeat   safe: a policy that is needed again is registered again
if redis.call('HGET', Q .. 'pause', 'paused') ~= '0' then
  return { 'PAUSED' }
end
local idle = redis.call('ZRANGEBYSCORE', Q .. 'policies:used', '-inf', int(now - idle_ms), 'LIMIT', '0', '100')
for _, policy in ipairs(idle) do
  forget_policy(policy)
end
return { 'OK', #idle }
