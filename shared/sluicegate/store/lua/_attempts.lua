-- Attempts: who holds a job, and what becomes of it when an attempt ends.

local JOB_FIELDS = { 'status', 'token', 'owner', 'lane', 'entry', 'created_at', 'attempt', 'max_attempts',
  'releases', 'cancel_at', 'ended', 'started_at', 'max_run_ms', 'error', 'failure_class' }

local function load_job(id, fields)
  fields = fields or JOB_FIELDS
  local values = redis.call('HMGET', job_key(id), unpack(fields))
  if not values[1] then
    return nil
  end
  local job = { id = id }
  for at, name in ipairs(fields) do
    job[name] = values[at]
  end
  job.attempt = tonumber(job.attempt or 1)
  job.max_attempts = tonumber(job.max_attempts or DEFAULT_MAX_ATTEMPTS)
  job.releases = tonumber(job.releases or 0)
  return job
end

-- What the job remembers of its last ended attempt: by whose word it ended, and how.
local function ending(token, verb, worker)
  return token .. ':' .. verb .. ':' .. worker
end

-- Why this worker may not end the attempt `token` with `verb`; nil when it may. REPEATED means that it
-- has already: the caller answers as the first time and writes nothing.
local function refusal(job, worker, token, verb)
  if not job then
    return 'JOB_NOT_FOUND'
  end
  if job.status == 'running' and job.token == token then
    if job.owner ~= worker then
      return 'OWNERSHIP_MISMATCH'
    end
    return nil
  end
  if verb and job.ended == ending(token, verb, worker) then
    return 'REPEATED'
  end
  return 'LEASE_LOST'
end

local function past_run_limit(job)
  return job.max_run_ms and now >= tonumber(job.started_at) + tonumber(job.max_run_ms)
end

-- Take the attempt off its lane, its lease and its slots; the job's next place is the caller's to write.
local function end_attempt(job, verb)
  settle(job.lane, string.sub(job.entry, 1, 2), { string.sub(job.entry, 3) })
  redis.call('ZREM', Q .. 'leases', job.id)
  redis.call('HDEL', job_key(job.id), 'entry', 'appended')
  redis.call('HSET', job_key(job.id), 'ended', ending(job.token, verb, job.owner),
    'updated_at', int(now))
  free_slots(job.lane, job.id)
end

local function enter(job, status)
  redis.call('ZREM', Q .. 'status:' .. job.status, job.id)
  redis.call('ZADD', Q .. 'status:' .. status, int(now), job.id)
  redis.call('HSET', job_key(job.id), 'status', status, 'updated_at', int(now))
  job.status = status
end

local function finish(job, status)
  enter(job, status)
  redis.call('HSET', job_key(job.id), 'finished_at', int(now))
  count('finished:' .. status, 1)
  if status == 'failed' then
    flow(job.lane, 'failed', 1)
  end
  notify(status, { job.id })
end

-- Every event about a cancel says when it was asked for, by whom and why, as the job itself does (C-3).
local function cancel_event(job, kind, ...)
  local asked = redis.call('HMGET', job_key(job.id), 'cancel_at', 'cancel_by', 'cancel_reason')
  event(job.id, job.created_at, kind, 'cancelRequestedAt', asked[1] or '', 'cancelRequestedByUserId', asked[2] or '',
    'cancelReason', asked[3] or '', ...)
end

-- End as cancelled; whoever held the job does no longer.
local function finish_cancelled(job, ...)
  finish(job, 'cancelled')
  redis.call('HDEL', job_key(job.id), 'owner', 'next_attempt_at')
  cancel_event(job, 'job.cancelled', ...)
end

local function requeue(job)
  enter(job, 'queued')
  redis.call('HDEL', job_key(job.id), 'owner', 'started_at')
end

local function store_error(job, message, class)
  redis.call('HSET', job_key(job.id), 'error', message)
  if class ~= '' then
    redis.call('HSET', job_key(job.id), 'failure_class', class)
  else
    redis.call('HDEL', job_key(job.id), 'failure_class')
  end
end

local function write_letter(job, message, class)
  local entry = redis.call('XADD', Q .. 'dead', '*', 'job', job.id, 'lane', job.lane, 'error', message,
    'class', class ~= '' and class or 'unclassified', 'attempts', int(job.attempt))
  redis.call('HSET', job_key(job.id), 'dead', entry)
end

local function bury(job, message, class, reason)
  finish(job, 'dead_letter')
  write_letter(job, message, class)
  count('dead_letters:' .. reason, 1)
  flow(job.lane, 'dead', 1)
  event(job.id, job.created_at, 'job.dead_lettered', 'error', message, 'failureClass', class, 'attempt', int(job.attempt))
end

-- After a retryable failure: back into the queue after a backoff, or to the dead letters.
-- backoff: {base ms, factor, cap ms, jitter share, random 0..1}. Returns the status word.
local function retry_or_bury(job, message, class, reason, backoff)
  store_error(job, message, class)
  flow(job.lane, 'failed', 1)
  if job.attempt >= job.max_attempts then
    bury(job, message, class, reason)
    return 'dead_letter'
  end
  local wait = math.min(backoff.base * backoff.factor ^ (job.attempt - 1), backoff.cap)
  wait = math.floor(math.min(wait * (1 + backoff.jitter * (2 * backoff.random - 1)), backoff.cap))
  requeue(job)
  redis.call('HSET', job_key(job.id), 'attempt', int(job.attempt + 1))
  event(job.id, job.created_at, 'job.retry_scheduled', 'attempt', int(job.attempt), 'error', message,
    'failureClass', class, 'reason', reason, 'nextAttemptAt', int(now + wait))
  count('retries:' .. reason, 1)
  if wait > 0 then
    delay(job.id, job.lane, now + wait)
  else
    redis.call('HSET', job_key(job.id), 'entry', join(job.lane, '+r', job.id))
  end
  notify('queued', { job.id })
  return 'queued'
end
