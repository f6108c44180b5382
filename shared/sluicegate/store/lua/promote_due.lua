-- promote_due: move delayed jobs that are due into their lanes; nothing while paused.
-- From     queued             To  queued
-- Args     limit              integer  jobs, 1 to 500
-- Replies  OK                 how many were moved
--          PAUSED             nothing written
-- Repeat   safe: a moved job is no longer delayed
if redis.call('HGET', Q .. 'pause', 'paused') ~= '0' then
  return { 'PAUSED' }
end
return { 'OK', #promote(limit) }
