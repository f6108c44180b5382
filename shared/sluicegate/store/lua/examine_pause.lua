-- examine_pause: whether the pause record is there and can be read, and its version was given out once.
-- From     (any)              To  (any)
-- Replies  OK                 its fault as a word; none for a sound one
-- Flags    no-writes
-- Repeat   safe: reads only
return { 'OK', { pause_fault() } }
