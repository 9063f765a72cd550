-- Two chassis negotiate IKEv2 and carry pings in ESP.
local lab = boot("site-to-site")

wait_until("both ends to show the tunnel", 30, function()
    local l = lab:cli("left", "show security ipsec security-associations")
    local r = lab:cli("right", "show security ipsec security-associations")
    return l:find("Total active tunnels: 1", 1, true) and r:find("Total active tunnels: 1", 1, true)
end)

test("pings cross the tunnel", function()
    local r = lab:exec("alice", "ping -c 5 -i 0.2 -W 2 10.2.2.10")
    matches(r.out, "5 packets transmitted, 5 received", r.err)
end)

test("the shows agree with each other and with the traffic", function()
    local ike = lab:xml("left", "show security ike security-associations")
    equal(leaf(ike, "ike-sa-state"), "UP")
    equal(leaf(ike, "ike-sa-exchange-type"), "IKEv2")
    local sas = lab:xml("left", "show security ipsec security-associations")
    local far = lab:xml("right", "show security ipsec security-associations")
    local spis = {}
    for _, sa in ipairs(find_all(sas, "ipsec-security-associations")) do
        spis[leaf(sa, "sa-direction")] = leaf(sa, "sa-spi")
    end
    for _, sa in ipairs(find_all(far, "ipsec-security-associations")) do
        local mine = leaf(sa, "sa-direction") == "inbound" and "outbound" or "inbound"
        equal(spis[mine], leaf(sa, "sa-spi"), "SPI of left " .. mine)
    end
    local detail = lab:cli("left", "show security ipsec security-associations detail")
    matches(detail, "Location: FPC 0, PIC %d")
    matches(detail, "Anchorship: Thread %d+")
    local stats = lab:xml("left", "show security ipsec statistics")
    check(tonumber(leaf(stats, "esp-encrypted-packets")) >= 5, "fewer than 5 packets encrypted")
    check(tonumber(leaf(stats, "esp-decrypted-packets")) >= 5, "fewer than 5 packets decrypted")
end)

test("the middle link carries ARP, ND, IKE and ESP only", function()
    if not have("tshark") then
        skip("tshark is not installed")
    end
    local file = vc.directory .. "/middle.pcapng"
    local pid = vc.spawn({vc.program, "capture", "--lab", lab.name, "left", "xe-1/0/1", file}, vc.directory .. "/capture.log")
    wait_until("the capture to begin", 10, function() return #(readfile(file) or "") > 0 end)
    local r = lab:exec("alice", "ping -c 5 -i 0.1 -W 2 10.2.2.10")
    equal(r.status, 0, r.out)
    vc.kill(pid, 2)
    wait_until("the capture to end", 10, function() return vc.reap(pid) end)
    local frames = run({"tshark", "-r", file, "-T", "fields", "-e", "frame.protocols"})
    equal(frames.status, 0, frames.err)
    local esp = 0
    for line in frames.out:gmatch("[^\n]+") do
        if line:find(":esp", 1, true) then
            esp = esp + 1
        else
            check(line:find(":arp", 1, true) or line:find(":icmpv6", 1, true) or line:find(":isakmp", 1, true),
                "a frame in the clear: %s", line)
        end
    end
    check(esp >= 10, "only %d ESP frames", esp)
end)

test("large TCP transfers cross the tunnel", function()
    if not have("python3") then
        skip("python3 is not installed")
    end
    lab:spawn("bob", {"python3", "-c", [[
import socket
s = socket.socket(); s.bind(('10.2.2.10', 5001)); s.listen(1)
c, _ = s.accept(); n = 0
while True:
    d = c.recv(65536)
    if not d: break
    n += len(d)
print(n, flush=True)
]]}, "sink")
    local r
    wait_until("the transfer", 30, function()
        r = lab:exec("alice", {"python3", "-c", [[
import socket
s = socket.create_connection(('10.2.2.10', 5001), 5)
s.sendall(b'x' * 3000000); s.close()
]]}, 30)
        return r.status == 0, r.err
    end)
    wait_until("all bytes at the far end", 10, function()
        return (readfile(vc.directory .. "/sink.log") or ""):find("3000000", 1, true)
    end)
end)
