-- Pauses: what all that pause and resume share.

-- The reason of a resume at the time that the pause was to last until.
local ENDED = 'its time was over'

-- Wake one idle worker of each policy: what became ready or due meanwhile rang bells that nobody could answer.
local function ring_all()
  local policies = redis.call('HKEYS', Q .. 'policies')
  for _, policy in ipairs(policies) do
    ring_bell(policy)
  end
end

-- Write what the pause of all workers is now: to those who look, those who listen, and the audit. With `action` and
-- `version`: who, why, mode, since (ms, text), ends (ms, 0 for never), forced; a resume has none of the middle three.
local function record_pause(change)
  local key = Q .. 'pause'
  redis.call('HSET', KEYS[1], 'pause_version', int(change.version))
  redis.call('HDEL', key, 'mode', 'reason', 'by', 'requested_at', 'until')
  redis.call('HSET', key, 'paused', '0', 'updated_at', int(now), 'version', int(change.version))
  local ends = ''
  if change.action == 'pause' then
    redis.call('HSET', key, 'paused', '1', 'mode', change.mode, 'reason', change.why, 'by', change.who,
      'requested_at', change.since)
    if change.ends > 0 then
      ends = int(change.ends)
      redis.call('HSET', key, 'until', ends)
    end
  end
  redis.call('XADD', Q .. 'audit', '*', 'control', 'worker_pause', 'action', change.action, 'mode', change.mode or '',
    'reason', change.why, 'actor', change.who, 'forced', change.forced and '1' or '0', 'until', ends)
  redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'pause', unpack(redis.call('HGETALL', key)))
  count('pause:' .. change.action .. ':' .. (change.mode or ''), 1)
  notify('pause', { 'system' })
end

-- Let all workers go on.
local function resume_workers(version, who, why, forced)
  record_pause({ action = 'resume', version = version, who = who, why = why, forced = forced })
  ring_all()
end

-- Narrower pauses. Q:pauses holds the record of each by its name, `<scope>=<value>` in the encoding of lanes' names:
-- `<mode> <version> <since> <updated> <until or 0>`, then the value as it is written, who, why, a line each. The mode of
-- one that was lifted is `lifted`, until all that it held back has been given back. Q:meta has what claims look at.
local MOST_PAUSES = 100

local SCOPES = { type = true, repository = true, capability = true, worker = true }

local function narrow_record(name)
  local text = redis.call('HGET', Q .. 'pauses', name)
  local mode, version, since, updated, ends, value, who, why =
    string.match(text or '', '^(%l+) (%d+) (%d+) (%d+) (%d+)\n([^\n]*)\n([^\n]*)\n(.*)$')
  return mode and { mode = mode, version = tonumber(version), since = since, updated = updated, ends = tonumber(ends),
    value = value, who = who, why = why, text = text }
end

-- How claims know of a pause: '' in force, '-' lifted, nil not at all.
local function mark_of(name)
  for _, mark in ipairs({ '', '-' }) do
    if PAUSES and string.find(PAUSES, '|' .. mark .. name .. '|', 1, true) then
      return mark
    end
  end
end

-- Say to claims how a pause stands: '' in force, '-' lifted, nil gone.
local function mark_pause(name, mark)
  local text = string.match(PAUSES or '', '^|.*|$') or '|'
  for _, known in ipairs({ '', '-' }) do
    local first, last = string.find(text, '|' .. known .. name .. '|', 1, true)
    if first then
      text = string.sub(text, 1, first) .. string.sub(text, last + 1)
    end
  end
  if mark then
    text = text .. mark .. name .. '|'
  end
  PAUSES = text ~= '|' and text or nil
  pauses_by_lane = {}
  if PAUSES then
    redis.call('HSET', KEYS[1], 'pauses', PAUSES)
  else
    redis.call('HDEL', KEYS[1], 'pauses')
  end
end

-- A version that no narrower pause ever had.
local function new_pause_version(record)
  local last = tonumber(redis.call('HGET', KEYS[1], 'pauses_version') or 0) or 0
  local version = int(math.max(last, record and record.version or 0) + 1)
  redis.call('HSET', KEYS[1], 'pauses_version', version)
  return version
