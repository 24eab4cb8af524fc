-- Drops up to 1000 entries that every sink has acknowledged, beyond the newest `keep`, and forgets their identities.
-- Those up to the id `upto` go too, however many there are: they may hold a name that was erased.
-- KEYS: stream, trimmed, published, verdicts
-- ARGV: log, entries to keep, upto ('' for none), then the groups that must have acknowledged
-- Reply: how many entries were dropped.
local stream = KEYS[1]
local surplus, upto = redis.call('XLEN', stream) - tonumber(ARGV[2]), ARGV[3]
if surplus <= 0 and upto == '' then return 0 end
local groups = groups_of(stream)
local oldest_pending, delivered
for g = 4, #ARGV do
    local group = groups[ARGV[g]]
    if not group then return 0 end
    if not delivered or above(delivered, group['last-delivered-id']) then delivered = group['last-delivered-id'] end
    if group['pending'] > 0 then
        local first = redis.call('XPENDING', stream, ARGV[g])[2]
        if not oldest_pending or above(oldest_pending, first) then oldest_pending = first end
    end
end
local cut, last_record
local identities = {}
for n, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', 1000)) do
    local id = entry[1]
    if n > surplus and (upto == '' or above(id, upto)) then break end
    if above(id, delivered) or (oldest_pending and not above(oldest_pending, id)) then break end
    cut = id
    -- A condemned entry is in no sink: a sink that ends below it lacks nothing.
    if redis.call('HEXISTS', KEYS[4], ARGV[1] .. '/' .. id) == 0 then last_record = id end
    for f = 1, #entry[2], 2 do
        if entry[2][f] == 'id' then identities[#identities + 1] = {entry[2][f + 1], id} end
    end
end
if not cut then return 0 end
for _, known in ipairs(identities) do
    -- Another entry may bear the name of one that is still there.
    if redis.call('HGET', KEYS[3], known[1]) == known[2] then redis.call('HDEL', KEYS[3], known[1]) end
end
if last_record then redis.call('HSET', KEYS[2], ARGV[1], last_record) end
local ms, seq = string.match(cut, '(%d+)-(%d+)')
return redis.call('XTRIM', stream, 'MINID', ms .. '-' .. string.format('%d', tonumber(seq) + 1))
