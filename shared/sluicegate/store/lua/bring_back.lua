-- bring_back: let claims see the next lanes that a lifted pause held back.
-- From     (any)              To  (any)
-- Replies  OK                 MORE: call again; DONE: no lifted pause holds anything back
-- Flags    allow-oom
-- Repeat   safe: the store knows what is still to be given back, so that many callers share the work
local name = string.match(PAUSES or '', '|%-([^|]+)|')
if name then
  bring_back(name, 100)
end
return { 'OK', string.find(PAUSES or '', '|-', 1, true) and 'MORE' or 'DONE' }
