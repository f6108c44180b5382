-- claim: open the next attempts for a worker, highest priority and longest waiting first.
-- From     queued             To  running
-- Args     worker             text     worker id
--          policy             text     id of the policy it reads by
--          lease_ms           integer  length of each lease
--          limit              integer  jobs, 1 to 100
--          request            text     repeating it returns the same attempts
-- Replies  OK                 the pause record, time, due time of the next delayed job (or ''), jobs: each
--                             its fields, token, lease expiry; and 1 when it had to stop before the end: ask again
--          PAUSED             the pause record; nothing written
--          WORKER_PAUSED      the pause record, and that of the pause of this worker; the bell has rung on
--          LIMITS_CHANGING    apply_limits has to get through first; nothing written
--          UNKNOWN_POLICY     register it first; nothing written
--          STORE_UNINITIALISED  no pause record that can be read: never taken for "not paused"
-- Repeat   safe: the same request gets the same attempts, as far as they still run
local pause = redis.call('HGETALL', Q .. 'pause')
local paused, version
for at = 1, #pause, 2 do
  if pause[at] == 'paused' then
    paused = pause[at + 1]
  elseif pause[at] == 'version' then
    version = pause[at + 1]
  end
end
if (paused ~= '0' and paused ~= '1') or not version or not string.find(version, '^%d+$') then
  return { 'STORE_UNINITIALISED' }
end

