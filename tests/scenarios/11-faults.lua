-- Everything that can die or hang does so once while pings cross the tunnel; everything comes back, and
-- the shows agree with each other afterwards.
-- timeout: 300

-- ---------------------------------------------------------------- configurations that are refused

-- left.conf with one thing changed, on a box without hosts
local function changed(name, from, to)
    local data = vc.getenv("VCHASSIS_DATA") or vc.program:match("^(.*)/[^/]*$") .. "/../share/vchassis"
    local text = readfile(data .. "/labs/left.conf")
    local at = text:find(from, 1, true)
    check(at, "left.conf has no '%s'", from)
    local _, line = text:sub(1, at):gsub("\n", "")
    writefile(vc.directory .. "/" .. name .. ".conf", text:sub(1, at - 1) .. to .. text:sub(at + #from))
    writefile(vc.directory .. "/" .. name .. ".yaml", "lab: " .. name .. [[

options: {model-scale: 0}
nodes:
  left: {chassis: SRX5800, config: ]] .. name .. [[.conf, cards: {cb0: SCB3, re0: RE3, 0: SPC3, 1: IOC3}}
]])
    return boot(vc.directory .. "/" .. name .. ".yaml"), line + 1
end

local function refused(name, from, to, line_offset, words)
    test("a box boots although its configuration is refused: " .. name, function()
        local lab, line = changed(name, from, to)
        local commit = lab:cli("left", "show system commit")
        local log = lab:verb{"log", "left"}.out
        for _, text in ipairs{commit, log} do
            check(text:find(string.format("%s.conf:%d:", name, line + line_offset), 1, true),
                "no '%s.conf:%d:' in: %s", name, line + line_offset, text)
            for _, word in ipairs(words) do
                check(text:find(word, 1, true), "no '%s' in: %s", word, text)
            end
        end
        matches(lab:cli("left", "show chassis fpc pic-status"), "Slot 0 +Online")
        equal(lab:down(), 0)
    end)
end

-- the statement that is missing belongs into the gateway, which begins four lines above its place
refused("gateway-without-version", "            version v2-only;\n", "", -4,
    {"security ike gateway right", "version", "v2-only"})
refused("no-such-algorithm", "encryption-algorithm aes-256-gcm;\n            lifetime-seconds 28800",
    "encryption-algorithm rot13;\n            lifetime-seconds 28800", 0,
    {"security ike proposal ike-strong encryption-algorithm", "rot13", "aes-256-gcm", "aes-128-cbc"})
refused("no-such-statement", "host-name left;", "hostname left;", 0, {"system", "hostname", "host-name"})
refused("open-statement", "host-name left;\n}", "host-name left\n}", 1, {"syntax error"})

-- ---------------------------------------------------------------- things that die

local lab = boot("site-to-site")

local function up()
    local r = lab:exec("alice", "ping -c 1 -W 1 10.2.2.10")
    return r.status == 0, r.out
end

local pings = 0

-- Pings every 20 ms while fn runs and half a second longer: how many were lost, of how many.
local function lost_during(fn)
    pings = pings + 1
    local pid = lab:spawn("alice", "exec ping -i 0.02 -w 60 10.2.2.10", "pings-" .. pings)
    local file = string.format("%s/pings-%d.log", vc.directory, pings)
    local function answers()
        local got, last = {}, 0
        for n in (readfile(file) or ""):gmatch("icmp_seq=(%d+)") do
            last = tonumber(n)
            got[last] = true
        end
        return last, got
    end
    wait_until("pings to run", 20, function() return answers() > 5 end)
    fn()
    local at = answers()
    wait_until("pings to go on", 20, function() return answers() > at + 25 end)
    vc.kill(pid, 2)
    wait_until("the ping to end", 10, function() return vc.reap(pid) end)
    local last, got = answers()
    local lost = 0
    for n = 1, last do
        lost = lost + (got[n] and 0 or 1)
    end
    return lost, last
end

local function sas(node)
    local text = lab:try_cli(node, "show security ipsec security-associations | display xml")
    local spis = {}
    for _, sa in ipairs(text and find_all(parse_xml(text), "ipsec-security-associations") or {}) do
        spis[leaf(sa, "sa-direction")] = leaf(sa, "sa-spi")
    end
    return spis
end

local function cookies(node)
    local text = lab:try_cli(node, "show security ike security-associations | display xml")
    local all = {}
    for _, sa in ipairs(text and find_all(parse_xml(text), "ike-security-associations") or {}) do
        all[#all + 1] = leaf(sa, "ike-sa-state") .. leaf(sa, "ike-sa-initiator-cookie") .. leaf(sa, "ike-sa-responder-cookie")
    end
    return table.concat(all, " ")
end

-- Both ends say the same of the one tunnel, and every show answers.
local function agreed()
    wait_until("the two ends to agree", 20, function()
        local l, r = sas("left"), sas("right")
        return l.inbound and l.inbound == r.outbound and l.outbound == r.inbound and cookies("left") == cookies("right") and
            cookies("left"):match("^UP%x+$"), cookies("left") .. " / " .. cookies("right")
    end)
    local shows = {["show version"] = "Model: srx5800", ["show route"] = "10%.2%.2%.0/24 +%*%[Static/5%]",
        ["show interfaces terse"] = "xe%-1/0/1%.0 +up +up +inet +192%.0%.2%.1/24", ["show security zones"] = "trust",
        ["show chassis fpc pic-status"] = "Slot 0 +Online.*Slot 1 +Online", ["show system processes"] = "iked"}
    for command, pattern in pairs(shows) do
        wait_until(command, 10, function()
            local text, why = lab:try_cli("left", command)
            return text and text:find(pattern), text or why
        end)
    end
end

local function part(node, what)
    for _, n in ipairs(lab:ps().nodes) do
        for _, board in ipairs(n.name == node and n.boards or {}) do
            for _, p in ipairs({board, table.unpack(board.daemons or {})}) do
                if p.name == what then
                    return p
                end
            end
        end
    end
end

-- Kill it and wait until ps shows its successor.
local function kill(node, what, signal)
    local old = lab:pid_of(node, what)
    lab:kill(node, what, signal)
    wait_until("another " .. what, 30, function()
        local p = part(node, what)
        return p and p["host-pid"] > 0 and p["host-pid"] ~= old and (p.state == "running" or p.state == "online"), p and p.state
    end)
end

wait_until("the tunnel", 30, up)
agreed()

for _, daemon in ipairs{"mgd", "chassisd", "ifd", "nsd", "ikemd", "iked"} do
    test("kill of " .. daemon .. " loses no packet and changes no SA", function()
        local spis, ike = sas("left"), cookies("left")
        local lost, sent = lost_during(function()
            kill("left", daemon)
            agreed()
        end)
        equal(lost, 0, string.format("pings lost of %d", sent))
        equal(sas("left").inbound, spis.inbound, "inbound SPI")
        equal(sas("left").outbound, spis.outbound, "outbound SPI")
        equal(cookies("left"), ike, "the IKE SA")
        check(part("left", daemon).restarts >= 1, "ps does not show the restart")
    end)
end

test("kill of the Routing Engine: the cards go on, the tunnel is negotiated again", function()
    local ike = cookies("left")
    local cards = {lab:pid_of("left", "fpc0"), lab:pid_of("left", "fpc1")}
    local lost, sent = lost_during(function()
        kill("left", "re0")
        agreed()
    end)
    check(cookies("left") ~= ike, "the IKE SA outlived the board that held it")
    equal(lab:pid_of("left", "fpc0"), cards[1], "FPC 0")
    equal(lab:pid_of("left", "fpc1"), cards[2], "FPC 1")
    -- one negotiation's worth, not the board's boot (1.5 s here, 75 pings)
    note("%d of %d pings were lost", lost, sent)
    check(lost < 40, "%d of %d pings were lost", lost, sent)
end)

test("the peer's Routing Engine is lost: it comes back and the tunnel with it", function()
    kill("right", "re0")
    wait_until("the tunnel", 20, up)
    agreed()
end)

-- ---------------------------------------------------------------- things that hang

test("cards that hang are found unresponsive, restarted, and the tunnel returns", function()
    lab:kill("left", "fpc0", 19)
    lab:kill("right", "fpc1", 19)
    local seen = {}
    wait_until("both to be found", 20, function()
        for node, fpc in pairs{left = "FPC 0", right = "FPC 1"} do
            seen[node] = seen[node] or lab:verb{"log", node}.out:find(fpc .. " offline: ---Unresponsive---", 1, true)
        end
        return seen.left and seen.right
    end)
    wait_until("the tunnel", 30, up)
    agreed()
end)

test("a Routing Engine that hangs is restarted; traffic goes on until then", function()
    local old = lab:pid_of("left", "re0")
    local lost = lost_during(function()
        lab:kill("left", "re0", 19)
        wait_until("the end of it", 30, function()
            local p = part("left", "re0")
            return p and p["host-pid"] ~= old
        end)
    end)
    matches(lab:verb{"log", "left"}.out, "Routing Engine 0 offline: %-%-%-Unresponsive%-%-%-")
    check(lost < 40, "%d pings were lost", lost)
    wait_until("its successor", 20, function()
        local p = part("left", "re0")
        return p and p.state == "online" and p["host-pid"] ~= old
    end)
    wait_until("the tunnel", 20, up)
    agreed()
end)

-- ---------------------------------------------------------------- links

test("a link that flaps: interfaces follow, the tunnel stays the same", function()
    local spis, ike = sas("left"), cookies("left")
    for _ = 1, 4 do
        equal(lab:verb({"link", "middle", "down"}).status, 0)
        for _, node in ipairs{"left", "right"} do
            wait_until("the port to be down", 10, function()
                return lab:cli(node, "show interfaces terse"):find("xe%-1/0/1%.0 +up +down")
            end)
        end
        check(not up(), "a ping crossed an unplugged link")
        equal(lab:verb({"link", "middle", "up"}).status, 0)
        wait_until("the tunnel", 20, up)
    end
    agreed()
    equal(sas("left").inbound, spis.inbound, "inbound SPI")
    equal(cookies("left"), ike, "the IKE SA")
end)
