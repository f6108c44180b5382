-- examine_pause: whether the pause record is there and can be read, and its version was given out once; whether the
-- records of the narrower pauses and what claims look at agree.
-- From     (any)              To  (any)
-- Replies  OK                 the faults as words; none for what is sound
-- Flags    no-writes
-- Repeat   safe: reads only
local faults = { pause_fault() }
for _, name in ipairs(known_pauses()) do
  faults[#faults + 1] = narrow_fault(name)
end
return { 'OK', faults }
