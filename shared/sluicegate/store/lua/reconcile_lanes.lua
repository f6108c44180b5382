-- reconcile_lanes: make what is derived of a lane agree with its stream: waiting count, readiness, existence.
-- From     (any)              To  (any)
-- Args     paused_too         integer  1: also while paused, for an operator who asks; the sweeper does not
-- Each     name               text     lane and class, as in Q:lanes
-- Replies  OK                 per lane its faults as words; none for one that was left alone
--          PAUSED             nothing written
-- Repeat   safe: a lane that agrees is left alone
if paused_too ~= 1 and redis.call('HGET', Q .. 'pause', 'paused') ~= '0' then
  return { 'PAUSED' }
end
local found = {}
for at = 1, N do
  local name = each(at)
  local faults = lane_faults(name)
  if faults[1] == 'no_lane' then
    -- Nobody can read it. What stands in it is dropped entry by entry, since no job refers to it.
    redis.call('HDEL', Q .. 'lanes', name)
    redis.call('ZREM', Q .. 'ready', name)
  elseif #faults > 0 then
    set_right(name)
  end
  found[at] = faults
end
return { 'OK', found }
