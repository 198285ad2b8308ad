-- A line for each key: what is in it, without an order that the type does not promise, and the moment it expires at.
local hash, call, lines = redis.sha1hex, redis.call, {}

local function shown(value)
    if type(value) == 'table' then
        local parts = {}
        for index, part in ipairs(value) do parts[index] = shown(part) end
        return '[' .. table.concat(parts, ',') .. ']'
    end
    return hash(tostring(value))
end

local function unordered(list, size)
    local groups = {}
    for index = 1, #list, size do
        local group = {}
        for offset = 0, size - 1 do group[#group + 1] = shown(list[index + offset]) end
        groups[#groups + 1] = table.concat(group, '=')
    end
    table.sort(groups)
    return hash(table.concat(groups, ','))
end

-- What a reply calls by name: {name, value, name, value...}.
local function named(reply, names)
    local found = {}
    for index = 1, #reply, 2 do found[reply[index]] = reply[index + 1] end
    local parts = {}
    for index, name in ipairs(names) do parts[index] = name .. '=' .. shown(found[name]) end
    return table.concat(parts, ',')
end

local function stream(key)
    local parts = {
        named(call('xinfo', 'stream', key), {'length', 'last-generated-id', 'max-deleted-entry-id', 'entries-added'}),
        shown(call('xrange', key, '-', '+')),
    }
    for _, group in ipairs(call('xinfo', 'groups', key)) do
        -- Not how many entries were read: what Redis does not know of it is 0 after it has read its append-only file.
        parts[#parts + 1] = named(group, {'name', 'consumers', 'pending', 'last-delivered-id'})
        for _, pending in ipairs(call('xpending', key, group[2], '-', '+', 100000)) do
            parts[#parts + 1] = shown({pending[1], pending[2], pending[4]}) -- without its idle time
        end
        for _, consumer in ipairs(call('xinfo', 'consumers', key, group[2])) do
            parts[#parts + 1] = named(consumer, {'name', 'pending'})
        end
    end
    return hash(table.concat(parts, ' '))
end

local contents = {
    string = function(key) return hash(call('get', key)) end,
    hash = function(key) return unordered(call('hgetall', key), 2) end,
    list = function(key) return hash(shown(call('lrange', key, 0, -1))) end,
    set = function(key) return unordered(call('smembers', key), 1) end,
    zset = function(key) return hash(shown(call('zrange', key, 0, -1, 'withscores'))) end,
    stream = stream,
}

for database = 0, 15 do
    call('select', database)
    for _, key in ipairs(call('keys', '*')) do
        local kind = call('type', key).ok
        lines[#lines + 1] = string.format('%02d %s %s %s %s', database, hash(key), kind, contents[kind](key),
            call('pexpiretime', key)) .. ' ' .. key:gsub('[^%w :]', '?')
    end
end
table.sort(lines)
return table.concat(lines, '\n')
