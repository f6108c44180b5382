-- release: hand attempts back unharmed, each only while that attempt still holds its job.
-- From     running            To  queued, dead_letter, cancelled
-- Args     worker             text     worker id
--          max_releases       integer  past this a release counts as a failed attempt
--          base_ms            number   wait before the second attempt
--          factor             number   growth of the wait
--          cap_ms             number   longest wait
--          jitter             number   share by which the wait varies, 0 to 1
-- Each     id                 text     job
--          token              text     lease token
--          reason             text     why, for people; may be empty
--          random             number   0 to 1, for the jitter
-- Replies  OK                 one word per job: OK, REPEATED, LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND
-- Flags    allow-oom
-- Repeat   safe: same token and verb gets REPEATED; anything else LEASE_LOST
local words = {}
for at = 1, N do
  local id, token, reason, random = each(at)
  local job = load_job(id)
  local word = refusal(job, worker, token, 'release')
  words[at] = word or 'OK'
  if not word then
    end_attempt(job, 'release')
    redis.call('HINCRBY', job_key(id), 'releases', '1')
    if job.cancel_at then
      finish_cancelled(job, 'reason', reason)
    elseif job.releases >= max_releases then
      retry_or_bury(job, 'released ' .. int(job.releases + 1) .. ' times', 'released_too_often', 'releases',
        { base = base_ms, factor = factor, cap = cap_ms, jitter = jitter, random = random })
    else
      requeue(job)
      event(id, job.created_at, 'job.released', 'workerId', worker, 'attempt', int(job.attempt), 'reason', reason)
      redis.call('HSET', job_key(id), 'entry', join(job.lane, '+r', id))
      count('retries:release', 1)
      notify('queued', { id })
    end
  end
end
return { 'OK', words }
