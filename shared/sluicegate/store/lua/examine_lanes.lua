-- examine_lanes: where what is derived of lanes disagrees with their streams.
-- From     (any)              To  (any)
-- Each     name               text     lane and class, as in Q:lanes
-- Replies  OK                 per lane its faults as words; none for a sound one, or one that is not there at all
-- Flags    no-writes
-- Repeat   safe: reads only
local found = {}
for at = 1, N do
  local name = each(at)
  found[at] = lane_faults(name)
end
return { 'OK', found }
