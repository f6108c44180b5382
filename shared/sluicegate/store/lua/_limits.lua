-- Limits: how many jobs of one type, of one repository, with one affinity key may run at the same time; and the
-- narrower pauses, which let none begin of one type, of one repository, or that need one capability.
-- LIMITS is the setting as Q:meta holds it: |type=a=2|repo=*=1|repo=host/owner/name=3|. For each limit that it
-- is under, a running job has a member <limit>|<job> in Q:slots: so the count is of jobs, and cannot drift.

-- How many the setting allows; nil when it says nothing of it.
local function allowed(limit)
  local _, stop = string.find(LIMITS, '|' .. limit .. '=', 1, true)
  return stop and tonumber(string.match(LIMITS, '^%d+', stop + 1))
end

-- The limits that a lane is under, each its name and how many may run. `shelf` is the type, when that is limited.
local NO_LIMITS = {}
local limits_by_lane = {}
local function limits_of(lane)
  if not LIMITS and string.sub(lane, -1) == '|' then
    return NO_LIMITS
  end
  local found = limits_by_lane[lane]
  if found then
    return found
  end
  local kind, repository, key = string.match(lane, '^[^|]*|([^|]*)|([^|]*)|[^|]*|(.*)$')
  found = {}
  if LIMITS then
    local most = allowed('type=' .. kind)
    if most then
      found.shelf = kind
      found[1] = { name = 'type=' .. kind, most = most, shelf = kind }
    end
  end
  if key ~= '' then
    found[#found + 1] = { name = 'key=' .. key, most = 1 }
  end
  if LIMITS and repository ~= '' then
    local most = allowed('repo=' .. repository) or allowed('repo=*')
    if most then
      found[#found + 1] = { name = 'repo=' .. repository, most = most }
    end
  end
  found = #found > 0 and found or NO_LIMITS
  limits_by_lane[lane] = found
  return found
end

-- The pauses that a lane is under, as PAUSES has them: |type=a|-capability=gpu|. One with a - was lifted, and what
-- it held back is still being given back. Where the type is limited too, its shelf is passed by and no lane set aside.
local NO_PAUSES = {}
local pauses_by_lane = {}
local function pauses_of(lane)
  if not PAUSES then
    return NO_PAUSES
  end
  local found = pauses_by_lane[lane]
  if found then
    return found
  end
  local kind, repository, capabilities = string.match(lane, '^[^|]*|([^|]*)|([^|]*)|([^|]*)|')
  local names = { 'type=' .. kind, 'repository=' .. repository }
  for needed in string.gmatch(capabilities, '[^,]+') do
    names[#names + 1] = 'capability=' .. needed
  end
  found = {}
  for at, name in ipairs(names) do
    local holds = string.find(PAUSES, '|' .. name .. '|', 1, true) ~= nil
    if holds or string.find(PAUSES, '|-' .. name .. '|', 1, true) then
      local shelf = at == 1 and LIMITS and allowed(name) and kind or nil
      found[#found + 1] = { name = 'paused:' .. name, holds = holds, shelf = shelf }
    end
  end
  found = #found > 0 and found or NO_PAUSES
  pauses_by_lane[lane] = found
  return found
end

-- Whether anything could hold a lane back.
local function is_bound(lane)
  return limits_of(lane) ~= NO_LIMITS or pauses_of(lane) ~= NO_PAUSES
end

local function running_under(limit)
  return redis.call('ZLEXCOUNT', Q .. 'slots', '[' .. limit.name .. '|', '(' .. limit.name .. '|~')
end

-- How many more jobs of a lane may begin.
local function room_in(lane)
  local room = math.huge
  for _, pause in ipairs(pauses_of(lane)) do
    room = pause.holds and 0 or room
  end
  for _, limit in ipairs(limits_of(lane)) do
    room = math.min(room, limit.most - running_under(limit))
  end
  return room
end

-- The pause or the limit that holds a lane back now. That of a limited type does not count here: it holds back the
-- whole shelf.
local function held_by(lane)
  for _, pause in ipairs(pauses_of(lane)) do
    if pause.holds and not pause.shelf then
      return pause
    end
  end
  for _, limit in ipairs(limits_of(lane)) do
    if not limit.shelf and running_under(limit) >= limit.most then
      return limit
    end
  end
end

-- The running job takes its slot under each limit of its lane.
local function take_slots(lane, id)
  for _, limit in ipairs(limits_of(lane)) do
    redis.call('ZADD', Q .. 'slots', '0', limit.name .. '|' .. id)
  end
end
