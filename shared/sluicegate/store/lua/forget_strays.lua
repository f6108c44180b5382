-- forget_strays: remove what is kept with jobs that have no record.
-- From     (none)             To  (none)
-- Each     id                 text     job
-- Replies  OK                 one word per job: REMOVED, or KEPT when it has a record
-- Repeat   safe: a job with a record is left alone
local words = {}
for at = 1, N do
  local id = each(at)
  local key = job_key(id)
  words[at] = 'KEPT'
  if redis.call('EXISTS', key) == 0 then
    redis.call('DEL', key .. ':events', key .. ':steps', key .. ':artifacts', key .. ':facts', key .. ':controls',
      key .. ':live', key .. ':terminal', key .. ':typed', key .. ':watched')
    words[at] = 'REMOVED'
  end
end
return { 'OK', words }
