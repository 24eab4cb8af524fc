-- Makes a sink's group, at the beginning of each stream that does not have it.
-- KEYS: each stream
-- ARGV: group
-- Reply: 'OK'
for _, stream in ipairs(KEYS) do
    if not groups_of(stream)[ARGV[1]] then
        redis.call('XGROUP', 'CREATE', stream, ARGV[1], '0-0', 'MKSTREAM')
    end
end
return 'OK'
