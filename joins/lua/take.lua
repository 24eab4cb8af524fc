-- Takes items off the head of the inbox once the sequencer has them; what is no record goes to the dead letters.
-- Sent twice it takes nothing else: an item that is not at the head any more was taken.
-- KEYS: inbox, dead letters
-- ARGV: two an item: the item, and '' or why it is refused
-- Reply: how many were taken.
local taken = 0
for i = 1, #ARGV, 2 do
    if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[i] then return taken end
    redis.call('LPOP', KEYS[1])
    if ARGV[i + 1] ~= '' then
        local fields = cjson.encode({'item', ARGV[i]})
        redis.call('XADD', KEYS[2], '*', 'log', '', 'event_id', '', 'reason', ARGV[i + 1], 'sink', '', 'fields', fields)
    end
    taken = taken + 1
end
return taken
