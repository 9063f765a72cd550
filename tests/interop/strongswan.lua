-- strongSwan as the peer, in both roles: pings, 30 s of traffic, CHILD rekey under traffic.
-- timeout: 240
local strongswan = dofile(vc.folder .. "/strongswan.lib")
strongswan.needed()

local lab = boot("strongswan", {})
local peer = strongswan.start(lab, "peer")

local function ping(from, to, more)
    return lab:exec(from, "ping " .. (more or "-c 1 -W 1") .. " " .. to, 90)
end

local function tunnel_up()
    local r = ping("alice", "10.2.2.1")
    return r.status == 0, r.out
end

local function loss(out)
    local sent, got = out:match("(%d+) packets transmitted, (%d+) received")
    return tonumber(sent) - tonumber(got), out
end

test("the chassis initiates", function()
    wait_until("a ping through the tunnel", 40, tunnel_up)
    local ike = lab:xml("left", "show security ike security-associations detail")
    equal(leaf(ike, "ike-sa-role"), "Initiator")
    equal(strongswan.children(peer), 1)
end)

test("30 s of traffic, none lost", function()
    local lost, out = loss(ping("alice", "10.2.2.1", "-c 3000 -i 0.01 -W 2").out)
    equal(lost, 0, out)
end)

local function under_traffic(what, action)
    local pid = lab:spawn("alice", "ping -c 8000 -i 0.001 -W 2 10.2.2.1", what)
    action()
    wait_until("the pings to end", 60, function() return vc.reap(pid) end)
    local lost, out = loss(readfile(vc.directory .. "/" .. what .. ".log"))
    equal(lost, 0, out)
end

local function outbound()
    for _, sa in ipairs(find_all(lab:xml("left", "show security ipsec security-associations"), "ipsec-security-associations")) do
        if leaf(sa, "sa-direction") == "outbound" then
            return leaf(sa, "sa-spi")
        end
    end
end

test("the peer rekeys the CHILD SA under 1,000 packets/s, none lost", function()
    local before = outbound()
    under_traffic("peer-rekey", function()
        local r = peer.ctl("--rekey --child c")
        equal(r.status, 0, r.out .. r.err)
        wait_until("new keys", 10, function() return outbound() ~= before end)
    end)
end)

test("the chassis rekeys the CHILD SA under 1,000 packets/s, none lost", function()
    local before = outbound()
    under_traffic("own-rekey", function()
        lab:cli("left", "request security ipsec rekey")
        wait_until("new keys", 10, function() return outbound() ~= before end)
    end)
end)

test("the peer initiates", function()
    peer.ctl("--terminate --ike t")
    lab:cli("left", "clear security ike security-associations")
    wait_until("the peer to bring the tunnel up", 40, function()
        local ike = lab:xml("left", "show security ike security-associations detail")
        if leaf(ike, "ike-sa-role") == "Responder" and leaf(ike, "ike-sa-state") == "UP" then
            return true
        end
        peer.ctl("--terminate --ike t")
        local r = peer.ctl("--initiate --child c")
        return false, r.out .. r.err
    end)
    wait_until("a ping through the tunnel", 20, tunnel_up)
end)

test("the log of the peer shows no error", function()
    local text = readfile(peer.dir .. "/charon.log")
    check(not text:find("integrity check failed", 1, true), "integrity check failed at the peer")
end)
