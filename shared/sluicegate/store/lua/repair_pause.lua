-- repair_pause: write a lost or unreadable pause record anew, as the audit says it was; in doubt, paused.
-- From     (any)              To  (any)
-- Replies  OK                 KEPT, or RESTORED with the new record
-- Repeat   safe: a sound record is kept
local fault = pause_fault()
if not fault then
  return { 'OK', 'KEPT' }
end
local version = math.max(tonumber(redis.call('HGET', KEYS[1], 'pause_version') or 0) or 0,
  tonumber(redis.call('HGET', Q .. 'pause', 'version') or 0) or 0)
if string.sub(fault, 1, 13) == 'pause_version' then
  -- The record itself is sound: it gets a version that nobody has seen.
  redis.call('HSET', KEYS[1], 'pause_version', int(version + 1))
  redis.call('HSET', Q .. 'pause', 'version', int(version + 1), 'updated_at', int(now))
  notify('pause', { 'system' })
  return { 'OK', 'RESTORED', redis.call('HGETALL', Q .. 'pause') }
end
local last = nil
local entries = redis.call('XREVRANGE', Q .. 'audit', '+', '-', 'COUNT', '500')
for _, entry in ipairs(entries) do
  local fields = {}
  for at = 1, #entry[2], 2 do
    fields[entry[2][at]] = entry[2][at + 1]
  end
  if fields.control == 'worker_pause' and not fields.target then
    fields.at = string.match(entry[1], '^%d+')
    last = fields
    break
  end
end
local ends = last and last['until'] or ''
local paused = (last and last.action == 'pause') or (not last and version > 0)
version = version + 1
redis.call('HSET', KEYS[1], 'pause_version', int(version))
redis.call('DEL', Q .. 'pause')
redis.call('HSET', Q .. 'pause', 'paused', paused and '1' or '0', 'updated_at', int(now), 'version', int(version))
if paused then
  redis.call('HSET', Q .. 'pause',
    'mode', last and last.mode or 'drain',
    'reason', last and last.reason or 'the pause record was lost: check the store, then resume',
    'by', last and last.actor or 'system',
    'requested_at', last and last.at or int(now))
  if tonumber(ends) then
    redis.call('HSET', Q .. 'pause', 'until', ends)
  end
end
redis.call('XADD', Q .. 'audit', '*', 'control', 'worker_pause', 'action', paused and 'pause' or 'resume',
  'mode', paused and (last and last.mode or 'drain') or '', 'reason', 'the pause record was lost and has been restored',
  'actor', 'system', 'forced', '0', 'until', ends)
redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'pause',
  unpack(redis.call('HGETALL', Q .. 'pause')))
notify('pause', { 'system' })
return { 'OK', 'RESTORED', redis.call('HGETALL', Q .. 'pause') }
