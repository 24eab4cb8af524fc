-- Prepended to the scripts that compare stream ids.
local function above(a, b)
    local am, as = string.match(a, '(%d+)-(%d+)')
    local bm, bs = string.match(b, '(%d+)-(%d+)')
    am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
    return am > bm or (am == bm and as > bs)
end

-- The flat reply of XINFO as a table by name.
local function named(flat)
    local fields = {}
    for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
    return fields
end

-- The groups of a stream by name; empty when there is no stream.
local function groups_of(stream)
    local found = {}
    local reply = redis.pcall('XINFO', 'GROUPS', stream)
    if reply.err then return found end
    for _, flat in ipairs(reply) do
        local group = named(flat)
        found[group['name']] = group
    end
    return found
end

local function last_id(stream)
    local reply = redis.pcall('XINFO', 'STREAM', stream)
    if reply.err then return '0-0' end
    return named(reply)['last-generated-id']
end