local memo_key = Q .. 'claim:' .. worker
local memo = redis.call('GET', memo_key)
if memo and string.sub(memo, 1, #request + 1) == request .. '\n' then
  local jobs = {}
  for id, token in string.gmatch(string.sub(memo, #request + 2), '([^ :]+):(%d+)') do
    local fields = redis.call('HGETALL', job_key(id))
    local current = {}
    for at = 1, #fields, 2 do
      current[fields[at]] = fields[at + 1]
    end
    if current.status == 'running' and current.token == token and current.owner == worker then
      jobs[#jobs + 1] = { id, fields, token, redis.call('ZSCORE', Q .. 'leases', id) }
    end
  end
  return { 'OK', pause, int(now), '', jobs, 0 }
end

if paused == '1' then
  return { 'PAUSED', pause }
end
local text = redis.call('HGET', Q .. 'policies', policy)
if PAUSES and string.find(PAUSES, '|worker=', 1, true) then
  local name = 'worker=' .. encoded(worker)
  if string.find(PAUSES, '|' .. name .. '|', 1, true) then
    -- What brought this worker here may have been the only ring: another one has to hear it.
    if text then
      ring_bell(policy)
    end
    return { 'WORKER_PAUSED', pause, name, redis.call('HGET', Q .. 'pauses', name) or '' }
  end
end
if LIMITS_AT then
  return { 'LIMITS_CHANGING' }
end
if not text or string.sub(text, 1, 1) ~= '+' then
  return { 'UNKNOWN_POLICY' }
end

promote(50)
local used = redis.call('ZSCORE', Q .. 'policies:used', policy)
if not used or now - tonumber(used) > 20000 then
  redis.call('ZADD', Q .. 'policies:used', int(now), policy)
end

local ready = Q .. 'ready:' .. policy
local expires = int(now + lease_ms)
local jobs, ids, leases, running = {}, {}, {}, {}
local memos = {}

-- How many more jobs of each limited type may begin.
local left = {}
if LIMITS then
  for shelf, most in string.gmatch(LIMITS, '|type=([^=]*)=(%d+)') do
    local paused_type = PAUSES and string.find(PAUSES, '|type=' .. shelf .. '|', 1, true)
    left[shelf] = paused_type and 0 or tonumber(most) - running_under({ name = 'type=' .. shelf })
  end
end

-- The first two lanes and their scores, of all that stand where there is room.
local function heads()
  local top = redis.call('ZRANGE', ready, '0', '1', 'WITHSCORES')
  for shelf, room in pairs(left) do
    local more = room > 0 and redis.call('ZRANGE', ready .. ':' .. shelf, '0', '1', 'WITHSCORES') or {}
    for at = 1, #more, 2 do
      if not top[1] or tonumber(more[at + 1]) < tonumber(top[2]) then
        top = { more[at], more[at + 1], top[1], top[2] }
      elseif not top[3] or tonumber(more[at + 1]) < tonumber(top[4]) then
        top[3], top[4] = more[at], more[at + 1]
      end
    end
  end
  return top
end

-- How many entries of the first lane come before the head of the second one.
local function share(name, class, stream, top, wanted)
  if wanted == 1 or not top[3] then
    return wanted
  end
  local bands = math.floor(tonumber(top[4]) / BAND) - math.floor(tonumber(top[2]) / BAND)
  if bands > 0 then
    return wanted
  end
  if class ~= '+w' then
    return 1
  end
  local next_since = int(tonumber(top[4]) % BAND)
  local before = redis.call('XRANGE', stream, '(' .. last_delivered(stream), next_since, 'COUNT', int(wanted))
  return math.max(1, #before)
end

-- Open attempts of the first lane, as many as come before the second and its limits allow.
local function take_from(lane, class, top)
  local name, limits = top[1], limits_of(lane)
  local most, bound = limit - #ids, limits ~= NO_LIMITS
  if bound then
    most = math.min(most, room_in(lane))
  end
  local stream = lane_stream(lane, class)
  local reply = redis.call('XREADGROUP', 'GROUP', 'workers', 'worker', 'COUNT',
    int(share(name, class, stream, top, most)), 'STREAMS', stream, '>')
  local entries = reply and reply[1] and reply[1][2] or {}
  local waiting = redis.call('HINCRBY', Q .. 'lanes', name, int(-#entries))
  if #entries > 0 then
    flow(lane, 'left', #entries)
  end
  for _, entry in ipairs(entries) do
    local id = entry[2][2]
    local key = job_key(id)
    local fields = redis.call('HGETALL', key)
    local created_at, attempt, last_token = now, '1', 0
    local status, reference, waiting_since
    for at = 1, #fields, 2 do
      local field = fields[at]
      if field == 'status' then
        status = fields[at + 1]
      elseif field == 'entry' then
        reference = fields[at + 1]
      elseif field == 'created_at' then
        created_at = fields[at + 1]
      elseif field == 'attempt' then
        attempt = fields[at + 1]
      elseif field == 'token' then
        last_token = tonumber(fields[at + 1])
      elseif field == 'waiting_since' then
        waiting_since = true
      end
    end
    if status ~= 'queued' or reference ~= class .. entry[1] then
      -- Left by a damaged store: its job is gone, has ended, or stands elsewhere and would run twice.
      settle(lane, class, { entry[1] })
    else
      if waiting_since then
        redis.call('HDEL', key, 'waiting_since')
      end
      local token = int(last_token + 1)
      redis.call('HSET', key, 'status', 'running', 'owner', worker, 'token', token, 'started_at', int(now))
      if last_token == 0 then
        event(id, created_at, 'job.claimed', 'workerId', worker, 'attempt', attempt, 'leaseToken', token)
      else
        next_event(id, 'job.claimed', 'workerId', worker, 'attempt', attempt, 'leaseToken', token)
      end
      jobs[#jobs + 1] = { id, fields, token, expires }
      ids[#ids + 1] = id
      leases[#leases + 1] = expires
      leases[#leases + 1] = id
      running[#running + 1] = int(now)
      running[#running + 1] = id
      memos[#memos + 1] = id .. ':' .. token
      if bound then
        take_slots(lane, id)
      end
      if limits.shelf then
        left[limits.shelf] = left[limits.shelf] - 1
      end
    end
  end
  if #entries == 0 or waiting <= 0 then
    set_unready(lane, class)
    drop_lane_if_empty(lane, class)
  else
    set_ready(lane, class, head_after(stream, entries[#entries][1]))
  end
  if bound then
    use_room(lane)
  end
end

-- A lane that a limit or a pause holds back is set aside when a claim meets it: each is met once, in turns that have
-- an end.
local MOST_SET_ASIDE = 100
local met = 0
while #ids < limit and met < MOST_SET_ASIDE do
  local top = heads()
  local name = top[1]
  if not name then
    break
  end
  local lane, class = string.sub(name, 1, -3), string.sub(name, -2)
  local holder = is_bound(lane) and held_by(lane)
  if holder then
    met = met + 1
    set_aside(lane, class, top[2], holder)
    use_room(lane)
  else
    take_from(lane, class, top)
  end
end

if #ids > 0 then
  redis.call('ZADD', Q .. 'leases', unpack(leases))
  redis.call('ZREM', Q .. 'status:queued', unpack(ids))
  redis.call('ZADD', Q .. 'status:running', unpack(running))
  -- A minute at least: with a short lease too a lost reply is asked for again after some seconds.
  redis.call('SET', memo_key, request .. '\n' .. table.concat(memos, ' '), 'PX', int(math.max(lease_ms, 60000)))
  count('claimed', #ids)
  notify('running', ids)
end
local next_due = redis.call('ZRANGE', Q .. 'delayed', '0', '0', 'WITHSCORES')[2] or ''
local unseen = met == MOST_SET_ASIDE
if #ids > 0 or unseen then
  -- Pass the baton: what is left wakes the next worker of this policy. So does what is soon due: the worker
  -- that had a timer for it is busy now, and the idle ones look by themselves only every 2 s.
  local soon = next_due ~= '' and tonumber(next_due) < now + 2000
  if soon or heads()[1] then
    ring_bell(policy)
  end
end
return { 'OK', pause, int(now), next_due, jobs, unseen and 1 or 0 }
