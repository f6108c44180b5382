-- end_live: end the live sessions that nobody ends any more: their worker is silent, their attempt or their time over.
-- From     (any)              To  (any)
-- Args     limit              integer  sessions looked at in one call
--          ready_ms           integer  how long a run may run without taking up a session that was asked for
--          wait_ms            integer  how often to look at one that nobody has taken up
-- Replies  OK                 how many were ended
-- Flags    allow-oom
-- Repeat   safe: what was ended is not looked at again

-- Why it is over, and with which status; or nil, and when to look again.
local function judged(job, live)
  if live.status == 'revoked' then
    return 'revoked', ''
  end
  if not job or (job.status ~= 'queued' and job.status ~= 'running') then
    return 'ended', 'the run is over'
  end
  if not live.token then
    local since = math.max(tonumber(live.created_at), tonumber(job.started_at or live.created_at))
    if job.status == 'running' and now >= since + ready_ms then
      return 'error', 'worker ' .. job.owner .. ' did not open it in time'
    end
    return nil, now + wait_ms
  end
  if not attempt_runs(job, live) then
    return 'ended', 'its attempt is over'
  end
  if now >= tonumber(live.expires_at) + LIVE_GRACE_MS then
    return 'ended', 'its time is over'
  end
  local heard = tonumber(live.heard_at)
  if now >= heard + LIVE_SILENT_MS then
    return 'ended', 'worker ' .. live.worker .. ' was not heard of for ' .. int(LIVE_SILENT_MS / 1000) .. ' s'
  end
  return nil, math.min(heard + LIVE_SILENT_MS, tonumber(live.expires_at) + LIVE_GRACE_MS)
end

local due = redis.call('ZRANGEBYSCORE', Q .. 'live', '-inf', int(now), 'LIMIT', '0', int(limit))
local ended = 0
for _, id in ipairs(due) do
  local job, live = load_job(id), load_live(id)
  if not live or (not is_open(live) and live.ended_at) then
    redis.call('ZREM', Q .. 'live', id)
  else
    local status, rest = judged(job, live)
    if not status then
      redis.call('ZADD', Q .. 'live', int(rest), id)
    else
      end_live_record(job, live, id, status, rest)
      if status ~= 'revoked' then
        tell_live(job, id)
      end
      ended = ended + 1
    end
  end
end
return { 'OK', ended }
