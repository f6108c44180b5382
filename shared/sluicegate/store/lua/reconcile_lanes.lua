-- reconcile_lanes: make what is derived of a lane agree with its stream: waiting count, readiness, existence.
-- From     (any)              To  (any)
-- Each     name               text     lane and class, as in Q:lanes
-- Replies  OK                 one word per lane: OK; FIXED <what differed>
--          PAUSED             nothing written
-- Repeat   safe: a lane that agrees is left alone
if redis.call('HGET', Q .. 'pause', 'paused') ~= '0' then
  return { 'PAUSED' }
end
local words = {}
for at = 1, N do
  local name = each(at)
  local lane, class = string.sub(name, 1, -3), string.sub(name, -2)
  local stream = lane_stream(lane, class)
  local counted = redis.call('HGET', Q .. 'lanes', name)
  local ready = redis.call('ZSCORE', Q .. 'ready', name)
  local word = 'OK'
  if redis.call('EXISTS', stream) == 0 then
    if counted then
      redis.call('HDEL', Q .. 'lanes', name)
      word = 'FIXED a lane without a stream'
    elseif ready then
      word = 'FIXED a ready lane without a stream'
    end
    set_unready(lane, class)
  else
    -- Entries of a damaged store may be neither pending nor ahead: nobody can claim them, so they do not count.
    local head = head_after(stream, last_delivered(stream))
    local waiting = 0
    if head then
      waiting = redis.call('XLEN', stream) - redis.call('XPENDING', stream, 'workers')[1]
    end
    if tonumber(counted or -1) ~= waiting then
      redis.call('HSET', Q .. 'lanes', name, int(waiting))
      word = 'FIXED ' .. int(waiting) .. ' waiting, counted ' .. (counted or 'none')
    end
    if waiting > 0 then
      if not ready then
        word = 'FIXED a lane with work that was not ready'
      end
      set_ready(lane, class, head)
      if word ~= 'OK' then
        ring(lane)
      end
    elseif ready then
      set_unready(lane, class)
      word = 'FIXED a ready lane without work'
    end
  end
  words[at] = word
end
return { 'OK', words }
