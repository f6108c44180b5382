-- heartbeat: extend leases of one worker, and tell it what operators want of its jobs.
-- From     running            To  running
-- Args     worker             text     worker id
-- Each     id                 text     job
--          token              text     lease token
--          lease_ms           integer  new length of the lease, from now
-- Replies  OK                 the pause record, time, and per job: OK with lease expiry, cancel time, who, reason,
--                             controls, version of its live session; or LEASE_LOST, OWNERSHIP_MISMATCH,
--                             JOB_NOT_FOUND with nothing written; then the version of the narrower pauses, and their
--                             records by name
-- Flags    allow-oom
-- Repeat   safe: it only moves a deadline
local replies = {}
for at = 1, N do
  local id, token, lease_ms = each(at)
  local job = load_job(id)
  local word = refusal(job, worker, token, nil)
  if not word and past_run_limit(job) then
    word = 'LEASE_LOST'
  end
  if word then
    replies[at] = { word }
  else
    redis.call('ZADD', Q .. 'leases', 'XX', int(now + lease_ms), id)
    local asked = redis.call('HMGET', job_key(id), 'cancel_at', 'cancel_by', 'cancel_reason', 'control', 'live')
    replies[at] = { 'OK', int(now + lease_ms), asked[1] or '', asked[2] or '', asked[3] or '',
      asked[4] and controls_of(id) or {}, asked[5] or '' }
    if asked[5] then
      local live = load_live(id)
      if is_open(live) and live.token == token then
        hear_live(id)
      end
    end
  end
end
return { 'OK', redis.call('HGETALL', Q .. 'pause'), int(now), replies,
  redis.call('HGET', KEYS[1], 'pauses_version') or '0', PAUSES and redis.call('HGETALL', Q .. 'pauses') or {} }
