-- reconcile_slots: a running job has a slot of each limit it is under, and nobody else has one.
-- From     (any)              To  (any)
-- Each     id                 text     job
--          name               text     limit of a slot that it has; empty to see whether it lacks one
-- Replies  OK                 one word per item: OK; FIXED <what differed>
--          PAUSED             nothing written
-- Repeat   safe: slots that agree are left alone
if redis.call('HGET', Q .. 'pause', 'paused') ~= '0' then
  return { 'PAUSED' }
end
local words = {}
for at = 1, N do
  local id, name = each(at)
  local job = redis.call('HMGET', job_key(id), 'status', 'lane')
  local runs = job[1] == 'running' and job[2]
  local word = 'OK'
  if name ~= '' then
    local own = false
    for _, limit in ipairs(runs and limits_of(job[2]) or {}) do
      own = own or limit.name == name
    end
    if not own and redis.call('ZREM', Q .. 'slots', name .. '|' .. id) == 1 then
      word = 'FIXED a slot of ' .. name .. ' that it does not run under'
      free_up(name)
    end
  else
    for _, limit in ipairs(runs and limits_of(job[2]) or {}) do
      if redis.call('ZADD', Q .. 'slots', '0', limit.name .. '|' .. id) == 1 then
        word = 'FIXED no slot of ' .. limit.name .. ', and it runs'
      end
    end
  end
  words[at] = word
end
return { 'OK', words }
