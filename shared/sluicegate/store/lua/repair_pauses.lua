-- repair_pauses: make the records of the narrower pauses and what claims look at agree; in doubt, paused.
-- From     (any)              To  (any)
-- Replies  OK                 the names of those that differed
-- Repeat   safe: what agrees is left alone
local repaired = {}
for _, name in ipairs(known_pauses()) do
  local fault = narrow_fault(name)
  if fault and string.sub(fault, 1, 9) ~= 'lift_left' then
    local record = narrow_record(name)
    local scope, value = string.match(name, '^(%l+)=(.+)$')
    repaired[#repaired + 1] = name
    if not SCOPES[scope] then
      redis.call('HDEL', Q .. 'pauses', name)
      mark_pause(name, nil)
    elseif record and record.mode ~= 'lifted' then
      mark_pause(name, '')
    elseif record and not mark_of(name) then
      mark_pause(name, '-')
    else
      value = string.gsub(value, '%%(%x%x)', function(digits)
        return string.char(tonumber(digits, 16))
      end)
      record_narrow(name, nil, { action = 'pause', mode = 'drain', value = value, who = 'system',
        why = 'the record of this pause was lost: look into it, then lift it' })
    end
  end
end
return { 'OK', repaired }
