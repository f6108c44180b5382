-- grant_live: let an operator type into a run's terminal, until a time.
-- From     running            To  running
-- Args     id                 text     job
--          actor              text     who asks, and may type
--          ttl_ms             integer  how long, from now; at most as long as the session lasts
--          mode               text     that time, for the audit
--          metadata           text     JSON object, for the control event and the job's event
--          most               integer  control events of the job
-- Replies  OK                 the session's fields
--          LIVE_NOT_FOUND     the run never had a session; nothing written
--          LIVE_CONFLICT <status>  it is not ready, or its time or its attempt is over; nothing written
--          FULL               the job has had so many control events; nothing written
--          JOB_NOT_FOUND      nothing written
-- Repeat   safe: the grant then ends so much later
local job = load_job(id)
if not job then
  return { 'JOB_NOT_FOUND' }
end
local live = load_live(id)
if not live then
  return { 'LIVE_NOT_FOUND' }
end
if live.status ~= 'ready' then
  return { 'LIVE_CONFLICT ' .. live.status }
end
if not attempt_runs(job, live) or tonumber(live.expires_at) <= now then
  return { 'LIVE_CONFLICT ended' }
end
local key = job_key(id)
if redis.call('XLEN', key .. ':controls') >= most then
  return { 'FULL' }
end
local ends = math.min(now + ttl_ms, tonumber(live.expires_at))
local former = live.rw_by and live.rw_by ~= actor and tonumber(live.rw_until) > now and live.rw_by or ''
redis.call('HSET', key .. ':live', 'rw_by', actor, 'rw_until', int(ends))
control_event(id, actor, 'grant', metadata)
event(id, job.created_at, 'task.live.granted', 'actorUserId', actor, 'sessionId', live.id, 'grantedUntil', int(ends),
  'replaces', former, 'details', metadata)
redis.call('XADD', Q .. 'audit', '*', 'control', 'live_session', 'action', 'grant', 'mode', mode, 'actor', actor,
  'reason', former ~= '' and 'in place of ' .. former or '', 'target', id)
tell_live(job, id)
return { 'OK', redis.call('HGETALL', key .. ':live') }
