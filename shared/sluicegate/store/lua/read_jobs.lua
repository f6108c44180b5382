-- read_jobs: jobs as they are, each with its lease, in one step.
-- From     (any)              To  (any)
-- Each     id                 text     job
-- Replies  OK                 per job: its fields and lease expiry (or ''); {} where there is none
-- Flags    no-writes
-- Repeat   safe: reads only
local found = {}
for at = 1, N do
  local id = each(at)
  local fields = redis.call('HGETALL', job_key(id))
  if #fields > 0 then
    found[at] = { fields, redis.call('ZSCORE', Q .. 'leases', id) or '' }
  else
    found[at] = {}
  end
end
return { 'OK', found }
