-- Sends an entry that is no valid record to the dead letters. The first verdict binds all sinks: an entry that another
-- sink has accepted is not condemned.
-- KEYS: stream, verdicts, dead letters, published
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
-- All of the entry's fields as one JSON list of names and values: they may be many, repeat, or be called as ours are.
local fields = '[]'
for _, entry in ipairs(redis.call('XRANGE', stream, id, id)) do
    if #entry[2] > 0 then fields = cjson.encode(entry[2]) end
    for f = 1, #entry[2], 2 do
        -- The identity is free again: the record, once it is right, shall be able to stand elsewhere.
        if entry[2][f] == 'id' and redis.call('HGET', KEYS[4], entry[2][f + 1]) == id then
            redis.call('HDEL', KEYS[4], entry[2][f + 1])
        end
    end
end
redis.call('HSET', KEYS[2], field, ARGV[3])
redis.call('XADD', KEYS[3], '*', 'log', ARGV[1], 'event_id', id, 'reason', ARGV[3], 'sink', ARGV[4], 'fields', fields)
return 'CONDEMNED'
