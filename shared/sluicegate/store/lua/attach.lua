-- attach: keep something named with a job (a step checkpoint, an artifact's record, a fact), under its lease.
-- From     running            To  running
-- Args     worker             text     worker id
--          id                 text     job
--          token              text     lease token
--          shelf              text     steps, artifacts or facts
--          name               text     name on the shelf
--          value              text     what to keep
--          once               integer  1: the first value stays
--          most               integer  names that the shelf may hold; 0 for any number
-- Replies  OK                 KEPT, the value that is kept now, the one before it (nil: none)
--          FULL               the shelf holds as many others as it may; nothing written
--          LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND   nothing written
-- Repeat   safe: the same value again changes nothing
local job = load_job(id)
local word = refusal(job, worker, token, nil)
if word then
  return { word }
end
local key = job_key(id) .. ':' .. shelf
local before = redis.call('HGET', key, name)
if before and once == 1 then
  return { 'OK', 'KEPT', before, before }
end
if not before and most > 0 and redis.call('HLEN', key) >= most then
  return { 'FULL' }
end
redis.call('HSET', key, name, value)
return { 'OK', 'KEPT', value, before }
