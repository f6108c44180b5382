-- ask_live: an operator wants a terminal on a run; its worker opens it.
-- From     queued, running    To  queued, running
-- Args     id                 text     job
--          actor              text     who
--          session            text     id of the session, if one begins
--          provider           text     which kind
--          metadata           text     JSON object, for the control event and the job's event
--          look_ms            integer  the sweeper looks at it after this time
--          most               integer  control events of the job
-- Replies  OK                 ASKED, or UNCHANGED: one is open, nothing written; its fields
--          LIVE_CONFLICT <status>  one of another kind is open; nothing written
--          FULL               the job has had so many control events; nothing written
--          CANCELLING, STATE_CONFLICT <status>, JOB_NOT_FOUND   nothing written
-- Repeat   safe: what is open stays
local job = load_job(id)
if not job then
  return { 'JOB_NOT_FOUND' }
end
if job.status ~= 'queued' and job.status ~= 'running' then
  return { 'STATE_CONFLICT ' .. job.status }
end
local live = load_live(id)
if is_open(live) then
  if live.provider ~= provider then
    return { 'LIVE_CONFLICT ' .. live.status }
  end
  return { 'OK', 'UNCHANGED', redis.call('HGETALL', job_key(id) .. ':live') }
end
if job.cancel_at then
  return { 'CANCELLING' }
end
if redis.call('XLEN', job_key(id) .. ':controls') >= most then
  return { 'FULL' }
end
begin_live(id, session, provider, actor)
redis.call('ZADD', Q .. 'live', int(now + look_ms), id)
control_event(id, actor, 'create', metadata)
event(id, job.created_at, 'task.live.requested', 'actorUserId', actor, 'sessionId', session, 'details', metadata)
redis.call('XADD', Q .. 'audit', '*', 'control', 'live_session', 'action', 'create', 'mode', provider, 'actor', actor,
  'target', id)
tell_live(job, id)
return { 'OK', 'ASKED', redis.call('HGETALL', job_key(id) .. ':live') }
