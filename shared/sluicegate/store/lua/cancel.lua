-- cancel: end a waiting job at once; ask the worker of a running one to end it.
-- From     queued, running    To  cancelled, running
-- Args     actor              text     who asks
--          reason             text     why; may be empty
-- Each     id                 text     job
-- Replies  OK                 one word per job: CANCELLED (just now), REQUESTED (its worker ends it),
--                             UNCHANGED (asked before, or already cancelled), STATE_CONFLICT <status>, JOB_NOT_FOUND
-- Flags    allow-oom
-- Repeat   safe: a second request changes nothing, except that it ends a job whose lease has expired
local words = {}
for at = 1, N do
  local id = each(at)
  local job = load_job(id)
  local word
  if not job then
    word = 'JOB_NOT_FOUND'
  elseif job.status == 'cancelled' then
    word = 'UNCHANGED'
  elseif job.status ~= 'queued' and job.status ~= 'running' then
    word = 'STATE_CONFLICT ' .. job.status
  else
    local key = job_key(id)
    local stale = job.status == 'running' and tonumber(redis.call('ZSCORE', Q .. 'leases', id) or 0) <= now
    if not job.cancel_at then
      redis.call('HSET', key, 'cancel_at', int(now), 'cancel_by', actor, 'updated_at', int(now))
      if reason ~= '' then
        redis.call('HSET', key, 'cancel_reason', reason)
      end
      cancel_event(job, 'job.cancel.requested', 'actorUserId', actor, 'reason', reason)
      count('cancel_requests', 1)
      word = 'REQUESTED'
    else
      word = 'UNCHANGED'
    end
    -- Whoever's call changes something is on record, also who ends what another had asked for.
    if word == 'REQUESTED' or stale then
      redis.call('XADD', Q .. 'audit', '*', 'control', 'job_cancel', 'action', 'request', 'actor', actor,
        'reason', reason, 'target', id)
    end
    if job.status == 'queued' then
      if job.entry then
        leave(job.lane, job.entry)
        redis.call('HDEL', key, 'entry')
      else
        redis.call('ZREM', Q .. 'delayed', id)
      end
      redis.call('HDEL', key, 'waiting_since')
      finish_cancelled(job, 'actorUserId', actor, 'reason', reason)
      word = 'CANCELLED'
    elseif stale then
      end_attempt(job, 'cancel')
      finish_cancelled(job, 'actorUserId', actor, 'reason', reason)
      word = 'CANCELLED'
    elseif word == 'REQUESTED' then
      redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'cancel', 'job', id,
        'worker', job.owner, 'token', job.token)
      notify('cancel_requested', { id })
    end
  end
  words[at] = word
end
return { 'OK', words }
