-- A lab boots, tells the truth about itself, and leaves nothing behind.
local lab = boot("site-to-site")

test("every configured card is online", function()
    local text = lab:cli("left", "show chassis fpc pic-status")
    matches(text, "Slot 0 +Online +SPC3")
    matches(text, "PIC 0 +Online +SPU Cp%-Flow")
    matches(text, "PIC 1 +Online +SPU Flow")
    matches(text, "Slot 1 +Online")
end)

test("show version names the model and the ike package", function()
    local text = lab:cli("right", "show version")
    matches(text, "Hostname: right")
    matches(text, "Model: srx5800")
    matches(text, "JUNOS ike %[")
end)

test("the monitor answers", function()
    local chassis = lab:ctl("left", "query-chassis")
    equal(chassis.node, "left")
    equal(chassis.slots, 12)
end)

test("a host pings the chassis' own address", function()
    local r = lab:exec("alice", "ping -c 3 -i 0.2 -W 2 10.1.1.1")
    equal(r.status, 0, r.out .. r.err)
end)

test("unknown things are refused with one sentence", function()
    local r = lab:verb{"exec", "nobody", "--", "true"}
    check(r.status ~= 0, "exec in an unknown host succeeded")
    matches(r.err, "nobody")
    local text, why = lab:try_cli("left", "show nonsense")
    check(not text, "show nonsense was accepted")
    matches(why, "syntax error")
end)

test("down leaves no process and no file but the disks", function()
    local pids = {}
    for _, process in ipairs(find_pids(lab:ps())) do
        pids[#pids + 1] = process
    end
    check(#pids >= 10, "ps shows only %d processes", #pids)
    equal(lab:down(), 0, "exit status of up after SIGTERM")
    for _, pid in ipairs(pids) do
        wait_until("the end of process " .. pid, 5, function() return not readfile("/proc/" .. pid .. "/stat") end)
    end
    equal(run({"test", "-e", lab.run}).status, 1, "the run directory is still there")
    check(readfile(vc.getenv("VCHASSIS_STATE_DIR") .. "/site-to-site/left/config/active.conf"), "the disk is gone")
end)
