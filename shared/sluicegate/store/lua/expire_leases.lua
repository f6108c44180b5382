-- expire_leases: requeue or end the jobs whose lease has run out; nothing while paused.
-- From     running            To  queued, failed, dead_letter, cancelled
-- Args     base_ms            number   wait before the second attempt
--          factor             number   growth of the wait
--          cap_ms             number   longest wait
--          jitter             number   share by which the wait varies, 0 to 1
-- Each     random             number   0 to 1, for the jitter; as many as jobs may be taken
-- Replies  OK                 how many were taken
--          PAUSED             nothing written
-- Flags    allow-oom
-- Repeat   safe: a job taken no longer has a lease
if redis.call('HGET', Q .. 'pause', 'paused') ~= '0' then
  return { 'PAUSED' }
end
local stale = redis.call('ZRANGEBYSCORE', Q .. 'leases', '-inf', int(now), 'LIMIT', '0', int(N))
for at, id in ipairs(stale) do
  local job = load_job(id)
  if not job or job.status ~= 'running' then
    redis.call('ZREM', Q .. 'leases', id)
  else
    count('lease_expired', 1)
    event(id, job.created_at, 'job.lease_expired', 'workerId', job.owner, 'attempt', int(job.attempt))
    end_attempt(job, 'expire')
    local message = 'the lease of worker ' .. job.owner .. ' expired'
    if job.cancel_at then
      finish_cancelled(job, 'workerId', job.owner)
    elseif past_run_limit(job) then
      store_error(job, 'ran longer than maxRunSeconds', 'run_timeout')
      finish(job, 'failed')
      event(id, job.created_at, 'job.failed', 'attempt', int(job.attempt), 'error', 'ran longer than maxRunSeconds',
        'failureClass', 'run_timeout')
    else
      retry_or_bury(job, message, 'lease_expired', 'lease_expired',
        { base = base_ms, factor = factor, cap = cap_ms, jitter = jitter, random = each(at) })
    end
  end
end
return { 'OK', #stale }
