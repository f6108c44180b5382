-- What every script starts with: key names, the store's clock, histories and notices.
local Q = string.sub(KEYS[1], 1, -5)

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Scores of lanes are (1000 - priority) * BAND + ms: 2^42 ms last until 2109, and all is exact in a double.
local BAND = 4398046511104

local function int(number)
  return string.format('%d', number)
end

local function job_key(id)
  return Q .. 'job:' .. id
end

-- A worker's name as it stands in Q:pauses: as Python's `encoded` writes it.
local function encoded(text)
  return (string.gsub(text, '[^A-Za-z0-9/:@._~ %-]', function(sign)
    return string.format('%%%02X', string.byte(sign))
  end))
end

-- One line that says which jobs changed and how: what feeds pages and event streams.
local function notify(kind, ids)
  if #ids > 0 then
    redis.call('XADD', Q .. 'events', 'MAXLEN', '~', '10000', '*', 'kind', kind, 'jobs', table.concat(ids, ','))
  end
end

local function count(name, amount)
  if amount > 0 then
    redis.call('HINCRBY', Q .. 'counters', name, int(amount))
  end
end

-- Append to a history that has begun: that of a job which was claimed before.
local function next_event(id, kind, ...)
  return redis.call('XADD', job_key(id) .. ':events', '*', 'kind', kind, ...)
end

-- Append to a job's history. Its stream begins with an explicit id, since `job.enqueued` is rendered
-- with the id <createdAt>-0 and has to come first even if the clock was set back.
local function event(id, created_at, kind, ...)
  local key = job_key(id) .. ':events'
  local entry = '*'
  if redis.call('EXISTS', key) == 0 then
    entry = int(math.max(now, tonumber(created_at) or now)) .. '-1'
  end
  return redis.call('XADD', key, entry, 'kind', kind, ...)
end
