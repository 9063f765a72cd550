-- Two labs of one user with the same nodes, hosts, addresses and ports at the same time: they do not
-- meet, and the end of one is nothing to the other.
-- timeout: 300
local data = (vc.getenv("VCHASSIS_DATA") or vc.program:match("^(.*)/[^/]*$") .. "/../share/vchassis") .. "/labs/"

local function twin(name)
    local text = readfile(data .. "site-to-site.yaml")
    local changed, n = text:gsub("\nlab: *site%-to%-site", "\nlab: " .. name)
    equal(n, 1, "names in site-to-site.yaml")
    changed, n = changed:gsub("model%-scale: *[%d.]+", "model-scale: 0")
    equal(n, 1, "model-scale in site-to-site.yaml")
    writefile(vc.directory .. "/" .. name .. ".yaml", changed)
    for _, node in ipairs{"left", "right"} do
        writefile(vc.directory .. "/" .. node .. ".conf", readfile(data .. node .. ".conf"))
    end
    return boot(vc.directory .. "/" .. name .. ".yaml")
end

local one = twin("one")
local two = twin("two")

local function up(lab)
    local r = lab:exec("alice", "ping -c 1 -W 1 10.2.2.10")
    return r.status == 0, r.out
end

local function counter(lab, direction)
    return tonumber(leaf(lab:xml("left", "show security ipsec statistics"), "esp-" .. direction .. "-packets"))
end

local function cookies(lab)
    local all = {}
    for _, sa in ipairs(find_all(lab:xml("left", "show security ike security-associations"), "ike-security-associations")) do
        all[#all + 1] = leaf(sa, "ike-sa-state") .. leaf(sa, "ike-sa-initiator-cookie")
    end
    return table.concat(all, " ")
end

for _, lab in ipairs{one, two} do
    wait_until("the tunnel of " .. lab.name, 30, function() return up(lab) end)
    wait_until("one IKE SA in " .. lab.name, 10, function() return cookies(lab):match("^UP%x+$"), cookies(lab) end)
end

test("traffic of one lab is not seen in the other", function()
    check(cookies(one) ~= cookies(two), "the two labs have one IKE SA")
    local before = counter(two, "encrypted")
    local r = one:exec("alice", "ping -c 20 -i 0.02 -W 1 10.2.2.10")
    matches(r.out, "20 packets transmitted, 20 received")
    equal(counter(two, "encrypted"), before, "packets encrypted in lab two")
end)

test("no process, directory or namespace is shared", function()
    local seen = {}
    for _, pid in ipairs(find_pids(one:ps())) do
        seen[pid] = true
    end
    for _, pid in ipairs(find_pids(two:ps())) do
        check(not seen[pid], "process %d is in both labs", pid)
    end
    check(one.run ~= two.run, "one run directory")
    local a, b = one:exec("alice", "readlink /proc/self/ns/net /proc/self/ns/pid").out, two:exec("alice", "readlink /proc/self/ns/net /proc/self/ns/pid").out
    for link in a:gmatch("[^\n]+") do
        check(not b:find(link, 1, true), "both labs have %s", link)
    end
end)

test("a card that is killed in one lab is killed in that lab only", function()
    local pid = two:pid_of("left", "fpc0")
    one:kill("left", "fpc0")
    wait_until("the tunnel of lab one", 30, function() return up(one) end)
    equal(two:pid_of("left", "fpc0"), pid, "FPC 0 of lab two")
    check(up(two))
end)

test("kill of one lab's labd takes no packet from the other", function()
    local pids = find_pids(one:ps())
    local pid = two:spawn("alice", "exec ping -i 0.02 -w 60 10.2.2.10", "pings")
    local function answers()
        local got, last = {}, 0
        for n in (readfile(vc.directory .. "/pings.log") or ""):gmatch("icmp_seq=(%d+)") do
            last = tonumber(n)
            got[last] = true
        end
        return last, got
    end
    wait_until("pings to run", 10, function() return answers() > 5 end)
    one:kill(nil, "labd")
    wait_until("the keeper's end", 10, function() return vc.reap(one.pid) end)
    one.pid = nil
    for _, p in ipairs(pids) do
        wait_until("the end of process " .. p, 10, function() return not readfile("/proc/" .. p .. "/stat") end)
    end
    wait_until("the run directory to go", 10, function() return run({"test", "-e", one.run}).status == 1 end)
    local at = answers()
    wait_until("pings to go on", 10, function() return answers() > at + 25 end)
    vc.kill(pid, 2)
    wait_until("the ping to end", 10, function() return vc.reap(pid) end)
    local last, got = answers()
    for n = 1, last do
        check(got[n], "ping %d of %d was lost", n, last)
    end
    for _, node in ipairs(two:ps().nodes) do
        equal(node.state, "online", node.name)
    end
end)

test("the lab that was killed boots again beside the other", function()
    one = twin("one")
    wait_until("the tunnel of lab one", 30, function() return up(one) end)
    check(up(two))
end)
