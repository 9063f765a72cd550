-- Wrong input: one sentence naming the object and the remedy, nothing left running.
local function refused(name, text, pattern)
    test(name, function()
        local file = vc.directory .. "/" .. name:gsub("%W", "-") .. ".yaml"
        writefile(file, text)
        local r = run({vc.program, "up", file, "--detach"}, 30)
        check(r.status ~= 0, "%s was accepted", name)
        matches(r.err, pattern)
        local _, lines = r.err:gsub("[^\n]+", "")
        equal(lines, 1, "sentences in: " .. r.err)
    end)
end

local head = "lab: broken\nnodes:\n  left: {chassis: SRX5800, cards: {cb0: SCB3, re0: RE3, "
refused("unknown card", head .. "0: SPC9}}\n", "SPC9")
refused("unknown chassis", "lab: broken\nnodes:\n  left: {chassis: SRX1, cards: {}}\n", "SRX1")
refused("occupied slot", head .. "0: SPC3, 0: SPC3}}\n", "0")
refused("slot that is not there", head .. "17: SPC3}}\n", "17")
refused("port that is not there", head .. "0: SPC3, 1: IOC3}}\nhosts:\n  a: {type: host, addresses: [10.0.0.1/24]}\n" ..
    "links:\n  - {name: x, ends: [\"left:xe-9/0/0\", a]}\n", "xe%-9/0/0")
refused("port in use", head .. "0: SPC3, 1: IOC3}}\nhosts:\n  a: {type: host, addresses: [10.0.0.1/24]}\n" ..
    "  b: {type: host, addresses: [10.0.0.2/24]}\nlinks:\n  - {name: x, ends: [\"left:xe-1/0/0\", a]}\n" ..
    "  - {name: y, ends: [\"left:xe-1/0/0\", b]}\n", "xe%-1/0/0")
refused("not YAML", "lab: [\n", "yaml:%d")

test("a lab file that is not there", function()
    local r = run({vc.program, "up", vc.directory .. "/none.yaml", "--detach"})
    check(r.status ~= 0, "accepted")
    matches(r.err, "none.yaml")
end)
