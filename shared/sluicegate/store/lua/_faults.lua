-- Faults: what the store says against itself. Those who look and those who repair judge by these functions.
-- A fault is a word, or a word and what it is about.

local STATUSES = { 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'dead_letter' }

local RECORD = { 'status', 'lane', 'entry', 'created_at', 'token', 'owner', 'attempt', 'max_attempts', 'releases',
  'started_at', 'finished_at', 'next_attempt_at', 'waiting_since', 'cancel_at', 'dead', 'ended', 'error',
  'failure_class' }

local function is_terminal(status)
  return status ~= 'queued' and status ~= 'running'
end

-- A name that scripts can read: `<priority>|<type>|<repository>|<capabilities>|<affinity key><class>`.
local function is_lane(name)
  return string.match(name, '^%-?%d+|[^|]*|[^|]*|[^|]*|[^|]*%+%l$')
end

local function is_after(one, other)
  local ms, number = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_number = string.match(other, '^(%d+)-(%d+)$')
  ms, other_ms = tonumber(ms), tonumber(other_ms)
  return ms > other_ms or (ms == other_ms and tonumber(number) > tonumber(other_number))
end

-- What the group of a stream has delivered last; nil without the group. The stream must be there.
local function delivered_to(stream)
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local last, ours
    for at = 1, #group, 2 do
      if group[at] == 'name' then
        ours = group[at + 1] == 'workers'
      elseif group[at] == 'last-delivered-id' then
        last = group[at + 1]
      end
    end
    if ours then
      return last
    end
  end
end

-- Where a job's reference to its lane leads: to an entry of its own that is `waiting`, `pending`, or `passed`
-- (delivered, and held by nobody); nil when it leads nowhere.
local function entry_of(job)
  local class, entry = string.match(job.entry or '', '^(%+%l)(%d+%-%d+)$')
  if not class or not job.lane then
    return nil
  end
  local stream = lane_stream(job.lane, class)
  local found = redis.call('XRANGE', stream, entry, entry)[1]
  if not found or found[2][2] ~= job.id then
    return nil
  end
  local delivered = delivered_to(stream)
  if not delivered then
    -- Once the group is back, everything in the stream waits: right for a queued job alone.
    return job.status == 'queued' and 'waiting' or 'passed'
  end
  if is_after(entry, delivered) then
    return 'waiting'
  end
  return #redis.call('XPENDING', stream, 'workers', entry, entry, '1') > 0 and 'pending' or 'passed'
end

local function has_letter(job)
  if not string.match(job.dead or '', '^%d+%-%d+$') then
    return false
  end
  local letter = redis.call('XRANGE', Q .. 'dead', job.dead, job.dead)[1]
  return letter and letter[2][2] == job.id
end

-- Whether the rest of a record is what a job of this status has.
local function is_like(job, status)
  if is_terminal(status) then
    return job.finished_at
  end
  if status == 'running' then
    return job.started_at and not job.finished_at
  end
  return not job.owner and not job.started_at and not job.finished_at
end

-- The status to go by: the recorded one, unless the record fits only another one that the job is listed as.
-- So an ended job does not run again, and a running one not twice, because one field was lost.
local function believed_status(job)
  if job.status and is_like(job, job.status) then
    return job.status
  end
  for _, name in ipairs(STATUSES) do
    if job.listed[name] and is_like(job, name) then
      return name
    end
  end
  if job.status and (job.listed[job.status] or not job.finished_at) then
    return job.status
  end
  for _, name in ipairs({ 'queued', 'running' }) do
    if is_like(job, name) then
      return name
    end
  end
  local verb = string.match(job.ended or '', '^%d+:(%l+):')
  local known = { complete = 'succeeded', cancel = 'cancelled' }
  return job.dead and 'dead_letter' or known[verb] or 'failed'
end

-- Whether a job takes the slots of its limits as its status says. While limits change, nobody knows.
local function slot_fault(job)
  if LIMITS_AT or not is_lane((job.lane or '') .. '+w') then
    return nil
  end
  for _, limit in ipairs(limits_of(job.lane)) do
    local takes = redis.call('ZSCORE', Q .. 'slots', limit.name .. '|' .. job.id)
    if job.status == 'running' and not takes then
      return 'no_slot ' .. limit.name
    elseif job.status ~= 'running' and takes then
      return 'slot_left ' .. limit.name
    end
  end
end

