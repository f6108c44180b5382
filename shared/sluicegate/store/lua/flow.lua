-- flow: what happened to jobs lately, by type, and how many wait in lanes now.
-- From     (any)              To  (any)
-- Args     most_lanes         integer  past so many lanes only the sum of what waits is told
-- Replies  OK                 time; buckets as seconds, number, counts; what waits by type, `*` for all types together
-- Flags    no-writes
-- Repeat   safe: reads only
local buckets = {}
for _, ring in ipairs(FLOW_RINGS) do
  local seconds, kept = ring[1], ring[2]
  local last = math.floor(now / (seconds * 1000))
  for number = last - kept, last do
    local counts = redis.call('HGETALL', Q .. 'flow:' .. int(seconds) .. ':' .. int(number))
    if #counts > 0 then
      buckets[#buckets + 1] = { seconds, number, counts }
    end
  end
end

local waiting = {}
if redis.call('HLEN', Q .. 'lanes') > most_lanes then
  waiting = { '*', redis.call('ZCARD', Q .. 'status:queued') - redis.call('ZCARD', Q .. 'delayed') }
else
  local by_type = {}
  local lanes = redis.call('HGETALL', Q .. 'lanes')
  for at = 1, #lanes, 2 do
    local kind = string.match(lanes[at], '^[^|]*|([^|]*)')
    by_type[kind] = (by_type[kind] or 0) + tonumber(lanes[at + 1])
  end
  for kind, number in pairs(by_type) do
    if number > 0 then
      waiting[#waiting + 1] = kind
      waiting[#waiting + 1] = number
    end
  end
end
return { 'OK', int(now), buckets, waiting }