end

-- Write what a narrower pause is now: as `record_pause` does for that of all workers. change: action, mode, since (ms,
-- text), ends (ms), value, who, why. record: what was stored of it, if anything.
local function record_narrow(name, record, change)
  local version = new_pause_version(record)
  local pausing = change.action == 'pause'
  local head = (pausing and change.mode or 'lifted') .. ' ' .. version .. ' ' .. (change.since or int(now)) .. ' '
    .. int(now) .. ' ' .. int(change.ends or 0)
  local who = string.gsub(change.who, '\n', ' ')
  local text = head .. '\n' .. change.value .. '\n' .. (pausing and who or '') .. '\n' .. (pausing and change.why or '')
  local scope = string.match(name, '^%l+')
  if pausing or scope ~= 'worker' then
    redis.call('HSET', Q .. 'pauses', name, text)
    mark_pause(name, pausing and '' or '-')
  else
    -- It held back no lane.
    redis.call('HDEL', Q .. 'pauses', name)
    mark_pause(name, nil)
  end
  redis.call('XADD', Q .. 'audit', '*', 'control', 'worker_pause', 'action', change.action, 'mode', change.mode or '',
    'reason', change.why, 'actor', change.who, 'target', scope .. ':' .. change.value)
  redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'narrow_pause', 'name', name, 'record', text)
  count('narrow_pause:' .. change.action .. ':' .. scope, 1)
  notify('pause', { 'system' })
  return text
end

-- Let claims see up to `most` of the lanes that a lifted pause held back, those first that go first; whether it held
-- more. What a limit or another pause holds back as well stays set aside, by that.
local function bring_back(name, most)
  local holder = 'paused:' .. name
  local members = redis.call('ZRANGEBYLEX', Q .. 'parked', '[' .. holder .. '|', '(' .. holder .. '|~', 'LIMIT', '0', int(most))
  for _, member in ipairs(members) do
    local score, lane, class = string.match(member, '^[^|]*|[^|]*|([^|]*)|(.*)(%+%l)$')
    strike_out(lane, member)
    local other = held_by(lane)
    if other then
      set_aside(lane, class, int(tonumber(score)), other)
    else
      enter_orders(lane, class, int(tonumber(score)))
      ring(lane)
    end
  end
  if #members == most then
    return true
  end
  redis.call('HDEL', Q .. 'pauses', name)
  mark_pause(name, nil)
  local kind = string.match(name, '^type=(.*)$')
  if kind and LIMITS and allowed(name) then
    ring_shelf(kind)
  end
  return false
end

-- Lift a narrower pause: its last record, and whether more lanes are to be given back than one script does.
local function lift(name, record, who, why)
  local text = record_narrow(name, record, { action = 'resume', value = record.value, who = who, why = why })
  return text, mark_of(name) == '-' and bring_back(name, 100)
end

-- The names of all narrower pauses, in force or lifted, by records and by what claims look at.
local function known_pauses()
  local names, seen = {}, {}
  local function add(name)
    names[#names + 1] = not seen[name] and name or nil
    seen[name] = true
  end
  for _, name in ipairs(redis.call('HKEYS', Q .. 'pauses')) do
    add(name)
  end
  for name in string.gmatch(PAUSES or '', '[^|]+') do
    add((string.gsub(name, '^%-', '')))
  end
  table.sort(names)
  return names
end

-- What is wrong with a narrower pause; nil when nothing is.
local function narrow_fault(name)
  local record, mark = narrow_record(name), mark_of(name)
  if not record and redis.call('HEXISTS', Q .. 'pauses', name) == 1 then
    return 'narrow_unreadable ' .. name
  end
  local lifted = record and record.mode == 'lifted'
  if not (mark == '-' and not record) and mark ~= (record and (lifted and '-' or '')) then
    return 'narrow_differs ' .. name
  end
  if mark == '-' and (not record or now - tonumber(record.updated) > 10000) then
    return 'lift_left ' .. name
  end
end