-- A job with all that was found out about it, and its faults; nil for the job when it has no record.
local function examined(id)
  local key = job_key(id)
  local job = { id = id, listed = {}, lease = redis.call('ZSCORE', Q .. 'leases', id),
    due = redis.call('ZSCORE', Q .. 'delayed', id) }
  local faults = {}
  for _, name in ipairs(STATUSES) do
    job.listed[name] = redis.call('ZSCORE', Q .. 'status:' .. name, id)
  end
  local values = redis.call('HMGET', key, unpack(RECORD))
  local empty = true
  for at, name in ipairs(RECORD) do
    job[name] = values[at]
    empty = empty and not values[at]
  end
  if empty and redis.call('EXISTS', key) == 0 then
    for _, name in ipairs(STATUSES) do
      if job.listed[name] then
        faults[#faults + 1] = 'no_record ' .. name
      end
    end
    if job.lease or job.due then
      faults[#faults + 1] = 'no_record ' .. (job.lease and 'leased' or 'delayed')
    end
    return nil, faults
  end
  job.recorded = job.status
  job.status = believed_status(job)
  if job.recorded ~= job.status then
    faults[#faults + 1] = 'wrong_status ' .. job.status
  end
  for _, name in ipairs(STATUSES) do
    if name == job.status and not job.listed[name] then
      faults[#faults + 1] = 'not_listed ' .. name
    elseif name ~= job.status and job.listed[name] then
      faults[#faults + 1] = 'also_listed ' .. name
    end
  end
  if is_terminal(job.status) then
    if not job.finished_at then
      faults[#faults + 1] = 'no_end'
    end
  else
    job.place = entry_of(job)
    if job.finished_at then
      faults[#faults + 1] = 'end_left'
    end
  end
  if job.status == 'running' then
    if not job.lease then
      faults[#faults + 1] = 'no_lease'
    end
    if job.place ~= 'pending' then
      faults[#faults + 1] = 'not_pending'
    end
    if not job.started_at then
      faults[#faults + 1] = 'no_start'
    end
  elseif job.lease then
    faults[#faults + 1] = 'lease_left ' .. job.status
  end
  if job.status == 'queued' then
    if job.cancel_at then
      faults[#faults + 1] = 'cancel_forgotten'
    elseif job.place == 'waiting' and job.due then
      faults[#faults + 1] = 'two_places'
    elseif job.place ~= 'waiting' and not job.due then
      faults[#faults + 1] = 'nowhere'
    elseif job.place ~= 'waiting' and job.entry then
      faults[#faults + 1] = 'entry_left'
    elseif job.place == 'waiting' and string.sub(job.entry, 1, 2) == '+s' and not job.waiting_since then
      faults[#faults + 1] = 'no_since'
    end
  elseif job.due then
    faults[#faults + 1] = 'delayed_left ' .. job.status
  end
  local due = job.status == 'queued' and job.due
  if tonumber(due or -1) ~= tonumber(job.next_attempt_at or -1) then
    faults[#faults + 1] = 'due_differs'
  end
  if job.owner and (job.status == 'queued' or job.status == 'cancelled') then
    faults[#faults + 1] = 'owner_left ' .. job.status
  end
  if job.status == 'dead_letter' then
    if not has_letter(job) then
      faults[#faults + 1] = 'no_letter'
    end
  elseif job.dead then
    faults[#faults + 1] = 'letter_left ' .. job.status
  end
  faults[#faults + 1] = slot_fault(job)
  return job, faults
end

-- Why an entry of a lane, or of `dead`, stands for nothing: ENDED, ELSEWHERE, NO_RECORD; nil when it does not.
local function dangling(name, entry, id)
  local status, lane, reference, dead
  if id then
    local found = redis.call('HMGET', job_key(id), 'status', 'lane', 'entry', 'dead')
    status, lane, reference, dead = found[1], found[2], found[3], found[4]
  end
  if not id or (not status and redis.call('EXISTS', job_key(id)) == 0) then
    return 'NO_RECORD'
  end
  if name == 'dead' then
    return dead ~= entry and 'ELSEWHERE' or nil
  end
  if status and is_terminal(status) then
    return 'ENDED'
  end
  if (lane or '') .. (reference or '') ~= name .. entry then
    return 'ELSEWHERE'
  end
end

-- What is derived of a lane, as its stream has it: the number of waiting entries and the first of them.
-- Entries of a damaged store may be neither pending nor ahead: nobody can claim them, so they do not count.
local function stream_state(stream)
  local delivered = delivered_to(stream)
  local head = head_after(stream, delivered or '0-0')
  if not head then
    return 0, nil, delivered
  end
  local length = redis.call('XLEN', stream)
  return delivered and length - redis.call('XPENDING', stream, 'workers')[1] or length, head, delivered
end

-- The policies that do not find a lane where it is: in their order, or set aside; and those that find
-- it though they may not read it, or nothing waits in it (no score). One that is being registered has only a part.
local function order_faults(lane, class, score)
  local faults, may_read = {}, {}
  for _, policy in ipairs(readers(lane)) do
    may_read[policy] = true
  end
  local holder, member
  if score then
    holder, member = parked_by(lane, class, score)
  end
  local policies = known_policies()
  for at = 1, #policies, 2 do
    local policy = policies[at]
    if string.sub(policies[at + 1], 1, 1) == '+' then
      local expected = not holder and may_read[policy] and score or nil
      local stored = redis.call('ZSCORE', order_of(policy, lane), lane .. class)
      if tonumber(stored or nil) ~= expected
        or (holder and may_read[policy] and not redis.call('ZSCORE', Q .. 'parked:' .. policy, member)) then
        faults[#faults + 1] = 'wrong_for_policy ' .. policy
      end
    end
  end
  return faults
end

-- A lane's faults.
local function lane_faults(name)
  local faults = {}
  if not is_lane(name) then
    return { 'no_lane' }
  end
  local lane, class = string.sub(name, 1, -3), string.sub(name, -2)
  local stream = lane_stream(lane, class)
  local counted = redis.call('HGET', Q .. 'lanes', name)
  local score = nil
  if redis.call('EXISTS', stream) == 0 then
    if counted then
      faults[#faults + 1] = 'lane_gone'
    end
  elseif redis.call('XLEN', stream) == 0 then
    faults[#faults + 1] = 'lane_empty'
  else
    local waiting, head, delivered = stream_state(stream)
    if not delivered then
      faults[#faults + 1] = 'no_group'
    end
    if #redis.call('XINFO', 'GROUPS', stream) > (delivered and 1 or 0) then
      faults[#faults + 1] = 'foreign_group'
    end
    if not counted then
      faults[#faults + 1] = 'lane_not_listed'
    elseif tonumber(counted) ~= waiting then
      faults[#faults + 1] = 'wrong_count ' .. int(waiting) .. ' wait, and ' .. counted .. ' are counted'
    end
    score = waiting > 0 and tonumber(score_of(lane, class, head)) or nil
  end
  local stored = tonumber(redis.call('ZSCORE', Q .. 'ready', name) or nil)
  if stored ~= score then
    faults[#faults + 1] = not stored and 'not_ready' or not score and 'ready_too_much' or 'wrong_order'
  elseif not LIMITS_AT then
    for _, word in ipairs(order_faults(lane, class, score)) do
      faults[#faults + 1] = word
    end
  end
  return faults
end

-- Make what is derived of a lane agree with its stream again; without entries nothing of it is left.
local function set_right(name)
  local lane, class = string.sub(name, 1, -3), string.sub(name, -2)
  local stream = lane_stream(lane, class)
  local waiting, head, delivered = 0, nil, nil
  local there = redis.call('EXISTS', stream) == 1
  if there then
    waiting, head, delivered = stream_state(stream)
  end
  if not there or redis.call('XLEN', stream) == 0 then
    redis.call('DEL', stream)
    redis.call('HDEL', Q .. 'lanes', name)
    head = nil
  else
    if not delivered then
      create_lane(lane, class)
    end
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
      for at = 1, #group, 2 do
        if group[at] == 'name' and group[at + 1] ~= 'workers' then
          redis.call('XGROUP', 'DESTROY', stream, group[at + 1])
        end
      end
    end
    redis.call('HSET', Q .. 'lanes', name, int(waiting))
  end
  set_unready(lane, class)
  local policies = known_policies()
  for at = 1, #policies, 2 do
    redis.call('ZREM', order_of(policies[at], lane), name)
  end
  if head then
    set_ready(lane, class, head)
    ring(lane)
  end
  use_room(lane)
end

-- Take an entry out of a lane, whatever became of it.
local function take_out(name, entry)
  local lane, class = string.sub(name, 1, -3), string.sub(name, -2)
  local stream = lane_stream(lane, class)
  if redis.call('EXISTS', stream) == 0 then
    return
  end
  local delivered = delivered_to(stream)
  if delivered and is_lane(name) and is_after(entry, delivered) then
    leave(lane, class .. entry)
  else
    settle(lane, class, { entry })
  end
end

-- What is wrong with the pause record; nil when nothing is.
local function pause_fault()
  local found = redis.call('HMGET', Q .. 'pause', 'paused', 'version', 'mode', 'until')
  local paused, version, mode, ends = found[1], found[2], found[3], found[4]
  if redis.call('EXISTS', Q .. 'pause') == 0 then
    return 'no_pause'
  end
  if (paused ~= '0' and paused ~= '1') or not tonumber(version or nil)
    or (paused == '1' and mode ~= 'drain' and mode ~= 'quiesce') or (ends and not tonumber(ends)) then
    return 'pause_unreadable'
  end
  local given_out = redis.call('HGET', KEYS[1], 'pause_version')
  if version ~= given_out then
    return 'pause_version it has ' .. version .. ', and ' .. (given_out or 'none') .. ' was given out last'
  end
end
