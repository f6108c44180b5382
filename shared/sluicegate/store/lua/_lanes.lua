-- Lanes: where jobs wait, who may read them, and who is woken.
-- A lane has up to three streams: +r for jobs that came back, +s for first-time delayed jobs, +w for the
-- rest. At equal scores a sorted set orders by name, so +r comes before +s and +w, as it must. A fourth, +p,
-- holds running jobs whose place was lost, once doctor has repaired them: in it none ever waits.

local policy_texts = nil
local matches = {}

-- The policies as a flat list: id, text, id, text. Read once per script run.
local function known_policies()
  policy_texts = policy_texts or redis.call('HGETALL', Q .. 'policies')
  return policy_texts
end

-- The policies that may read a lane, as ids; worked out once per lane and script run.
local function readers(lane)
  local found = matches[lane]
  if found then
    return found
  end
  local policy_texts = known_policies()
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

-- Wake one idle worker of a policy.
local function ring_bell(policy)
  local bell = Q .. 'bell:' .. policy
  if redis.call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
  end
end

local rung = {}

-- Wake one idle worker of each policy that may read the lane; once per script run is enough.
local function ring(lane)
  if rung[lane] then
    return
  end
  rung[lane] = true
  for _, policy in ipairs(readers(lane)) do
    ring_bell(policy)
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

-- Where a policy finds a lane. The lanes of a limited type stand on a shelf of their own: a claim passes it by as
-- a whole while no job of the type may begin.
local function order_of(policy, lane)
  local shelf = limits_of(lane).shelf
  return Q .. 'ready:' .. policy .. (shelf and ':' .. shelf or '')
end

-- The same without the policy, for all that may read the lane.
local function orders_of(lane)
  local shelf = limits_of(lane).shelf
  return Q .. 'ready:', shelf and ':' .. shelf or ''
end

-- How a lane that a limit or a pause holds back is noted, in Q:parked and for each policy that may read it in
-- Q:parked:<policy>: by holder, by shelf, the first to be claimed first.
local function parked_as(holder, lane, class, score)
  return holder.name .. '|' .. (limits_of(lane).shelf or '') .. '|' .. string.format('%016d', score) .. '|' .. lane .. class
end

-- By what a lane is set aside, and how it is noted; nil when claims see it. score: as in Q:ready.
local function parked_by(lane, class, score)
  for _, holders in ipairs({ pauses_of(lane), limits_of(lane) }) do
    for _, holder in ipairs(holders) do
      local member = parked_as(holder, lane, class, score)
      if not holder.shelf and redis.call('ZSCORE', Q .. 'parked', member) then
        return holder, member
      end
    end
  end
end

local function strike_out(lane, member)
  redis.call('ZREM', Q .. 'parked', member)
  for _, policy in ipairs(readers(lane)) do
    redis.call('ZREM', Q .. 'parked:' .. policy, member)
  end
end

-- Take a lane from those set aside; by what it was, if it was.
local function unpark(lane, class)
  if not is_bound(lane) then
    return nil
  end
  local score = redis.call('ZSCORE', Q .. 'ready', lane .. class)
  if not score then
    return nil
  end
  local holder, member = parked_by(lane, class, score)
  if holder then
    strike_out(lane, member)
  end
  return holder
end

-- Set a lane aside: no claim looks at it until the limit has room, or the pause is lifted.
local function set_aside(lane, class, score, holder)
  local member = parked_as(holder, lane, class, score)
  local ready, shelf = orders_of(lane)
  redis.call('ZADD', Q .. 'parked', '0', member)
  for _, policy in ipairs(readers(lane)) do
    redis.call('ZREM', ready .. policy .. shelf, lane .. class)
    redis.call('ZADD', Q .. 'parked:' .. policy, '0', member)
  end
end

-- Let claims see a lane.
local function enter_orders(lane, class, score)
  local name, ready, shelf = lane .. class, orders_of(lane)
  for _, policy in ipairs(readers(lane)) do
    redis.call('ZADD', ready .. policy .. shelf, score, name)
  end
end

local function set_unready(lane, class)
  local name, ready, shelf = lane .. class, orders_of(lane)
  unpark(lane, class)
  redis.call('ZREM', Q .. 'ready', name)
  for _, policy in ipairs(readers(lane)) do
    redis.call('ZREM', ready .. policy .. shelf, name)
  end
