-- control: what an operator asks of one run: to pause, to go on, to be theirs, to go back to a step.
-- From     queued, running    To  queued, running
-- Args     id                 text     job
--          actor              text     who
--          action             text     pause, resume, takeover; with recovery whatever is asked of the steps
--          hard               integer  pause: 1 stops its processes at once, 0 waits for a checkpoint
--          reason             text     why; may be empty
--          summary            text     resume: JSON of what was done meanwhile; may be empty
--          recovery           text     JSON of what is asked of the steps; empty for the other actions
--          metadata           text     JSON object, for the control event and the job's event
--          most               integer  control events of the job; a resume is not refused for them
-- Replies  OK                 DONE, or UNCHANGED: it is as asked, nothing written
--          NOT_HELD           a summary for a run that is not held; nothing written
--          FULL               the job has had so many control events; nothing written
--          CANCELLING, STATE_CONFLICT <status>, JOB_NOT_FOUND   nothing written
-- Flags    allow-oom
-- Repeat   not safe: what was asked may have been done, or undone by another, in between
local job = load_job(id, { 'status', 'owner', 'token', 'created_at', 'cancel_at', 'control', 'control_by',
  'control_reason', 'recovery', 'summary' })
if not job then
  return { 'JOB_NOT_FOUND' }
end
if (job.status ~= 'queued' and job.status ~= 'running') or (recovery ~= '' and job.status ~= 'running') then
  return { 'STATE_CONFLICT ' .. job.status }
end
if job.cancel_at then
  return { 'CANCELLING' }
end

local before = job.control or ''
local after = before
if action == 'pause' then
  after = 'paused' .. (hard == 1 and ' hard' or '') .. (string.match(before, ' takeover') or '')
elseif action == 'takeover' then
  after = 'paused' .. (string.match(before, ' hard') or '') .. ' takeover'
elseif action == 'resume' then
  after = ''
end

if recovery ~= '' then
  if job.recovery == recovery then
    return { 'OK', 'UNCHANGED' }
  end
elseif after == before then
  local told = reason == '' or reason == job.control_reason
  if action == 'resume' then
    if summary ~= '' and summary ~= job.summary then
      return { 'NOT_HELD' }
    end
    return { 'OK', 'UNCHANGED' }
  elseif told and (action == 'pause' or actor == job.control_by) then
    return { 'OK', 'UNCHANGED' }
  end
end
local key = job_key(id)
if action ~= 'resume' and redis.call('XLEN', key .. ':controls') >= most then
  return { 'FULL' }
end

local entry = control_event(id, actor, action, metadata)
change_controls(id)
if recovery ~= '' then
  redis.call('HSET', key, 'recovery', recovery, 'recovery_id', entry)
else
  redis.call('HSET', key, 'control', after, 'control_by', actor, 'control_at', int(now))
  if reason ~= '' then
    redis.call('HSET', key, 'control_reason', reason)
  else
    redis.call('HDEL', key, 'control_reason')
  end
  if summary ~= '' then
    redis.call('HSET', key, 'summary', summary, 'summary_id', entry)
  end
end
event(id, job.created_at, recovery ~= '' and 'task.control.recovery.requested' or 'task.control.requested',
  'action', action, 'actorUserId', actor, 'details', metadata)
redis.call('XADD', Q .. 'audit', '*', 'control', 'task_run', 'action', recovery ~= '' and 'request' or action,
  'mode', recovery ~= '' and action or (hard == 1 and 'hard' or ''), 'actor', actor, 'reason', reason, 'target', id)
if job.status == 'running' then
  push_controls(job)
end
return { 'OK', 'DONE' }
