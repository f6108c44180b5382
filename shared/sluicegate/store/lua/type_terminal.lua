-- type_terminal: what an operator types into a run's terminal, or the size it is to have, under their grant.
-- From     running            To  running
-- Args     id                 text     job
--          by                 text     who
--          kind               text     d or size
--          data               text     the bytes; columns x rows
--          keep_ms            integer  ms after the last of it, when what no worker took goes
--          most               integer  entries that may wait for the worker
-- Replies  OK                 TYPED <when the grant ends, in ms>
--          NO_SESSION         the run has no live session of this attempt, or it is over; nothing written
--          NOT_READY <status> nothing written
--          NOT_GRANTED        nobody may type, or not any more; nothing written
--          GRANTED_TO <who>   somebody else may; nothing written
--          FULL               the worker takes nothing of what is typed; nothing written
--          STATE_CONFLICT <status>, JOB_NOT_FOUND   nothing written
-- Repeat   not safe: it would be typed twice
local job = load_job(id, { 'status', 'token' })
if not job then
  return { 'JOB_NOT_FOUND' }
end
if job.status ~= 'running' then
  return { 'STATE_CONFLICT ' .. job.status }
end
local key = job_key(id)
local live = redis.call('HMGET', key .. ':live', 'status', 'token', 'rw_until', 'rw_by')
if live[1] == 'starting' then
  return { 'NOT_READY starting' }
end
if live[1] ~= 'ready' or live[2] ~= job.token then
  return { 'NO_SESSION' }
end
local granted = tonumber(live[3] or 0) or 0
if granted <= now then
  return { 'NOT_GRANTED' }
end
if live[4] ~= by then
  return { 'GRANTED_TO ' .. (live[4] or '') }
end
if redis.call('XLEN', key .. ':typed') >= most then
  return { 'FULL' }
end
redis.call('XADD', key .. ':typed', '*', 'token', job.token, kind, data)
redis.call('PEXPIRE', key .. ':typed', int(keep_ms))
return { 'OK', 'TYPED', int(granted) }
