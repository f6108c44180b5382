-- repair_jobs: put jobs where their records say that they are; each is judged anew, and a sound one left alone.
-- From     (any)              To  (any)
-- Args     lease_ms           integer  the lease of a running job that has none
-- Each     id                 text     job
-- Replies  OK                 one word per job: OK; FIXED <faults>; INCOMPLETE when its record lacks what it takes
-- Repeat   safe: a sound job is left alone

-- A field that says what the job no longer is.
local function clear(job, ...)
  redis.call('HDEL', job_key(job.id), ...)
end

local function set(job, ...)
  redis.call('HSET', job_key(job.id), ...)
end

local function is_whole(job)
  return is_lane((job.lane or '') .. '+w') and tonumber(job.created_at) and tonumber(job.attempt or 1)
    and (job.status ~= 'running' or (job.owner and tonumber(job.token or nil)))
end

-- An entry that is held: in a stream in which none ever waits, so that nothing else is delivered by this.
local function hold(job)
  local name = job.lane .. '+p'
  set_right(name)
  if not waiting_in(job.lane, '+p') then
    create_lane(job.lane, '+p')
    redis.call('HSET', Q .. 'lanes', name, '0')
  end
  local stream = lane_stream(job.lane, '+p')
  local entry = redis.call('XADD', stream, '*', 'job', job.id)
  redis.call('XREADGROUP', 'GROUP', 'workers', 'worker', 'COUNT', '1', 'STREAMS', stream, '>')
  set(job, 'entry', '+p' .. entry)
end

local function list(job)
  for _, name in ipairs(STATUSES) do
    if name ~= job.status and job.listed[name] then
      redis.call('ZREM', Q .. 'status:' .. name, job.id)
    end
  end
  if not job.listed[job.status] then
    local since = tonumber(job.finished_at or job.started_at or job.created_at) or now
    redis.call('ZADD', Q .. 'status:' .. job.status, int(since), job.id)
  end
end

local function leave_lane(job)
  if job.place then
    take_out(job.lane .. string.sub(job.entry, 1, 2), string.sub(job.entry, 3))
  end
  clear(job, 'entry', 'waiting_since')
end

local function queue(job)
  clear(job, 'owner', 'started_at', 'finished_at')
  if job.cancel_at then
    leave_lane(job)
    redis.call('ZREM', Q .. 'delayed', job.id)
    return finish_cancelled(job, 'message', 'its cancel had been requested')
  end
  if job.place == 'waiting' and not (job.due and job.next_attempt_at) then
    redis.call('ZREM', Q .. 'delayed', job.id)
    clear(job, 'next_attempt_at')
    if string.sub(job.entry, 1, 2) == '+s' and not job.waiting_since then
      set(job, 'waiting_since', job.created_at)
    end
    return
  end
  leave_lane(job)
  local due = tonumber(job.due or job.next_attempt_at or nil)
  if due then
    delay(job.id, job.lane, due)
  else
    -- Where jobs are that come back: it has waited since it was created.
    set_right(job.lane .. '+r')
    set(job, 'entry', join(job.lane, '+r', job.id))
  end
end

local function run(job)
  redis.call('ZREM', Q .. 'delayed', job.id)
  clear(job, 'next_attempt_at', 'finished_at')
  if not job.started_at then
    set(job, 'started_at', int(tonumber(job.listed.running or nil) or now))
  end
  if not job.lease then
    redis.call('ZADD', Q .. 'leases', int(now + lease_ms), job.id)
  end
  if job.place ~= 'pending' then
    leave_lane(job)
    hold(job)
  end
end

local function rest(job)
  redis.call('ZREM', Q .. 'delayed', job.id)
  clear(job, 'next_attempt_at')
  if job.status == 'cancelled' then
    clear(job, 'owner')
  end
  if not job.finished_at then
    set(job, 'finished_at', int(tonumber(job.listed[job.status] or nil) or now))
  end
end

local words, repaired = {}, {}
for at = 1, N do
  local id = each(at)
  local job, faults = examined(id)
  local word = 'OK'
  if #faults > 0 and not job then
    for _, name in ipairs(STATUSES) do
      redis.call('ZREM', Q .. 'status:' .. name, id)
    end
    redis.call('ZREM', Q .. 'leases', id)
    redis.call('ZREM', Q .. 'delayed', id)
    word = 'FIXED ' .. table.concat(faults, ', ')
  elseif #faults > 0 and not is_whole(job) then
    word = 'INCOMPLETE'
  elseif #faults > 0 then
    job.attempt = tonumber(job.attempt or 1)
    list(job)
    if job.recorded ~= job.status then
      set(job, 'status', job.status)
    end
    if job.status == 'running' then
      take_slots(job.lane, id)
    else
      redis.call('ZREM', Q .. 'leases', id)
      free_slots(job.lane, id)
    end
    if job.status ~= 'dead_letter' then
      clear(job, 'dead')
    elseif not has_letter(job) then
      write_letter(job, job.error or '', job.failure_class or '')
    end
    if is_terminal(job.status) then
      rest(job)
    elseif job.status == 'running' then
      run(job)
    else
      queue(job)
    end
    word = 'FIXED ' .. table.concat(faults, ', ')
    event(id, job.created_at, 'custom', 'level', 'warn', 'message', 'repaired: ' .. table.concat(faults, ', '),
      'payload', '{"kind":"job.repaired"}')
    repaired[#repaired + 1] = id
  end
  words[at] = word
end
notify('repaired', repaired)
return { 'OK', words }
