-- cancel_ack: the holder of the lease says that the job has ended as asked.
-- From     running            To  cancelled
-- Args     worker             text     worker id
-- Each     id                 text     job
--          token              text     lease token
--          message            text     for people; may be empty
--          receipt            text     JSON proof of how its processes ended; may be empty
-- Replies  OK                 one word per job: OK, REPEATED, LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND,
--                             STATE_CONFLICT running (no request is pending)
-- Flags    allow-oom
-- Repeat   safe: same token and verb gets REPEATED; anything else LEASE_LOST
local words = {}
for at = 1, N do
  local id, token, message, receipt = each(at)
  local job = load_job(id)
  local word = refusal(job, worker, token, 'cancel')
  if not word and not job.cancel_at then
    word = 'STATE_CONFLICT running'
  end
  words[at] = word or 'OK'
  if not word then
    end_attempt(job, 'cancel')
    finish_cancelled(job, 'workerId', worker, 'message', message, 'receipt', receipt)
  end
end
return { 'OK', words }
