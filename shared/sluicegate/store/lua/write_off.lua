-- write_off: end jobs whose payload is lost, so that none is run without it; its record can be read again.
-- From     queued, running    To  cancelled
-- Args     actor              text     who says so
--          reason             text     why, for people
-- Each     id                 text     job
--          seen               text     its spec as it was seen; empty for none
--          spec               text     what takes its place: JSON without the payload
-- Replies  OK                 one word per job: OK; CHANGED, JOB_NOT_FOUND, HELD (a worker has it, payload and all):
--                             nothing written
-- Repeat   safe: the second time it is CHANGED
local words = {}
for at = 1, N do
  local id, seen, spec = each(at)
  local job = examined(id)
  local word = 'OK'
  if not job then
    word = 'JOB_NOT_FOUND'
  elseif (redis.call('HGET', job_key(id), 'spec') or '') ~= seen then
    word = 'CHANGED'
  elseif job.status == 'running' and tonumber(job.lease or 0) > now then
    word = 'HELD'
  else
    redis.call('HSET', job_key(id), 'spec', spec)
    if not is_terminal(job.status) then
      if job.place then
        take_out(job.lane .. string.sub(job.entry, 1, 2), string.sub(job.entry, 3))
      end
      redis.call('ZREM', Q .. 'leases', id)
      redis.call('ZREM', Q .. 'delayed', id)
      redis.call('HDEL', job_key(id), 'entry', 'waiting_since', 'next_attempt_at')
      redis.call('HSET', job_key(id), 'cancel_at', int(now), 'cancel_by', actor, 'cancel_reason', reason)
      finish_cancelled(job, 'actorUserId', actor, 'reason', reason)
    end
  end
  words[at] = word
end
return { 'OK', words }
