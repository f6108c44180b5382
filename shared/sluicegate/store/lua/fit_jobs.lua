-- fit_jobs: those of some jobs that fit a filter, looked at without their payloads.
-- From     (any)              To  (any)
-- Args     status             text     its status; empty for any
--          kind               text     its type, as in the name of its lane; empty for any
--          repository         text     likewise
--          owner              text     the worker that has or had it; empty for any
--          after_ms           integer  created after this time
--          before_ms          integer  created before this time; negative for any
-- Each     id                 text     job
-- Replies  OK                 the ids that fit, in order
-- Flags    no-writes
-- Repeat   safe: reads only
local fitting = {}
for at = 1, N do
  local id = each(at)
  local found = redis.call('HMGET', job_key(id), 'status', 'lane', 'owner', 'created_at')
  if found[1] then
    local of_kind, of_repository = string.match(found[2], '^[^|]*|([^|]*)|([^|]*)|')
    local created = tonumber(found[4])
    if (status == '' or found[1] == status)
      and (kind == '' or of_kind == kind)
      and (repository == '' or of_repository == repository)
      and (owner == '' or found[3] == owner)
      and created > after_ms
      and (before_ms < 0 or created < before_ms)
    then
      fitting[#fitting + 1] = id
    end
  end
end
return { 'OK', fitting }
