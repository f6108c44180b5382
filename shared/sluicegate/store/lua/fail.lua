-- fail: end attempts as failed: retried after a backoff while attempts are left, unless it cannot help.
-- From     running            To  queued, failed, dead_letter, cancelled
-- Args     worker             text     worker id
--          base_ms            number   wait before the second attempt
--          factor             number   growth of the wait
--          cap_ms             number   longest wait
--          jitter             number   share by which the wait varies, 0 to 1
-- Each     id                 text     job
--          token              text     lease token
--          message            text     error for people
--          class              text     failure class; empty for none
--          retryable          integer  1 or 0
--          random             number   0 to 1, for the jitter
-- Replies  OK                 one word per job: OK, REPEATED, LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND
-- Flags    allow-oom
-- Repeat   safe: same token and verb gets REPEATED; anything else LEASE_LOST
local words = {}
for at = 1, N do
  local id, token, message, class, retryable, random = each(at)
  local job = load_job(id)
  local word = refusal(job, worker, token, 'fail')
  words[at] = word or 'OK'
  if not word then
    end_attempt(job, 'fail')
    if retryable == 0 and not (job.cancel_at and class == 'run_timeout') then
      store_error(job, message, class)
      finish(job, 'failed')
      event(id, job.created_at, 'job.failed', 'workerId', worker, 'attempt', int(job.attempt), 'error', message,
        'failureClass', class)
    elseif job.cancel_at then
      store_error(job, message, class)
      finish_cancelled(job, 'error', message)
    else
      retry_or_bury(job, message, class, 'failure',
        { base = base_ms, factor = factor, cap = cap_ms, jitter = jitter, random = random })
    end
  end
end
return { 'OK', words }
