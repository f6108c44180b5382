-- show_terminal: add to what a run's terminal has shown lately, while its live session is open.
-- From     running            To  running
-- Args     worker             text     worker id
--          id                 text     job
--          token              text     lease token
--          scrollback         integer  so many of the latest places are kept
--          entries            integer  and so many of the latest entries
--          keep_ms            integer  ms after the last of it, when all of it goes
--          typed              text     last entry of what was typed that the terminal got; empty for none
-- Each     place              integer  of the first byte, in all that this attempt has shown; anything else takes one
--          kind               text     d, size or left_out
--          data               text     the bytes; columns x rows; how many bytes are not shown here
-- Replies  OK                 SHOWN <watched: 1 or 0> <when the grant to type ends, in ms; 0 without one>
--          NO_SESSION         the run has no open live session of this attempt; nothing written
--          LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND   nothing written
-- Repeat   safe: what is there already is passed over
local job = load_job(id, { 'status', 'token', 'owner' })
local word = refusal(job, worker, token, nil)
if word then
  return { word }
end
local key = job_key(id)
local live = redis.call('HMGET', key .. ':live', 'status', 'token', 'rw_until')
if live[2] ~= token or (live[1] ~= 'starting' and live[1] ~= 'ready') then
  return { 'NO_SESSION' }
end

local newest = redis.call('XREVRANGE', key .. ':terminal', '+', '-', 'COUNT', '1')[1]
local last = newest and string.sub(newest[1], 1, #token + 1) == token .. '-' and tonumber(string.sub(newest[1], #token + 2)) or 0
local behind = 0
for at = 1, N do
  local place, kind, data = each(at)
  if place + 1 > last then
    redis.call('XADD', key .. ':terminal', token .. '-' .. int(place + 1), kind, data)
    last = place + 1
    behind = place + (kind == 'd' and #data or 1)
  end
end
if behind > 0 then
  redis.call('XTRIM', key .. ':terminal', 'MINID', token .. '-' .. int(math.max(0, behind - scrollback + 1)))
  redis.call('XTRIM', key .. ':terminal', 'MAXLEN', int(entries))
  redis.call('PEXPIRE', key .. ':terminal', int(keep_ms))
end
if typed ~= '' then
  for _, entry in ipairs(redis.call('XRANGE', key .. ':typed', '-', typed, 'COUNT', '400')) do
    redis.call('XDEL', key .. ':typed', entry[1])
  end
end
local granted = live[1] == 'ready' and tonumber(live[3] or 0) or 0
return { 'OK', 'SHOWN', redis.call('EXISTS', key .. ':watched'), int(granted > now and granted or 0) }
