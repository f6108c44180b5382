-- pause_some: pause the jobs of one type or repository, those that need one capability, or one worker; or let them go
-- on. From the reply on, no claim opens an attempt that is paused.
-- From     (any)              To  (any)
-- Args     name               text     <scope>=<value>, the value as names of lanes have it
--          value              text     the value as people write it
--          action             text     pause or resume
--          mode               text     drain or quiesce; empty on resume
--          reason             text     why; may be empty on resume
--          actor              text     who
--          until_ms           integer  when it ends by itself; 0 for never
--          expected_version   integer  version that the caller saw, 0 for none in force; -1 for any
-- Replies  OK                 MORE when bring_back has to go on, else DONE; and its record
--          UNCHANGED          nothing written
--          VERSION_CONFLICT   its version as it is; nothing written
--          UNTIL_PASSED       it would have ended already; nothing written
--          TOO_MANY           100 are in force; nothing written
-- Flags    allow-oom
-- Repeat   not safe without expected_version: a second call may find its own change and answer UNCHANGED
local record = narrow_record(name)
local paused = record and record.mode ~= 'lifted'
local version = paused and record.version or 0
if action == 'pause' and until_ms > 0 and until_ms <= now then
  return { 'UNTIL_PASSED' }
end
if expected_version >= 0 and expected_version ~= version then
  return { 'VERSION_CONFLICT', int(version) }
end
if action == 'resume' then
  if not paused then
    return { 'UNCHANGED' }
  end
  local text, more = lift(name, record, actor, reason)
  return { 'OK', more and 'MORE' or 'DONE', text }
end
if paused and record.mode == mode and record.why == reason and record.ends == until_ms then
  return { 'UNCHANGED' }
end
local _, in_force = string.gsub(PAUSES or '', '|%l+=', '')
if not paused and in_force >= MOST_PAUSES then
  return { 'TOO_MANY' }
end
return { 'OK', 'DONE', record_narrow(name, record, { action = 'pause', mode = mode, since = paused and record.since,
  ends = until_ms, value = value, who = actor, why = reason }) }
