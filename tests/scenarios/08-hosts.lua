-- labd alone: hosts, commands in them, links between them, two labs side by side, and their ends.
local function lab_text(name)
    return "lab: " .. name .. "\nnodes: {}\nhosts:\n" ..
        "  a: {addresses: [10.5.0.1/24], routes: [{prefix: 10.6.0.0/16, via: 10.5.0.2}]}\n" ..
        "  b: {addresses: [10.5.0.2/24], gateway: 10.5.0.1}\n" ..
        "links:\n  - {name: cable, ends: [a, b]}\n"
end

local function file(name)
    local path = vc.directory .. "/" .. name .. ".yaml"
    writefile(path, lab_text(name))
    return path
end

local one = boot(file("one"))
local two = boot(file("two"))

test("hosts of a lab reach each other, those of two labs do not meet", function()
    equal(one:exec("a", "ping -c 1 -W 2 10.5.0.2").status, 0)
    equal(two:exec("b", "ping -c 1 -W 2 10.5.0.1").status, 0)
    local first, second = one:exec("a", "cat /sys/class/net/eth0/address; ip -o link show eth0").out,
        two:exec("a", "ip -o link show eth0").out
    check(first ~= second, "one interface in two labs: %s", first)
end)

test("addresses and routes are as the lab file says", function()
    matches(one:exec("a", "ip route").out, "10%.6%.0%.0/16 via 10%.5%.0%.2")
    matches(one:exec("b", "ip route").out, "default via 10%.5%.0%.1")
    equal(one:exec("a", "ip -6 addr").out, "", "IPv6 is off in a lab without it")
end)

test("exec hands on words, input, output and status", function()
    local r = one:exec("a", {"sh", "-c", "echo out; echo err >&2; exit 7"})
    equal(r.status, 7)
    equal(r.out, "out\n")
    equal(r.err, "err\n")
    equal(one:verb({"exec", "a", "--", "tr", "a", "b"}, 10, "banana").out, "bbnbnb")
    equal(one:exec("a", {"sh", "-c", "kill -KILL $$"}).status, 137)
    equal(one:exec("a", {"no-such-command"}).status, 125)
end)

test("background commands are seen, waited for and killed", function()
    local s = one:labd("spawn", {where = "a", argv = {"sleep", "600"}, name = "nap"})
    local seen
    for _, host in ipairs(one:labd("query-hosts")) do
        for _, command in ipairs(host.commands) do
            seen = seen or (command.name == "nap" and command.pid == s.pid)
        end
    end
    check(seen, "query-hosts does not show the command")
    one:labd("kill", {pid = s.pid, signal = "TERM"})
    equal(one:labd("wait", {pid = s.pid}).signal, 15)
    local _, why = one:try_labd("wait", {pid = s.pid})
    matches(why, "no background command")
end)

test("a lab that runs is neither started again nor wiped", function()
    local r = run({vc.program, "up", vc.directory .. "/one.yaml", "--detach"})
    equal(r.status, 1)
    matches(r.err, "running already")
    r = run({vc.program, "wipe", "one"})
    equal(r.status, 1)
    matches(r.err, "is running")
end)

test("with two labs one must be chosen", function()
    local r = run({vc.program, "exec", "a", "true"})
    equal(r.status, 125)
    matches(r.err, "one, two")
end)

test("nonsense on the monitor is refused and harms nothing", function()
    for _, line in ipairs{"{", "[]", "null", '{"execute":7}', '{"execute":"exec","arguments":[]}', '{"execute":"exec","fds":5}'} do
        local answer = vc.call(one.run .. "/labd.sock", line)
        matches(answer, '"error"')
    end
    equal(one:labd("query-lab").name, "one")
end)

test("an ordinary user has labs of the same name beside root's", function()
    local user = {"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}
    local function as_user(words)
        local all = {table.unpack(user)}
        for _, word in ipairs(words) do
            all[#all + 1] = word
        end
        return run(all, 30)
    end
    if run({"id", "-u"}).out ~= "0\n" or as_user({"test", "-x", vc.program}).status ~= 0 then
        skip("needs root and a program that others may execute")
    end
    if as_user({"unshare", "-U", "true"}).status ~= 0 then
        skip("this kernel refuses user namespaces to ordinary users")
    end
    local dir = run({"mktemp", "-d"}).out:gsub("%s+$", "")
    run({"chmod", "777", dir})
    writefile(dir .. "/one.yaml", lab_text("one"))
    local env = {"env", "HOME=" .. dir, "VCHASSIS_RUN_DIR=" .. dir .. "/run", "VCHASSIS_STATE_DIR=" .. dir .. "/state"}
    local function vchassis(...)
        local words = {table.unpack(env)}
        words[#words + 1] = vc.program
        for _, word in ipairs{...} do
            words[#words + 1] = word
        end
        return as_user(words)
    end
    local r = vchassis("up", dir .. "/one.yaml", "--detach")
    equal(r.status, 0, r.err)
    r = vchassis("exec", "a", "--", "ping", "-c", "1", "-W", "2", "10.5.0.2")
    equal(r.status, 0, r.out .. r.err)
    equal(vchassis("down").status, 0)
    equal(one:exec("a", "true").status, 0, "root's lab of that name")
    run({"rm", "-r", dir})
end)

test("labd's end takes everything with it, the other lab stays", function()
    local s = one:labd("spawn", {where = "b", argv = {"sleep", "600"}})
    local pids = find_pids(one:ps())
    check(#pids >= 3, "ps shows only %d processes", #pids)
    one:kill(nil, "labd")
    wait_until("the keeper's end", 5, function() return vc.reap(one.pid) end)
    one.pid = nil
    for _, pid in ipairs(pids) do
        wait_until("the end of process " .. pid, 5, function() return not readfile("/proc/" .. pid .. "/stat") end)
    end
    wait_until("the run directory to go", 5, function() return run({"test", "-e", one.run}).status == 1 end)
    equal(two:exec("a", "ping -c 1 -W 2 10.5.0.2").status, 0)
end)