end

-- head: the first waiting entry; without one (a damaged count) the lane holds up nobody. A lane that is set aside
-- stays so: what its limit has room for, `use_room` gives back, and what its pause held, `bring_back`.
local function set_ready(lane, class, head)
  if not head then
    return set_unready(lane, class)
  end
  local score = score_of(lane, class, head)
  local holder = nil
  if is_bound(lane) then
    holder = unpark(lane, class)
    holder = held_by(lane) or holder
  end
  redis.call('ZADD', Q .. 'ready', score, lane .. class)
  if holder then
    set_aside(lane, class, score, holder)
  else
    enter_orders(lane, class, score)
  end
end

-- A limit has room: of what it holds back, let claims see the best for each policy and shelf. The claim that takes
-- one comes here for the next, so a slot costs the same whether ten lanes wait for it or ten thousand.
local function give_back(limit)
  local policies = known_policies()
  local found = {}
  local first, last = '[' .. limit.name .. '|', '(' .. limit.name .. '|~'
  if not redis.call('ZRANGEBYLEX', Q .. 'parked', first, last, 'LIMIT', '0', '1')[1] then
    return
  end
  for at = 1, #policies, 2 do
    local from = first
    repeat
      local member = redis.call('ZRANGEBYLEX', Q .. 'parked:' .. policies[at], from, last, 'LIMIT', '0', '1')[1]
      if member then
        local shelf, name = string.match(member, '^[^|]*|([^|]*)|[^|]*|(.*)$')
        found[name] = member
        from = '(' .. limit.name .. '|' .. shelf .. '|~'
      end
    until not member
  end
  for name, member in pairs(found) do
    local lane, class = string.sub(name, 1, -3), string.sub(name, -2)
    strike_out(lane, member)
    local score = redis.call('ZSCORE', Q .. 'ready', name)
    if score then
      enter_orders(lane, class, score)
      ring(lane)
    end
  end
end

-- A lane was claimed from, or is no longer what it was: whatever its limits have room for must be seen.
local function use_room(lane)
  for _, limit in ipairs(limits_of(lane)) do
    if not limit.shelf and running_under(limit) < limit.most then
      give_back(limit)
    end
  end
end

-- Jobs of a limited type may begin again: wake those who see some.
local function ring_shelf(shelf)
  local policies = known_policies()
  for at = 1, #policies, 2 do
    if redis.call('EXISTS', Q .. 'ready:' .. policies[at] .. ':' .. shelf) == 1 then
      ring_bell(policies[at])
    end
  end
end

-- Let those who wait for a limit know that it has room.
local function free_up(name)
  local shelf = string.match(name, '^type=(.*)$')
  if shelf then
    ring_shelf(shelf)
  else
    give_back({ name = name })
  end
end

-- A job no longer runs: its slots are free, and who waited for one is woken.
local function free_slots(lane, id)
  for _, limit in ipairs(limits_of(lane)) do
    redis.call('ZREM', Q .. 'slots', limit.name .. '|' .. id)
    if running_under(limit) == limit.most - 1 then
      free_up(limit.name)
    end
  end
end

-- Forget where a policy finds lanes.
local function drop_orders(policy)
  redis.call('DEL', Q .. 'ready:' .. policy, Q .. 'parked:' .. policy)
  for shelf in string.gmatch(LIMITS or '', '|type=([^=]*)=') do
    redis.call('DEL', Q .. 'ready:' .. policy .. ':' .. shelf)
  end
end

local function forget_policy(policy)
  redis.call('HDEL', Q .. 'policies', policy)
  redis.call('ZREM', Q .. 'policies:used', policy)
  redis.call('DEL', Q .. 'bell:' .. policy)
  drop_orders(policy)
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
  flow(lane, 'came', added)
  if waiting == 0 then
    set_ready(lane, class, first)
    if not is_bound(lane) or room_in(lane) > 0 then
      ring(lane)
    end
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
  flow(lane, 'left', 1)
  if redis.call('HINCRBY', Q .. 'lanes', lane .. class, '-1') > 0 then
    set_ready(lane, class, head_after(stream, last_delivered(stream)))
  else
    set_unready(lane, class)
    drop_lane_if_empty(lane, class)
  end
  use_room(lane)
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
