-- What no honest neighbour does: replayed and forged ESP, malformed packets, IKE junk and floods, and
-- boards that write nonsense into their outboxes. All of it is counted by reason and harms nothing.
-- timeout: 300
if not have("python3") then
    skip("python3 is not installed")
end

local lab = boot("hostile.yaml")
local hosts = vc.folder .. "/hosts/"

-- Tell the tampered wire between the boxes something.
local function tell(text)
    local r = lab:exec("wire", {"python3", "-c", [[
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(sys.argv[1].encode(), ("127.0.0.1", 9))
print(s.recv(100).decode(), end="")
]], text})
    equal(r.status, 0, r.err)
    return r.out
end

local function counters(slot)
    local all = {}
    for _, counter in ipairs(find_all(lab:xml("left", "show pfe statistics fpc " .. slot), "pfe-counter")) do
        all[leaf(counter, "name")] = tonumber(leaf(counter, "value"))
    end
    return setmetatable(all, {__index = function() return 0 end})
end

-- Of both services cards together.
local function services()
    local a, b = counters(0), counters(2)
    return setmetatable({}, {__index = function(_, name) return a[name] + b[name] end})
end

-- Wait until every counter has grown by exactly that much since `before`.
local function grown(look, before, expected)
    local now
    wait_until("the counters", 10, function()
        now = look()
        for name, n in pairs(expected) do
            if now[name] - before[name] < n then
                return nil, string.format("%s grew by %d, not %d", name, now[name] - before[name], n)
            end
        end
        return true
    end)
    for name, n in pairs(expected) do
        equal(now[name] - before[name], n, name)
    end
end

local function up()
    local r = lab:exec("alice", "ping -c 1 -W 1 10.2.2.10")
    return r.status == 0, r.out
end

