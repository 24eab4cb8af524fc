-- Takes a lease: when it is free, or when it was taken from the same place, whose lock the caller holds (so its holder
-- is dead). Each taking has a fencing number of its own, higher than all before.
-- KEYS: lease, fence
-- ARGV: owner, place, time to live in milliseconds
-- Reply: {1, lease value} | {0, the holder's value}
local holder = redis.call('GET', KEYS[1])
if holder then
    local place = string.match(holder, '^%d+|[^|]*|(.*)$')
    if place ~= ARGV[2] or ARGV[2] == '' then return {0, holder} end
end
local value = redis.call('INCR', KEYS[2]) .. '|' .. ARGV[1] .. '|' .. ARGV[2]
redis.call('SET', KEYS[1], value, 'PX', ARGV[3])
return {1, value}
