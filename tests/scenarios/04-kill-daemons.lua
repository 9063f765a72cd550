-- kill -9 of iked and of hwd.
local lab = boot("site-to-site")

local function ping(count, interval)
    return lab:exec("alice", string.format("ping -c %d -i %g -W 1 10.2.2.10", count, interval))
end

wait_until("the tunnel", 30, function()
    local r = ping(1, 1)
    return r.status == 0, r.out
end)

test("established traffic does not notice that iked dies", function()
    local before = leaf(lab:xml("left", "show security ike security-associations"), "ike-sa-initiator-cookie")
    local pid = lab:spawn("alice", "ping -c 60 -i 0.05 -W 1 10.2.2.10", "during")
    lab:kill("left", "iked")
    wait_until("the pings to end", 20, function() return vc.reap(pid) end)
    matches(readfile(vc.directory .. "/during.log"), "60 packets transmitted, 60 received")
    wait_until("the new iked to answer", 20, function()
        local text = lab:try_cli("left", "show security ike security-associations")
        return text and text:find("UP", 1, true), text
    end)
    local after = leaf(lab:xml("left", "show security ike security-associations"), "ike-sa-initiator-cookie")
    equal(after, before, "the IKE SA")
end)

test("the restarted iked goes on with the same IKE SA", function()
    -- the other end rekeys by losing its card: the exchange runs over the SA that was restored
    lab:kill("right", "fpc0")
    wait_until("pings after the far card was lost", 40, function()
        local r = ping(1, 1)
        return r.status == 0, r.out
    end)
end)

test("kill of hwd is power loss of that node only", function()
    lab:kill("right", "hwd")
    wait_until("the node to be reported off", 10, function()
        for _, node in ipairs(lab:ps().nodes) do
            if node.name == "right" then
                return node.state ~= "online", node.state
            end
        end
    end)
    local r = lab:exec("alice", "ping -c 2 -i 0.2 -W 1 10.1.1.1")
    equal(r.status, 0, "the other node: " .. r.out)
end)

test("kill of labd leaves nothing", function()
    local pids = find_pids(lab:ps())
    lab:kill(nil, "labd")
    wait_until("the keeper's end", 10, function() return vc.reap(lab.pid) end)
    lab.pid = nil
    for _, pid in ipairs(pids) do
        wait_until("the end of process " .. pid, 10, function() return not readfile("/proc/" .. pid .. "/stat") end)
    end
    wait_until("the run directory to go", 10, function() return run({"test", "-e", lab.run}).status == 1 end)
end)