-- Pings through the tunnel during what fn does; none may be lost.
local function undisturbed(fn)
    local log = string.format("pings-%d", math.tointeger(vc.now() * 1000 // 1))
    local pid = lab:spawn("alice", "exec ping -i 0.05 -w 60 10.2.2.10", log)
    local file = vc.directory .. "/" .. log .. ".log"
    local function seen()
        local last = 0
        for n in (readfile(file) or ""):gmatch("icmp_seq=(%d+)") do
            last = tonumber(n)
        end
        return last
    end
    wait_until("pings to run", 10, function() return seen() > 5 end)
    fn()
    local at = seen()
    wait_until("pings to go on", 10, function() return seen() >= at + 20, seen() end)
    vc.kill(pid, 2)
    wait_until("the ping to end", 10, function() return vc.reap(pid) end)
    local text = readfile(file)
    local got = {}
    for n in text:gmatch("icmp_seq=(%d+)") do
        got[tonumber(n)] = true
    end
    for n = 1, at + 20 do
        check(got[n], "ping %d of %d was lost", n, at + 20)
    end
    check(not text:find("DUP!", 1, true), "a ping was answered twice")
end

local function location()
    local text = lab:cli("left", "show security ipsec security-associations detail")
    return tonumber(matches(text, "Location: FPC (%d+)")), matches(text, "inbound, SPI: (0x%x+)")
end

local function ike()
    local all = {}
    for _, sa in ipairs(find_all(lab:xml("left", "show security ike security-associations"), "ike-security-associations")) do
        if leaf(sa, "ike-sa-state") == "UP" then
            all[#all + 1] = leaf(sa, "ike-sa-initiator-cookie")
        end
    end
    return table.concat(all, " ")
end

local function processes()
    local all = {}
    for _, node in ipairs(lab:ps().nodes) do
        for _, board in ipairs(node.boards) do
            for _, part in ipairs({board, table.unpack(board.daemons or {})}) do
                if part["host-pid"] > 0 then
                    local status = readfile("/proc/" .. part["host-pid"] .. "/status") or ""
                    all[node.name .. " " .. part.name] = {pid = part["host-pid"],
                        kib = tonumber(status:match("VmRSS:%s+(%d+)")) or 0}
                end
            end
        end
    end
    return all
end

local wire = lab:spawn("wire", {"python3", hosts .. "wire.py", "eth0", "eth1"}, "wire")
wait_until("the tunnel", 30, up)
wait_until("one IKE SA", 10, function() return ike():match("^%x+$"), ike() end)
local started = processes()
local anchor, spi = location()

test("an ESP frame sent again is counted as a replay and not delivered", function()
    undisturbed(function()
        tell("wait eth0")
        -- the wire carries pings, so a frame replayed at once may be the newest: it is a replay all the same
        local before = counters(anchor)
        equal(tell("replay eth0 20"), "20")
        grown(function() return counters(anchor) end, before, {["replay-errors"] = 20})
    end)
end)

test("ESP with a changed bit fails authentication and does not move the window", function()
    undisturbed(function()
        local before = counters(anchor)
        equal(tell("flip eth0 20"), "20")
        grown(function() return counters(anchor) end, before,
            {["esp-authentication-failures"] = 20, ["replay-errors"] = 0})
    end)
end)

test("ESP cut at every length is counted", function()
    local card, port = counters(anchor), counters(1)
    local sent = tonumber(tell("cut eth0"))
    check(sent > 100, "only %d frames", sent)
    wait_until("every frame to be counted", 10, function()
        local c, p = counters(anchor), counters(1)
        local n = p["esp-short"] - port["esp-short"]
        for _, name in ipairs{"bad-headers", "replay-errors", "esp-authentication-failures"} do
            n = n + c[name] - card[name]
        end
        return n == sent, n
    end)
    check(up())
end)

local function mallory(what, seed)
    local r = lab:exec("mallory", {"python3", hosts .. "mallory.py", "10.4.4.1", "192.0.2.1", "192.0.2.2", "10.5.5.10", spi, what, tostring(seed or vc.seed)}, 30)
    equal(r.status, 0, r.err)
    return r.out
end

test("malformed packets are counted by reason", function()
    undisturbed(function()
        local port, cards = counters(3), services()
        mallory("packets")
        grown(function() return counters(3) end, port, {
            ["ip4-header-malformed"] = 29, ["ip4-length"] = 5, ["ip4-checksum"] = 2, ["ip4-source-invalid"] = 4,
            ["ip-ttl-zero"] = 3, ["l4-short"] = 24, ["l2-not-for-us"] = 2, ["l2-vlan-tagged"] = 2,
            ["l2-broadcast-ip"] = 2, ["ip-multicast"] = 2, ["ip6-header-malformed"] = 15, ["esp-short"] = 14,
            ["esp-anchor-unknown"] = 11, ["nat-keepalive"] = 4, ["ip-fragment-to-central-point"] = 8,
        })
        grown(services, cards, {
            ["esp-authentication-failures"] = 10, ["invalid-spi-errors"] = 10, ["esp-encapsulation-mismatch"] = 5,
            ["ttl-exceeded"] = 3, ["host-inbound-denied"] = 3,
        })
    end)
end)

-- Received IKE messages by what became of them.
local function messages()
    local all = {sum = 0}
    for _, counter in ipairs(find_all(lab:xml("left", "show security ike message-statistics"), "ike-message-counter")) do
        all[leaf(counter, "name")] = tonumber(leaf(counter, "value"))
        all.sum = all.sum + tonumber(leaf(counter, "value"))
    end
    return all
end

test("IKE junk and floods of half-open SAs are counted by reason and harm nothing", function()
    local before, counted = ike(), messages()
    local first
    undisturbed(function()
        mallory("floods", vc.seed)
        first = processes()
        mallory("floods", vc.seed + 1)
        mallory("floods", vc.seed + 2)
    end)
    equal(ike(), before, "the IKE SA")
    local after = messages()
    for _, name in ipairs{"short", "version", "unknown-sa", "state", "syntax", "critical", "no-gateway", "cookie"} do
        check(after[name] > counted[name], "no message was counted as %s", name)
    end
    local _, now = location()
    equal(now, spi, "the SPI")
    for name, process in pairs(processes()) do
        equal(process.pid, started[name].pid, name .. " was restarted: process")
        check(process.kib < first[name].kib + 4096, "%s grew from %d to %d KiB", name, first[name].kib, process.kib)
    end
end)

test("the peer still gets in while the flood's SAs are half open", function()
    local before = ike()
    lab:cli("right", "clear security ike security-associations")
    wait_until("another IKE SA", 20, function()
        local now = ike()
        return now ~= before and now ~= "", now
    end)
    wait_until("the tunnel", 20, up)
end)

local function offline(slot)
    for _, s in ipairs(lab:ctl("left", "query-slots")) do
        if s.slot == slot then
            return s.state == "offline" and s, s.state
        end
    end
end

local function corrupt(slot)
    lab:ctl("left", "fabric-corrupt", {slot = slot})
    local s
    wait_until("FPC " .. slot .. " to be offline", 15, function()
        s = offline(slot)
        return s
    end)
    matches(s["reason-text"], "nonsense in outbox")
    matches(lab:cli("left", "show chassis fpc pic-status"), "Slot " .. slot .. " +Offline")
end

local function bring_back(slot)
    check(offline(slot), "FPC %d was restarted", slot)
    lab:ctl("left", "slot-online", {slot = slot})
    wait_until("FPC " .. slot .. " online", 15, function()
        return lab:cli("left", "show chassis fpc pic-status"):find("Slot " .. slot .. " +Online")
    end)
end

test("an I/O card with nonsense in its outbox goes offline, nobody else notices", function()
    undisturbed(function() corrupt(3) end)
    check(lab:exec("mallory", "ping -c 1 -W 1 10.4.4.1").status ~= 0, "the card's ports still work")
    bring_back(3)
    wait_until("mallory's port", 10, function() return lab:exec("mallory", "ping -c 1 -W 1 10.4.4.1").status == 0 end)
end)

test("nonsense in the Routing Engine's outbox costs its ifd only", function()
    local ifd = lab:pid_of("left", "ifd")
    undisturbed(function()
        lab:ctl("left", "fabric-corrupt", {slot = 0xf0})
        mallory("packets")      -- something for the cards to punt
        wait_until("another ifd", 15, function()
            local now = processes()["left ifd"]
            return now and now.pid ~= ifd
        end)
    end)
    started["left ifd"] = processes()["left ifd"]
    -- through the new outbox: the kernel's ARP and echo answers, and IKE
    wait_until("the box to answer a ping", 10, function() return lab:exec("mallory", "ping -c 1 -W 1 10.4.4.1").status == 0 end)
    local before = ike()
    lab:cli("left", "clear security ike security-associations")
    wait_until("another IKE SA", 20, function()
        local now = ike()
        return now ~= before and now ~= "", now
    end)
    wait_until("the tunnel", 20, up)
end)

test("a services card with nonsense in its outbox: the tunnel stays where it is or moves, and returns", function()
    local before = ike()
    for _, slot in ipairs{0, 2} do
        corrupt(slot)
        wait_until("the tunnel without FPC " .. slot, 20, up)
        check(location() ~= slot, "the tunnel is said to be at FPC %d, which is offline", slot)
        equal(ike(), before, "the IKE SA")
        bring_back(slot)
    end
    wait_until("the tunnel in the end", 20, up)
end)

test("no process but those of the three boards was restarted", function()
    for name, process in pairs(processes()) do
        if not name:match("^left fpc[023]$") then
            equal(process.pid, started[name].pid, name .. " was restarted: process")
        end
    end
end)
