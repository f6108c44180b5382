-- renew_live: the attempt that has a live session is there; what is wanted of the session.
-- From     running            To  running
-- Args     worker             text     worker id
--          id                 text     job
--          token              text     lease token
-- Replies  OK                 the record's fields; none when the run has no session
--          LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND   nothing written
-- Flags    allow-oom
-- Repeat   safe: it only moves a deadline
local job = load_job(id)
local word = refusal(job, worker, token, nil)
if word then
  return { word }
end
local live = load_live(id)
if is_open(live) and live.token == token then
  hear_live(id)
end
return { 'OK', redis.call('HGETALL', job_key(id) .. ':live') }
