-- Thirty CHILD rekeys under 1,000 packets a second both ways: none lost.
-- timeout: 900
local lab = boot("site-to-site-traffic")

local function spi()
    for _, sa in ipairs(find_all(lab:xml("left", "show security ipsec security-associations"), "ipsec-security-associations")) do
        if leaf(sa, "sa-direction") == "outbound" then
            return leaf(sa, "sa-spi")
        end
    end
end

wait_until("the tunnel", 30, spi)
lab:traffic_start("alice", {flow = "warm", source = "10.1.1.10", destination = "10.2.2.10", ["rate-pps"] = 50, count = 50})
wait_until("the path to be warm", 20, function()
    local flow = lab:flow("bob", "warm")
    return flow and flow.received >= 20
end)
lab:traffic_start("alice", {flow = "there", source = "10.1.1.10", destination = "10.2.2.10", ["source-port"] = 7003,
    ["destination-port"] = 7004, ["rate-pps"] = 1000, count = 60000, size = 400})
lab:traffic_start("bob", {flow = "back", source = "10.2.2.10", destination = "10.1.1.10", ["source-port"] = 7003,
    ["destination-port"] = 7004, ["rate-pps"] = 1000, count = 60000, size = 400})
for n = 1, 30 do
    local before = spi()
    lab:cli(n % 2 == 0 and "left" or "right", "request security ipsec rekey")
    wait_until("rekey " .. n, 20, function()
        local now = spi()
        return now and now ~= before
    end)
end
for host, name in pairs{bob = "there", alice = "back"} do
    local flow
    wait_until("the end of " .. name, 120, function()
        flow = lab:flow(host, name)
        return flow and flow.received + flow.lost >= 60000, flow and flow.received
    end)
    equal(flow.lost, 0, name .. " lost")
    equal(flow.corrupt, 0, name .. " corrupt")
end
