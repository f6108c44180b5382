-- Live sessions: a terminal on a running task. A run has one record, of its newest session.

-- So long a session's worker may say nothing, and so long after its time a session is left to its worker.
local LIVE_SILENT_MS, LIVE_GRACE_MS = 60000, 15000

-- What a session has only while it lasts: whoever reads its record afterwards finds no way into a terminal.
local LIVE_WAYS = { 'attach_ro', 'web_ro', 'rw', 'rw_until', 'rw_by', 'tmate_session', 'tmate_socket' }

-- The session's fields by name; nil when the run never had one.
local function load_live(id)
  local flat = redis.call('HGETALL', job_key(id) .. ':live')
  if #flat == 0 then
    return nil
  end
  local live = {}
  for at = 1, #flat, 2 do
    live[flat[at]] = flat[at + 1]
  end
  return live
end

local function is_open(live)
  return live ~= nil and (live.status == 'starting' or live.status == 'ready')
end

-- Whether the attempt that has the session still runs.
local function attempt_runs(job, live)
  return job and job.status == 'running' and job.token == live.token
end

-- Count a change of which the session's worker has to know: its heartbeats tell it the number.
local function number_live(job, id)
  local version = int(redis.call('HINCRBY', job_key(id) .. ':live', 'version', '1'))
  if job then
    redis.call('HSET', job_key(id), 'live', version)
  end
  notify('live', { id })
  return version
end

-- As `number_live`, and push it to the worker that runs the job.
local function tell_live(job, id)
  local version = number_live(job, id)
  if job and job.status == 'running' then
    redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'live', 'job', id, 'worker', job.owner,
      'token', job.token, 'live', version)
  end
end

-- A new session in place of one that is over. by: the operator who asked; empty for a worker's own.
local function begin_live(id, session, provider, by)
  local key = job_key(id) .. ':live'
  local version = redis.call('HGET', key, 'version') or '0'
  redis.call('DEL', key)
  redis.call('HSET', key, 'id', session, 'provider', provider, 'status', 'starting', 'created_at', int(now), 'version',
    version)
  if by ~= '' then
    redis.call('HSET', key, 'asked_by', by)
  end
  count('live:starting', 1)
end

-- Nobody can get in any more, by whatever way. What the terminal showed stays for some seconds, until its viewers
-- have read the last of it.
local function shut_live(id)
  redis.call('HDEL', job_key(id) .. ':live', unpack(LIVE_WAYS))
  redis.call('DEL', job_key(id) .. ':typed', job_key(id) .. ':watched')
  redis.call('PEXPIRE', job_key(id) .. ':terminal', '5000')
end

-- The session is over, and nothing of it is left with its worker.
local function end_live_record(job, live, id, status, why)
  shut_live(id)
  redis.call('HSET', job_key(id) .. ':live', 'status', status, 'ended_at', int(now))
  if why ~= '' then
    redis.call('HSET', job_key(id) .. ':live', 'error', why)
  end
  redis.call('ZREM', Q .. 'live', id)
  if status ~= live.status then
    count('live:' .. status, 1)
    if job and (live.asked_by or status == 'error') then
      event(id, job.created_at, 'task.live.' .. status, 'provider', live.provider, 'sessionId', live.id, 'error', why)
    end
  end
  notify('live', { id })
end

-- Its worker is there: the sweeper need not look for so long.
local function hear_live(id)
  redis.call('HSET', job_key(id) .. ':live', 'heard_at', int(now))
  redis.call('ZADD', Q .. 'live', 'XX', int(now + LIVE_SILENT_MS), id)
end
