-- message: an operator says something to the agent of a run.
-- From     queued, running    To  queued, running
-- Args     id                 text     job
--          actor              text     who
--          metadata           text     JSON object with the message, for the control event and the job's event
--          most               integer  control events of the job
-- Replies  OK                 id of the control event
--          FULL               the job has had so many control events; nothing written
--          CANCELLING, STATE_CONFLICT <status>, JOB_NOT_FOUND   nothing written
-- Repeat   not safe: it would be said twice
local job = load_job(id)
if not job then
  return { 'JOB_NOT_FOUND' }
end
if job.status ~= 'queued' and job.status ~= 'running' then
  return { 'STATE_CONFLICT ' .. job.status }
end
if job.cancel_at then
  return { 'CANCELLING' }
end
if redis.call('XLEN', job_key(id) .. ':controls') >= most then
  return { 'FULL' }
end
local entry = control_event(id, actor, 'message', metadata)
change_controls(id)
redis.call('HSET', job_key(id), 'message_id', entry)
event(id, job.created_at, 'task.operator.message', 'actorUserId', actor, 'messageId', entry, 'details', metadata)
redis.call('XADD', Q .. 'audit', '*', 'control', 'task_run', 'action', 'message', 'actor', actor, 'target', id)
if job.status == 'running' then
  push_controls(job)
end
return { 'OK', entry }
