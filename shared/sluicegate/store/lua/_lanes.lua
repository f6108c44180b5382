-- Lanes: where jobs wait, who may read them, and who is woken.
-- A lane has up to three streams: +r for jobs that came back, +s for first-time delayed jobs, +w for the
-- rest. At equal scores a sorted set orders by name, so +r comes before +s and +w, as it must.

local policy_texts = nil
local matches = {}

-- The policies that may read a lane, as ids; worked out once per lane and script run.
local function readers(lane)
  local found = matches[lane]
  if found then
    return found
  end
  if not policy_texts then
    policy_texts = redis.call('HGETALL', Q .. 'policies')
  end
  local kind, repository, capabilities = string.match(lane, '^[^|]*|([^|]*)|([^|]*)|([^|]*)|')
  found = {}
  for at = 1, #policy_texts, 2 do
    local types, repositories, able = string.match(policy_texts[at + 1], '^.([^|]*)|([^|]*)|([^|]*)$')
    local fits = (types == '*' or string.find(types, ',' .. kind .. ',', 1, true))
      and (repositories == '*'
        or (repository ~= '' and string.find(repositories, ',' .. repository .. ',', 1, true)))
    if fits then
      for needed in string.gmatch(capabilities, '[^,]+') do
        if not string.find(able, ',' .. needed .. ',', 1, true) then
          fits = false
          break
        end
      end
    end
    if fits then
      found[#found + 1] = policy_texts[at]
    end
  end
  matches[lane] = found
  return found
end

local rung = {}

-- Wake one idle worker of each policy that may read the lane; once per script run is enough.
local function ring(lane)
  if rung[lane] then
    return
  end
  rung[lane] = true
  for _, policy in ipairs(readers(lane)) do
    local bell = Q .. 'bell:' .. policy
    if redis.call('LLEN', bell) == 0 then
      redis.call('RPUSH', bell, '1')
    end
  end
end

local function score_of(lane, class, entry)
  local since
  if class == '+w' then
    since = tonumber(string.match(entry[1], '^%d+'))
  elseif class == '+s' then
    since = tonumber(redis.call('HGET', job_key(entry[2][2]), 'waiting_since') or now)
  else
    since = tonumber(redis.call('HGET', job_key(entry[2][2]), 'created_at') or now)
  end
  return int((1000 - tonumber(string.match(lane, '^-?%d+'))) * BAND + since)
end

local function set_unready(lane, class)
  local name = lane .. class
  redis.call('ZREM', Q .. 'ready', name)
  for _, policy in ipairs(readers(lane)) do
    redis.call('ZREM', Q .. 'ready:' .. policy, name)
  end
end

-- head: the first waiting entry; without one (a damaged count) the lane holds up nobody.
local function set_ready(lane, class, head)
  if not head then
    return set_unready(lane, class)
  end
  local name = lane .. class
  local score = score_of(lane, class, head)
  redis.call('ZADD', Q .. 'ready', score, name)
  for _, policy in ipairs(readers(lane)) do
    redis.call('ZADD', Q .. 'ready:' .. policy, score, name)
  end
end

local function lane_stream(lane, class)
  return Q .. 'lane:' .. lane .. class
end

local function last_delivered(stream)
  local group = redis.call('XINFO', 'GROUPS', stream)[1]
  for at = 1, #group, 2 do
    if group[at] == 'last-delivered-id' then
      return group[at + 1]
    end
  end
end

local function head_after(stream, id)
  return redis.call('XRANGE', stream, '(' .. id, '+', 'COUNT', '1')[1]
end

-- How many wait in a lane; nil when it has no stream.
local function waiting_in(lane, class)
  return tonumber(redis.call('HGET', Q .. 'lanes', lane .. class) or nil)
end

local function create_lane(lane, class)
  redis.call('XGROUP', 'CREATE', lane_stream(lane, class), 'workers', '0', 'MKSTREAM')
  return 0
end

-- Say that `added` entries joined a lane in which `waiting` waited before; `first` is {id, {'job', id}}.
local function joined(lane, class, waiting, added, first)
  redis.call('HINCRBY', Q .. 'lanes', lane .. class, int(added))
  if waiting == 0 then
    set_ready(lane, class, first)
    ring(lane)
  end
end

-- Put one job into a lane; the caller stores the returned reference with the job.
local function join(lane, class, id)
  local waiting = waiting_in(lane, class) or create_lane(lane, class)
  local entry = redis.call('XADD', lane_stream(lane, class), '*', 'job', id)
  joined(lane, class, waiting, 1, { entry, { 'job', id } })
  return class .. entry
end

local function drop_lane_if_empty(lane, class)
  if redis.call('XLEN', lane_stream(lane, class)) == 0 then
    redis.call('DEL', lane_stream(lane, class))
    redis.call('HDEL', Q .. 'lanes', lane .. class)
  end
end

-- Take a waiting job out of its lane. reference: class and entry id, as stored with the job.
local function leave(lane, reference)
  local class, entry = string.sub(reference, 1, 2), string.sub(reference, 3)
  local stream = lane_stream(lane, class)
  redis.call('XDEL', stream, entry)
  if redis.call('HINCRBY', Q .. 'lanes', lane .. class, '-1') > 0 then
    set_ready(lane, class, head_after(stream, last_delivered(stream)))
  else
    set_unready(lane, class)
    drop_lane_if_empty(lane, class)
  end
end

-- Acknowledge delivered entries of one stream. Without XDEL the entry would stay, without XACK its
-- place among the pending ones.
local function settle(lane, class, entries)
  local stream = lane_stream(lane, class)
  redis.call('XACK', stream, 'workers', unpack(entries))
  redis.call('XDEL', stream, unpack(entries))
  drop_lane_if_empty(lane, class)
end

-- Make a job claimable at `due`. The bell tells an idle worker, whose own timer then fires. An earlier head
-- of `delayed` is no reason for silence: it may be a job that no living worker may read.
local function delay(id, lane, due)
  redis.call('ZADD', Q .. 'delayed', int(due), id)
  redis.call('HSET', job_key(id), 'next_attempt_at', int(due))
  ring(lane)
end

-- Move due delayed jobs into their lanes, in order of their due times.
local function promote(limit)
  local due = redis.call('ZRANGEBYSCORE', Q .. 'delayed', '-inf', int(now), 'WITHSCORES', 'LIMIT', '0', int(limit))
  local ids = {}
  for at = 1, #due, 2 do
    local id = due[at]
    local job = redis.call('HMGET', job_key(id), 'lane', 'token', 'status')
    redis.call('ZREM', Q .. 'delayed', id)
    if job[3] == 'queued' then
      redis.call('HDEL', job_key(id), 'next_attempt_at')
      local class = '+r'
      if not job[2] then
        class = '+s'
        redis.call('HSET', job_key(id), 'waiting_since', due[at + 1])
      end
      redis.call('HSET', job_key(id), 'entry', join(job[1], class, id))
      ids[#ids + 1] = id
    end
  end
  notify('promoted', ids)
  return ids
end
