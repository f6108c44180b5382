-- revoke_live: end a run's live session at once, for everyone; its worker tears down what it has of it.
-- From     (any)              To  (any)
-- Args     id                 text     job
--          actor              text     who
--          reason             text     why; may be empty
--          metadata           text     JSON object, for the control event and the job's event
--          look_ms            integer  the sweeper looks after this time whether its worker has
-- Replies  OK                 REVOKED, or UNCHANGED: it was before, nothing written; the session's fields
--          LIVE_NOT_FOUND     the run never had a session; nothing written
--          LIVE_CONFLICT <status>  it is over; nothing written
--          JOB_NOT_FOUND      nothing written
-- Flags    allow-oom
-- Repeat   safe: a revoked session stays so
local job = load_job(id)
if not job then
  return { 'JOB_NOT_FOUND' }
end
local live = load_live(id)
if not live then
  return { 'LIVE_NOT_FOUND' }
end
local key = job_key(id) .. ':live'
if live.status == 'revoked' then
  return { 'OK', 'UNCHANGED', redis.call('HGETALL', key) }
end
if not is_open(live) then
  return { 'LIVE_CONFLICT ' .. live.status }
end
shut_live(id)
redis.call('HSET', key, 'status', 'revoked', 'revoke', actor)
count('live:revoked', 1)
if attempt_runs(job, live) then
  redis.call('ZADD', Q .. 'live', int(now + look_ms), id)
else
  redis.call('HSET', key, 'ended_at', int(now))
  redis.call('ZREM', Q .. 'live', id)
end
control_event(id, actor, 'revoke', metadata)
event(id, job.created_at, 'task.live.revoked', 'actorUserId', actor, 'sessionId', live.id, 'details', metadata)
redis.call('XADD', Q .. 'audit', '*', 'control', 'live_session', 'action', 'revoke', 'actor', actor, 'reason', reason,
  'target', id)
tell_live(job, id)
return { 'OK', 'REVOKED', redis.call('HGETALL', key) }
