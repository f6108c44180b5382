-- The flow: what happened to jobs of each type, counted per minute for an hour and per quarter hour for a day.

-- Seconds of a bucket, and how many buckets are kept beside the one that is being filled.
local FLOW_RINGS = { { 60, 60 }, { 900, 96 } }

-- Counts in one bucket. What comes with a new type once they are so many is counted as type `*`.
local MOST_IN_BUCKET = 60

-- Count what became of jobs of a lane's type: came, left (the lane), succeeded, failed (an attempt), dead.
-- A bucket expires by itself: its expiry is set with each count that is new in it, the first one among them.
local function flow(lane, what, amount)
  local field = what .. ':' .. string.match(lane, '^[^|]*|([^|]*)')
  for _, ring in ipairs(FLOW_RINGS) do
    local seconds, kept = ring[1], ring[2]
    local bucket = Q .. 'flow:' .. int(seconds) .. ':' .. int(math.floor(now / (seconds * 1000)))
    if redis.call('HINCRBY', bucket, field, int(amount)) == amount then
      if redis.call('HLEN', bucket) > MOST_IN_BUCKET then
        redis.call('HDEL', bucket, field)
        redis.call('HINCRBY', bucket, what .. ':*', int(amount))
      end
      redis.call('EXPIRE', bucket, int(seconds * (kept + 2)))
    end
  end
end
