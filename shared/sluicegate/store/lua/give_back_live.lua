-- give_back_live: an operator ends their own grant to type into a run's terminal, before its time.
-- From     running            To  running
-- Args     id                 text     job
--          actor              text     who
--          metadata           text     JSON object, for the control event
-- Replies  OK                 DONE, or UNCHANGED: the grant is not theirs, or has ended; nothing written
--          JOB_NOT_FOUND      nothing written
-- Repeat   safe: what was given back is UNCHANGED
local job = load_job(id)
if not job then
  return { 'JOB_NOT_FOUND' }
end
local live = load_live(id)
if not live or live.status ~= 'ready' or live.rw_by ~= actor or tonumber(live.rw_until or 0) <= now then
  return { 'OK', 'UNCHANGED' }
end
redis.call('HDEL', job_key(id) .. ':live', 'rw_by', 'rw_until')
control_event(id, actor, 'give_back', metadata)
redis.call('XADD', Q .. 'audit', '*', 'control', 'live_session', 'action', 'grant', 'mode', 'given back', 'actor', actor,
  'reason', '', 'target', id)
tell_live(job, id)
return { 'OK', 'DONE' }
