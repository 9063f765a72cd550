-- Zones are real: default deny, host-inbound services, IKE refused where it is not allowed.
local lab = boot("zones")

test("what a policy permits passes, the rest is denied and counted", function()
    wait_until("permitted pings", 20, function()
        local r = lab:exec("alice", "ping -c 1 -W 1 10.3.3.10")
        return r.status == 0, r.out
    end)
    local r = lab:exec("mallory", "ping -c 2 -i 0.2 -W 1 10.1.1.10")
    check(r.status ~= 0, "a ping without a policy came through")
    wait_until("the denial to be counted", 5, function()
        return lab:counter("left", 0, "policy-default-deny") >= 2
    end)
end)

test("ping to the box needs host-inbound ping", function()
    equal(lab:exec("alice", "ping -c 1 -W 2 10.1.1.1").status, 0, "zone trust allows it")
    check(lab:exec("mallory", "ping -c 1 -W 1 10.4.4.1").status ~= 0, "zone untrust does not")
end)

test("IKE without host-inbound ike is dropped and counted", function()
    if not have("python3") then
        skip("python3 is not installed")
    end
    local before = lab:counter("left", 0, "host-inbound-denied-ike")
    lab:exec("mallory", {"python3", "-c", [[
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3): s.sendto(bytes(28), ('10.4.4.1', 500))
]]})
    wait_until("the drop to be counted", 5, function()
        return lab:counter("left", 0, "host-inbound-denied-ike") >= before + 3
    end)
end)

test("a first fragment of IKE is judged by its port, where only ping is let in", function()
    if not have("python3") then
        skip("python3 is not installed")
    end
    local before = lab:counter("left", 0, "host-inbound-denied-ike")
    equal(lab:exec("alice", {"python3", "-c", [[
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = struct.pack('>HHHH', 500, 500, 8 + 28, 0) + bytes(16)     # the rest would be in the next one
ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 9, 0x2000, 64, 17, 0,
                 socket.inet_aton('10.1.1.10'), socket.inet_aton('10.1.1.1'))
for i in range(3): s.sendto(ip + udp, ('10.1.1.1', 0))
]]}).status, 0)
    wait_until("the drop to be counted", 5, function()
        return lab:counter("left", 0, "host-inbound-denied-ike") >= before + 3
    end)
end)
