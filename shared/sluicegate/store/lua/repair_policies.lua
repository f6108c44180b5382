-- repair_policies: drop what cannot be read of worker policies, and mend the rest; each is judged anew.
-- From     (none)             To  (none)
-- Each     policy             text     id of the policy
-- Replies  OK                 how many are known afterwards
-- Repeat   safe: a dropped policy is registered again by its next claim
for at = 1, N do
  local policy = each(at)
  local text = redis.call('HGET', Q .. 'policies', policy)
  if text and string.match(text, '^[+~][^|]*|[^|]*|[^|]*$') then
    redis.call('ZADD', Q .. 'policies:used', 'NX', int(now), policy)
    if redis.call('LLEN', Q .. 'bell:' .. policy) > 1 then
      redis.call('LTRIM', Q .. 'bell:' .. policy, '0', '0')
    end
  else
    forget_policy(policy)
  end
end
return { 'OK', redis.call('HLEN', Q .. 'policies') }
