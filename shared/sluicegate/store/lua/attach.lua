-- attach: keep something named with a job (a step checkpoint, an artifact's record, a fact), under its lease.
-- From     running            To  running
-- Args     worker             text     worker id
--          id                 text     job
--          token              text     lease token
--          shelf              text     steps, artifacts or facts
--          name               text     name on the shelf
--          value              text     what to keep
--          once               integer  1: the first value stays
-- Replies  OK                 KEPT and the value that is kept now
--          LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND   nothing written
-- Repeat   safe: the same value again changes nothing
local job = load_job(id)
local word = refusal(job, worker, token, nil)
if word then
  return { word }
end
local key = job_key(id) .. ':' .. shelf
if once == 1 then
  redis.call('HSETNX', key, name, value)
else
  redis.call('HSET', key, name, value)
end
return { 'OK', 'KEPT', redis.call('HGET', key, name) }
