-- Sends an entry that is no valid record to the dead letters. The first verdict binds all sinks: an entry that another
-- sink has accepted is not condemned.
-- KEYS: stream, verdicts, dead letters
-- ARGV: log, event id, reason, group
-- Reply: 'CONDEMNED' | 'ACCEPTED' when another sink has it in its data.
local stream, id = KEYS[1], ARGV[2]
local field = ARGV[1] .. '/' .. id
if redis.call('HEXISTS', KEYS[2], field) == 1 then return 'CONDEMNED' end
for name, group in pairs(groups_of(stream)) do
    if name ~= ARGV[4] and not above(id, group['last-delivered-id']) then
        local first = group['pending'] > 0 and redis.call('XPENDING', stream, name)[2]
        if not first or above(first, id) then return 'ACCEPTED' end
    end
end
redis.call('HSET', KEYS[2], field, ARGV[3])
local letter = {'log', ARGV[1], 'event_id', id, 'reason', ARGV[3], 'sink', ARGV[4]}
for _, entry in ipairs(redis.call('XRANGE', stream, id, id)) do
    for _, value in ipairs(entry[2]) do letter[#letter + 1] = value end
end
redis.call('XADD', KEYS[3], '*', unpack(letter))
return 'CONDEMNED'
