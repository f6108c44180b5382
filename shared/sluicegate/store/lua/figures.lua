-- figures: exact counts and totals, all of one moment.
-- From     (any)              To  (any)
-- Replies  OK                 the pause record, time, counts by name, counters, oldest ready lanes by priority band, the
--                             narrower pauses as claims know them
-- Flags    no-writes
-- Repeat   safe: reads only
local delayed = redis.call('ZCOUNT', Q .. 'delayed', '(' .. int(now), '+inf')
local counts = {
  'queued', redis.call('ZCARD', Q .. 'status:queued') - delayed,
  'delayed', delayed,
  'running', redis.call('ZCOUNT', Q .. 'leases', '(' .. int(now), '+inf'),
  'stale_running', redis.call('ZCOUNT', Q .. 'leases', '-inf', int(now)),
  'lanes', redis.call('HLEN', Q .. 'lanes'),
  'due', redis.call('ZCOUNT', Q .. 'delayed', '-inf', int(now)),
  'dead_letter_entries', redis.call('XLEN', Q .. 'dead'),
}
for _, status in ipairs({ 'succeeded', 'failed', 'cancelled', 'dead_letter' }) do
  counts[#counts + 1] = status
  counts[#counts + 1] = redis.call('ZCARD', Q .. 'status:' .. status)
end
local oldest = {}
for _, band in ipairs({ { 'high', 1, 1000 }, { 'normal', 0, 0 }, { 'low', -1000, -1 } }) do
  local first = int((1000 - band[3]) * BAND)
  local last = int((1000 - band[2] + 1) * BAND - 1)
  local since = ''
  -- Within a band the oldest may stand behind a higher priority: look at the heads of up to 50 lanes.
  local heads = redis.call('ZRANGEBYSCORE', Q .. 'ready', first, last, 'WITHSCORES', 'LIMIT', '0', '50')
  for at = 2, #heads, 2 do
    local ms = tonumber(heads[at]) % BAND
    if since == '' or ms < since then
      since = ms
    end
  end
  oldest[#oldest + 1] = band[1]
  oldest[#oldest + 1] = since ~= '' and int(since) or ''
end
return { 'OK', redis.call('HGETALL', Q .. 'pause'), int(now), counts, redis.call('HGETALL', Q .. 'counters'), oldest,
  PAUSES or '' }
