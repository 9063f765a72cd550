-- CHILD rekey under 1,000 packets a second loses none.
-- timeout: 180
local lab = boot("site-to-site-traffic")

local function spi()
    for _, sa in ipairs(find_all(lab:xml("left", "show security ipsec security-associations"), "ipsec-security-associations")) do
        if leaf(sa, "sa-direction") == "outbound" then
            return leaf(sa, "sa-spi")
        end
    end
end

wait_until("the tunnel", 30, spi)

test("1,000 packets a second both ways, CHILD SA rekeyed under them, none lost", function()
    lab:traffic_start("alice", {flow = "there", source = "10.1.1.10", destination = "10.2.2.10",
        ["source-port"] = 7001, ["destination-port"] = 7002, ["rate-pps"] = 50, count = 25, size = 200})
    wait_until("the path to be warm", 20, function()
        local flow = lab:flow("bob", "there")
        return flow and flow.received >= 20
    end)
    local before = spi()
    for _, host in ipairs{"alice", "bob"} do
        local a, b = "10.1.1.10", "10.2.2.10"
        if host == "bob" then
            a, b = b, a
        end
        lab:traffic_start(host, {flow = "load-" .. host, source = a, destination = b, ["source-port"] = 7003,
            ["destination-port"] = 7004, ["rate-pps"] = 1000, count = 8000, size = 400})
    end
    wait_until("traffic to run", 10, function()
        local flow = lab:flow("bob", "load-alice")
        return flow and flow.received > 500
    end)
    lab:cli("left", "request security ipsec rekey")
    wait_until("new keys on the wire", 10, function() return spi() ~= before and spi() end)
    wait_until("the flows to end", 30, function()
        local there, back = lab:flow("alice", "load-alice"), lab:flow("bob", "load-bob")
        return there and back and not there.running and not back.running
    end)
    for host, name in pairs{bob = "load-alice", alice = "load-bob"} do
        local flow
        wait_until("the last packet of " .. name, 10, function()
            flow = lab:flow(host, name)
            return flow.received + flow.lost >= 8000 or flow.received == 8000, flow.received
        end)
        equal(flow.lost, 0, name .. " lost")
        equal(flow.received, 8000, name .. " received")
        equal(flow.corrupt, 0, name .. " corrupt")
    end
end)
