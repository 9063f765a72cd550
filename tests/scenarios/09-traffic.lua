-- Traffic hosts: what they count is what the network did, through a real tunnel.
local lab = boot("traffic")

local function flow(host, name)
    for _, f in ipairs(lab:labd("traffic-query", {host = host}).flows) do
        if f.flow == name then
            return f
        end
    end
    return {received = 0, sent = 0, lost = 0, corrupt = 0}
end

local function start(name, arguments)
    arguments.host, arguments.flow = "near", name
    arguments.destination = "10.2.2.10"
    lab:labd("traffic-start", arguments)
end

wait_until("the tunnel", 30, function()
    start("probe", {count = 1, ["rate-pps"] = 1000})
    vc.pause(0.1)
    return flow("far", "probe").received > 0
end)

test("5,000 packets at 2,000 a second: none lost, doubled, reordered or changed", function()
    start("clean", {count = 5000, ["rate-pps"] = 2000, size = 512})
    wait_until("all packets", 20, function()
        local f = flow("far", "clean")
        return f.received + f.corrupt >= 5000, f.received
    end)
    local f = flow("far", "clean")
    equal(f.received, 5000)
    equal(f.lost, 0)
    equal(f.duplicated, 0)
    equal(f.reordered, 0)
    equal(f.corrupt, 0)
    check(f["latency-min-ns"] > 0 and f["latency-mean-ns"] <= f["latency-max-ns"], "latencies make no sense")
    equal(flow("near", "clean").sent, 5000)
    note("latency %d us mean, %d us at most", f["latency-mean-ns"] // 1000, f["latency-max-ns"] // 1000)
end)

test("an unplugged link is an outage with loss, and the flow returns", function()
    start("cut", {["rate-pps"] = 1000, size = 256})
    wait_until("the flow", 5, function() return flow("far", "cut").received > 100 end)
    equal(lab:verb({"link", "middle", "down"}).status, 0)
    local stopped = flow("far", "cut").received
    wait_until("the flow to stop", 5, function()
        local now = flow("far", "cut").received
        local same = now == stopped
        stopped = now
        return same and flow("near", "cut").sent > now + 300
    end)
    equal(lab:verb({"link", "middle", "up"}).status, 0)
    wait_until("the flow to return", 20, function() return flow("far", "cut").received > stopped + 100 end)
    lab:labd("traffic-stop", {host = "near", flow = "cut"})
    local f = flow("far", "cut")
    check(f.lost >= 200, "only %d packets were lost", f.lost)
    check(f["outage-ns"] >= 200 * 1000 * 1000, "the outage was only %d ms", f["outage-ns"] // 1000000)
    equal(f.corrupt, 0)
end)

test("bad flows are refused with one sentence", function()
    local _, why = lab:try_labd("traffic-start", {host = "near", flow = "x", destination = "nowhere"})
    matches(why, "address")
    _, why = lab:try_labd("traffic-start", {host = "near", flow = "x", destination = "10.2.2.10", size = 20})
    matches(why, "size from")
    _, why = lab:try_labd("traffic-query", {host = "nobody"})
    matches(why, "no traffic host")
    _, why = lab:try_labd("traffic-stop", {host = "near", flow = "never"})
    matches(why, "sends no flow")
end)
