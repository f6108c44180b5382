-- drop_steps: forget the finished steps of a job from one on, under its lease: they are to run again.
-- From     running            To  running
-- Args     worker             text     worker id
--          id                 text     job
--          token              text     lease token
--          first              integer  index of the first step that is forgotten, from 0
-- Replies  OK                 DROPPED, how many
--          LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND   nothing written
-- Repeat   safe: a forgotten step is forgotten
local word = refusal(load_job(id), worker, token, nil)
if word then
  return { word }
end
local key = job_key(id) .. ':steps'
local dropped = {}
for _, index in ipairs(redis.call('HKEYS', key)) do
  if (tonumber(index) or -1) >= first then
    dropped[#dropped + 1] = index
  end
end
if #dropped > 0 then
  redis.call('HDEL', key, unpack(dropped))
end
return { 'OK', 'DROPPED', #dropped }
