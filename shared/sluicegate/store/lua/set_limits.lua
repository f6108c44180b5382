-- set_limits: work by other concurrency limits from now on. Claims wait until apply_limits is through.
-- From     (any)              To  (any)
-- Args     text               text     |type=a=2|repo=*=1|; empty for none
--          by                 text     which service says so
-- Replies  OK                 UNCHANGED; or CHANGED and the limits before
-- Flags    allow-oom
-- Repeat   safe: a second call changes nothing
local before = LIMITS or ''
if text == before then
  return { 'OK', 'UNCHANGED' }
end
-- What lanes were set aside by, and what stood on which shelf, is worked out anew: nothing of the old rules stays.
local policies = redis.call('HKEYS', Q .. 'policies')
for _, policy in ipairs(policies) do
  drop_orders(policy)
end
redis.call('DEL', Q .. 'parked', Q .. 'slots')
redis.call('HSET', KEYS[1], 'limits', text, 'limits_at', 'leases 0', 'limits_by', by, 'limits_since', int(now))
if text == '' then
  redis.call('HDEL', KEYS[1], 'limits')
end
return { 'OK', 'CHANGED', before }
