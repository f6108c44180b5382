-- answer_control: the holder of the lease has done what was asked of its steps, will not do it, or has passed a summary on.
-- From     running            To  running
-- Args     worker             text     worker id
--          id                 text     job
--          token              text     lease token
--          what               text     recovery or summary
--          request            text     which one: its id
--          outcome            text     of a recovery: ack or rejected
--          message            text     for people; may be empty
-- Replies  OK                 DONE, or OTHER: answered before, or replaced by another, nothing written; the controls
--          LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND   nothing written
-- Flags    allow-oom
-- Repeat   safe: what is answered is OTHER
local job = load_job(id)
local word = refusal(job, worker, token, nil)
if word then
  return { word }
end
local key = job_key(id)
local kept = redis.call('HMGET', key, what, what .. '_id')
if not kept[1] or kept[2] ~= request then
  return { 'OK', 'OTHER', controls_of(id) }
end
redis.call('HDEL', key, what, what .. '_id')
change_controls(id)
if what == 'recovery' then
  event(id, job.created_at, 'task.control.recovery.' .. outcome, 'workerId', worker, 'message', message, 'details',
    kept[1])
end
return { 'OK', 'DONE', controls_of(id) }
