-- The configuration: commit with veto, rollback, and mgd that is killed.
local lab = boot("site-to-site")

-- Lines for one session without a terminal; what it printed.
local function session(...)
    local r = lab:verb({"cli", "left"}, 20, table.concat({...}, "\n") .. "\n")
    return r.out .. r.err
end

test("a refused commit names statement and permitted values and changes nothing", function()
    local before = lab:cli("left", "show configuration")
    local out = session("configure", "set security ike gateway right version v1-only", "commit")
    matches(out, "security ike gateway right version: .*permitted values: v2%-only")
    check(not out:find("commit complete", 1, true), "the commit went through")
    equal(lab:cli("left", "show configuration"), before)
end)

test("a value out of range is refused where it is typed", function()
    matches(session("configure", "set security ike gateway right nat-keepalive 301"),
        'security ike gateway right nat%-keepalive: "301" is not valid; permitted: 1%.%.300')
end)

test("a commit takes effect and rollback takes it back", function()
    matches(session("configure", "set system host-name other", "commit and-quit"), "commit complete")
    matches(lab:cli("left", "show version"), "Hostname: other")
    matches(session("configure", "rollback 1", "commit and-quit"), "commit complete")
    matches(lab:cli("left", "show version"), "Hostname: left")
end)

test("an address that is added answers pings, one that is deleted does not", function()
    local address = "interfaces xe-1/0/0 unit 0 family inet address 10.1.1.77/24"
    session("configure", "set " .. address, "commit and-quit")
    wait_until("the new address to answer", 10, function()
        return lab:exec("alice", "ping -c 1 -W 1 10.1.1.77").status == 0
    end)
    session("configure", "delete " .. address, "commit and-quit")
    wait_until("the address to be gone", 10, function()
        return lab:exec("alice", "ping -c 1 -W 1 10.1.1.77").status ~= 0
    end)
end)

test("a killed mgd comes back with the same configuration, traffic goes on", function()
    local before = lab:cli("left", "show configuration")
    wait_until("the tunnel", 30, function() return lab:exec("alice", "ping -c 1 -W 1 10.2.2.10").status == 0 end)
    local pid = lab:spawn("alice", "ping -c 40 -i 0.05 -W 1 10.2.2.10", "during")
    lab:kill("left", "mgd")
    wait_until("the pings to end", 20, function() return vc.reap(pid) end)
    matches(readfile(vc.directory .. "/during.log"), "40 packets transmitted, 40 received")
    local after
    wait_until("the new mgd to answer", 20, function()
        after = lab:try_cli("left", "show configuration")
        return after
    end)
    equal(after, before)
    wait_until("the daemons to answer through it", 20, function()
        return lab:try_cli("left", "show route") and lab:try_cli("left", "show security ike security-associations")
    end)
end)
