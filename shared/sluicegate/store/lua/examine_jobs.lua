-- examine_jobs: what the store says against itself about jobs, each judged in one moment.
-- From     (any)              To  (any)
-- Each     id                 text     job
-- Replies  OK                 per job its faults as words; none for a sound one, or one that is not there at all
-- Flags    no-writes
-- Repeat   safe: reads only
local found = {}
for at = 1, N do
  local id = each(at)
  local _, faults = examined(id)
  found[at] = faults
end
return { 'OK', found }
