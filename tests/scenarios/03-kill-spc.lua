-- kill -9 of the services card under traffic: offline with a reason, restarted by policy, and the
-- tunnel comes back by rekey over the living IKE SA.
local lab = boot("site-to-site")

local function up()
    local r = lab:exec("alice", "ping -c 1 -W 1 10.2.2.10")
    return r.status == 0, r.out
end

local function spis()
    local all = {}
    for _, sa in ipairs(find_all(lab:xml("left", "show security ipsec security-associations"), "ipsec-security-associations")) do
        all[leaf(sa, "sa-direction")] = leaf(sa, "sa-spi")
    end
    return all
end

wait_until("the tunnel", 30, up)
local before = lab:xml("left", "show security ike security-associations")
local old = spis()
local background = lab:spawn("alice", "ping -i 0.05 10.2.2.10", "ping")

test("the slot goes offline with a reason", function()
    lab:kill("left", "fpc0")
    wait_until("an offline event in the node's log", 10, function()
        local r = lab:verb{"log", "left"}
        return r.out:find("FPC 0", 1, true) and r.out:lower():find("offline", 1, true), r.out:sub(-500)
    end)
end)

test("the card is restarted and the tunnel returns over the same IKE SA with new keys", function()
    wait_until("FPC 0 to be online again", 30, function()
        local text = lab:cli("left", "show chassis fpc pic-status")
        return text:find("Slot 0 +Online"), text
    end)
    wait_until("pings to cross again", 30, up)
    local after = lab:xml("left", "show security ike security-associations")
    equal(leaf(after, "ike-sa-initiator-cookie"), leaf(before, "ike-sa-initiator-cookie"), "IKE SA")
    equal(leaf(after, "ike-sa-responder-cookie"), leaf(before, "ike-sa-responder-cookie"), "IKE SA")
    local new = spis()
    check(new.outbound ~= old.outbound, "the outbound SA was re-installed")
    check(new.inbound ~= old.inbound, "the inbound SA was re-installed")
end)

test("ps shows what runs", function()
    for _, pid in ipairs(find_pids(lab:ps())) do
        check(readfile("/proc/" .. pid .. "/stat"), "ps shows pid %d, which does not exist", pid)
    end
end)
