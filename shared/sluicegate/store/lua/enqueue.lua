-- enqueue: accept new jobs; each is acknowledged only once it is claimable or delayed.
-- From     (none)             To  queued
-- Args     max_queued         integer  jobs that may wait or be delayed
--          max_lanes          integer  lanes that may have entries
--          idempotency_ms     integer  how long a producer's key is remembered
-- Each     id                 text     job
--          lane               text     name of its lane
--          spec               text     immutable part, JSON
--          delay_ms           integer  claimable this long after now; -1 for none
--          due_ms             integer  claimable at this time; -1 for none
--          max_attempts       integer  attempts, 1 to 20
--          max_run_ms         integer  wall clock of an attempt; 0 for none
--          unique             text     scope and idempotency key; empty for none
--          fingerprint        text     what a repeated key is compared by
--          trace              text     W3C context of the trace it belongs to; empty for none
-- Replies  OK                 one word per job: CREATED; EXISTS <id>; CONFLICT <id>; QUEUE_FULL; LANES_FULL;
--                             and the time
-- Repeat   safe: the id, or the idempotency key, names the job
local room = max_queued - redis.call('ZCARD', Q .. 'status:queued')
local lanes_room = nil
local words, created, queued = {}, {}, {}
local lanes, order = {}, {}

-- One look for all: mostly no id is known, and none needs a look of its own.
local job_keys, made = {}, {}
for at = 1, N do
  job_keys[at] = job_key((each(at)))
end
local some_known = N > 0 and redis.call('EXISTS', unpack(job_keys)) > 0

for at = 1, N do
  local id, lane, spec, delay_ms, due_ms, max_attempts, max_run_ms, unique, fingerprint, trace = each(at)
  local word
  local unique_key = unique ~= '' and (Q .. 'unique:' .. unique)
  local remembered = unique_key and redis.call('GET', unique_key)
  if remembered then
    local known, first = string.match(remembered, '^(.*) (%S+)$')
    word = (known == fingerprint and 'EXISTS ' or 'CONFLICT ') .. first
  else
    local stored = (some_known or made[id]) and redis.call('HGET', job_key(id), 'spec')
    if stored then
      word = (stored == spec and 'EXISTS ' or 'CONFLICT ') .. id
    elseif room <= 0 then
      word = 'QUEUE_FULL'
    elseif not lanes[lane] then
      lanes[lane] = { waiting = waiting_in(lane, '+w'), added = 0 }
      if not lanes[lane].waiting then
        lanes_room = (lanes_room or max_lanes - redis.call('HLEN', Q .. 'lanes')) - 1
        lanes[lane].full = lanes_room < 0
      end
    end
    if not word and lanes[lane].full then
      word = 'LANES_FULL'
    end
  end
  if not word then
    word = 'CREATED'
    room = room - 1
    local fields = { 'status', 'queued', 'lane', lane, 'spec', spec, 'created_at', int(now) }
    if max_attempts ~= DEFAULT_MAX_ATTEMPTS then
      fields[#fields + 1] = 'max_attempts'
      fields[#fields + 1] = int(max_attempts)
    end
    if max_run_ms > 0 then
      fields[#fields + 1] = 'max_run_ms'
      fields[#fields + 1] = int(max_run_ms)
    end
    if trace ~= '' then
      fields[#fields + 1] = 'trace'
      fields[#fields + 1] = trace
    end
    local due = delay_ms >= 0 and now + delay_ms or due_ms
    if due > now then
      redis.call('HSET', job_key(id), unpack(fields))
      delay(id, lane, due)
    else
      local open = lanes[lane]
      if open.added == 0 then
        open.waiting = open.waiting or create_lane(lane, '+w')
        order[#order + 1] = lane
      end
      local entry = redis.call('XADD', lane_stream(lane, '+w'), '*', 'job', id)
      open.added = open.added + 1
      open.first = open.first or { entry, { 'job', id } }
      fields[#fields + 1] = 'entry'
      fields[#fields + 1] = '+w' .. entry
      redis.call('HSET', job_key(id), unpack(fields))
    end
    if unique_key then
      redis.call('SET', unique_key, fingerprint .. ' ' .. id, 'PX', int(idempotency_ms))
    end
    made[id] = true
    created[#created + 1] = id
    queued[#queued + 1] = int(now)
    queued[#queued + 1] = id
  end
  words[at] = word
end

if #created > 0 then
  redis.call('ZADD', Q .. 'status:queued', unpack(queued))
  for _, lane in ipairs(order) do
    local open = lanes[lane]
    joined(lane, '+w', open.waiting, open.added, open.first)
  end
  count('enqueued', #created)
  notify('enqueued', created)
end
return { 'OK', words, int(now) }
