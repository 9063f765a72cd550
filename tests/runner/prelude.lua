-- prelude - what a scenario calls. See docs/guide/scenarios.md.
--
--   local lab = boot("site-to-site")            a lab of the catalogue of labs, or a path beside the script
--   lab:cli("left", "show route")               text (fails the test when the command fails)
--   lab:xml("left", "show route")               the same as parsed XML: {name=, text=, [1..n]=children}
--   lab:exec("alice", "ping -c 1 10.2.2.10")    -> {status=, out=, err=}
--   lab:spawn("peer", "command", "log")         background command in a host
--   lab:ctl("left", "query-boards", {})         monitor command of a node
--   lab:labd("query-lab", {})                   command of labd
--   lab:kill("left", "fpc0")                    SIGKILL to a board, daemon, or "hwd"
--   wait_until("what", seconds, function() return condition end)
--   check(condition, message)  equal(got, want, message)  matches(text, pattern, message)
--   skip(reason)  test(name, function)  note(text)

local PASSED, FAILED, NOTHING, INFRA, TIMEOUT, SKIPPED = 0, 1, 2, 3, 4, 77
local labs, results, env = {}, {}, _G
local Lab = {}
Lab.__index = Lab

local function fail(kind, format, ...)
    local text = select("#", ...) > 0 and string.format(format, ...) or format
    local where = ""
    for level = 3, 8 do
        local info = debug.getinfo(level, "Sl")
        if info and info.source:sub(1, 1) == "@" then
            where = info.short_src .. ":" .. info.currentline .. ": "
            break
        end
    end
    error({kind = kind, message = where .. text}, 0)
end

function note(format, ...)
    print(string.format("%9.3f  ", vc.now() - env.started_at) .. (select("#", ...) > 0 and string.format(format, ...) or format))
end

function check(condition, message, ...)
    if not condition then
        fail(FAILED, message or "check failed", ...)
    end
    return condition
end

function equal(got, want, message)
    if got ~= want then
        fail(FAILED, "%s: got %s, want %s", message or "not equal", tostring(got), tostring(want))
    end
end

function matches(text, pattern, message)
    local found = tostring(text):match(pattern)
    if not found then
        fail(FAILED, "%s: no match for '%s' in:\n%s", message or "text differs", pattern, tostring(text):sub(1, 2000))
    end
    return found
end

function skip(reason)
    error({kind = SKIPPED, message = reason}, 0)
end

-- Look at a condition until it holds; its value is returned. A condition may return nil and why not.
function wait_until(what, seconds, condition)
    local deadline = vc.now() + seconds
    local pause = 0.01
    local why
    while true do
        local value
        value, why = condition()
        if value then
            return value
        end
        if vc.now() > deadline then
            fail(FAILED, "waited %g s for %s%s", seconds, what, why and (": " .. tostring(why)) or "")
        end
        vc.pause(pause)
        pause = math.min(pause * 1.5, 0.25)
    end
end

function run(words, timeout, input)
    if type(words) == "string" then
        words = {"sh", "-c", words}
    end
    local status, out, err = vc.run(words, timeout, input)
    return {status = status, out = out, err = err}
end

function have(program)
    return run({"sh", "-c", "command -v " .. program}).status == 0
end

function readfile(path)
    local f = io.open(path, "rb")
    if not f then
        return nil
    end
    local text = f:read("a")
    f:close()
    return text
end

function writefile(path, text)
    local f = assert(io.open(path, "wb"))
    f:write(text)
    f:close()
end

-- ---------------------------------------------------------------- labs

local function lab_path(name)
    if name:match("/") or name:match("%.yaml$") then
        local beside = vc.folder .. "/" .. name
        return readfile(beside) and beside or name
    end
    local bin = vc.program:match("^(.*)/[^/]*$")
    local data = vc.getenv("VCHASSIS_DATA") or (bin .. "/../share/vchassis")
    return data .. "/labs/" .. name .. ".yaml"
end

-- Boot a lab and wait until every configured card is online. options: timeout, seed, wait = false
function boot(name, options)
    options = options or {}
    local path = lab_path(name)
    local text = readfile(path)
    if not text then
        fail(INFRA, "%s: no such lab file", path)
    end
    local lab = setmetatable({}, Lab)
    lab.name = text:match("\nlab: *([%w_.-]+)") or text:match("^lab: *([%w_.-]+)")
    lab.log = string.format("%s/up-%d.log", vc.directory, #labs + 1)
    local words = {vc.program, "up", path}
    for _, word in ipairs(options.words or {}) do
        words[#words + 1] = word
    end
    lab.pid = vc.spawn(words, lab.log)
    lab.run = vc.getenv("VCHASSIS_RUN_DIR") .. "/" .. lab.name
    labs[#labs + 1] = lab
    local deadline = vc.now() + (options.timeout or 60)
    while options.wait ~= false do
        local status = vc.reap(lab.pid)
        if status then
            lab.pid = nil
            fail(INFRA, "%s did not boot (status %d): %s", name, status, readfile(lab.log) or "")
        end
        if lab:online() then
            break
        end
        if vc.now() > deadline then
            fail(INFRA, "%s was not online after %g s: %s", name, options.timeout or 60, (readfile(lab.log) or ""):sub(-1500))
        end
        vc.pause(0.02)
    end
    return lab
end

-- True once labd says that every node is up.
function Lab:online()
    local answer = self:try_labd("query-lab")
    return answer and answer.state == "online"
end

function Lab:try_labd(command, arguments)
    local line, why = vc.call(self.run .. "/labd.sock", vc.json_encode({execute = command, arguments = arguments}))
    if not line then
        return nil, why
    end
    local answer = vc.json_decode(line)
    if answer.error then
        return nil, answer.error.desc or line
    end
    return answer["return"]
end

function Lab:labd(command, arguments)
    local answer, why = self:try_labd(command, arguments)
    return answer or fail(FAILED, "labd %s: %s", command, tostring(why))
end

function Lab:try_ctl(node, command, arguments)
    local line, why = vc.call(self.run .. "/" .. node .. "/monitor.sock", vc.json_encode({execute = command, arguments = arguments}))
    if not line then
        return nil, why
    end
    local answer = vc.json_decode(line)
    if answer.error then
        return nil, answer.error.desc or line
    end
    return answer["return"]
end

function Lab:ctl(node, command, arguments)
    local answer, why = self:try_ctl(node, command, arguments)
    return answer or fail(FAILED, "%s %s: %s", node, command, tostring(why))
end

-- A verb of vchassis on this lab, for instance lab:verb{"ps", "--json"}
function Lab:verb(words, timeout, input)
    local all = {vc.program, words[1], "--lab", self.name}
    for i = 2, #words do
        all[#all + 1] = words[i]
    end
    return run(all, timeout, input)
end

function Lab:try_cli(node, command, timeout)
    local r = self:verb({"cli", node, command}, timeout)
    if r.status ~= 0 then
        return nil, (r.err .. r.out)
    end
    return r.out
end

function Lab:cli(node, command, timeout)
    local text, why = self:try_cli(node, command, timeout)
    return text or fail(FAILED, "%s> %s: %s", node, command, why)
end

function Lab:exec(host, command, timeout)
    local words = type(command) == "table" and command or {"sh", "-c", command}
    local all = {"exec", "--no-terminal", host, "--"}
    for _, word in ipairs(words) do
        all[#all + 1] = word
    end
    return self:verb(all, timeout)
end

-- A background command in a host; its output goes to artifacts/LOG.log. Ended with the lab.
function Lab:spawn(host, command, log)
    local words = {vc.program, "exec", "--lab", self.name, "--no-terminal", host, "--"}
    for _, word in ipairs(type(command) == "table" and command or {"sh", "-c", command}) do
        words[#words + 1] = word
    end
    local pid = vc.spawn(words, string.format("%s/%s.log", vc.directory, log or host))
    self.children = self.children or {}
    table.insert(self.children, pid)
    return pid
end

function Lab:ps()
    local r = self:verb({"ps", "--json"})
    check(r.status == 0, "ps --json: %s", r.err)
    return vc.json_decode(r.out)
end

-- All host-side pids below a part of what ps says.
function find_pids(part, into)
    into = into or {}
    for key, value in pairs(part) do
        if (key == "host-pid" or key == "labd-pid" or key == "keeper-pid") and value > 0 then
            into[#into + 1] = value
        elseif type(value) == "table" then
            find_pids(value, into)
        end
    end
    return into
end

-- Host-side pid of "fpcN", a daemon, "re", "hwd", or (node nil) "labd" or "keeper".
function Lab:pid_of(node, what)
    local all = self:ps()
    if not node then
        return all[what .. "-pid"] or fail(FAILED, "ps shows no %s", what)
    end
    for _, n in ipairs(all.nodes) do
        if n.name == node then
            if what == "hwd" then
                return n["host-pid"]
            end
            for _, board in ipairs(n.boards or {}) do
                if board.name == what then
                    return board["host-pid"]
                end
                for _, daemon in ipairs(board.daemons or {}) do
                    if daemon.name == what then
                        return daemon["host-pid"]
                    end
                end
            end
        end
    end
    fail(FAILED, "ps shows no %s on %s", what, node)
end

function Lab:kill(node, what, signal)
    local pid = self:pid_of(node, what)
    check(pid and pid > 1, "%s of %s does not run", what, tostring(node))
    local ok, why = vc.kill(pid, signal or 9)
    check(ok, "kill %s of %s: %s", what, tostring(node), tostring(why))
end

function Lab:traffic_start(host, flow)
    flow.host = host
    return self:labd("traffic-start", flow)
end

-- The report of a flow at a traffic host, or nil when it has not seen it.
function Lab:flow(host, name)
    for _, flow in ipairs(self:labd("traffic-query", {host = host}).flows or {}) do
        if flow.flow == name then
            return flow
        end
    end
end

-- A counter of a board, 0 when it has not counted yet.
function Lab:counter(node, slot, name)
    for _, counter in ipairs(find_all(self:xml(node, "show pfe statistics fpc " .. slot), "pfe-counter")) do
        if leaf(counter, "name") == name then
            return tonumber(leaf(counter, "value"))
        end
    end
    return 0
end

function Lab:down()
    for _, pid in ipairs(self.children or {}) do
        vc.kill(pid, 15)
    end
    if self.pid then
        vc.kill(self.pid, 15)
        local deadline = vc.now() + 20
        while true do
            local status = vc.reap(self.pid)
            if status then
                self.pid = nil
                return status
            end
            if vc.now() > deadline then
                vc.kill(self.pid, 9)
            end
            vc.pause(0.02)
        end
    end
end

-- ---------------------------------------------------------------- XML

local entities = {lt = "<", gt = ">", amp = "&", quot = '"', apos = "'"}

local function unescape(text)
    return (text:gsub("&(#?%w+);", function(e)
        local n = e:match("^#(%d+)$")
        return n and utf8.char(tonumber(n)) or entities[e]
    end))
end

-- {name=, attributes=, text=, children...}
function parse_xml(text)
    local root = {name = "", text = ""}
    local stack = {root}
    local at = 1
    while true do
        local from, to, close, name, rest, empty = text:find("<(/?)([%w_.:-]+)(.-)(/?)>", at)
        if not from then
            break
        end
        local top = stack[#stack]
        top.text = top.text .. unescape(text:sub(at, from - 1))
        if close == "/" then
            table.remove(stack)
        else
            local node = {name = name, text = "", attributes = rest}
            top[#top + 1] = node
            if empty ~= "/" then
                stack[#stack + 1] = node
            end
        end
        at = to + 1
    end
    return root[1] or root
end

-- All elements of that name below node, in order.
function find_all(node, name, into)
    into = into or {}
    for _, child in ipairs(node) do
        if child.name == name then
            into[#into + 1] = child
        end
        find_all(child, name, into)
    end
    return into
end

-- The text of the first element of that name below node, without blanks around it; nil when none.
function leaf(node, name)
    local found = find_all(node, name)[1]
    return found and found.text:match("^%s*(.-)%s*$")
end

function Lab:xml(node, command)
    return parse_xml(self:cli(node, command .. " | display xml"))
end

-- ---------------------------------------------------------------- tests

local function report(kind, name, seconds, message)
    results[#results + 1] = kind
    vc.result(kind, seconds, name, message)
end

local function attempt(name, fn)
    local started = vc.now()
    local ok, problem = xpcall(fn, vc.traceback)
    local seconds = vc.now() - started
    if ok then
        report(PASSED, name, seconds)
    elseif type(problem) == "table" then
        print("FAILED " .. name .. ": " .. problem.message)
        report(problem.kind, name, seconds, problem.message)
    else
        print("FAILED " .. name .. ": " .. tostring(problem))
        report(tostring(problem):find("interrupted: the time limit", 1, true) and TIMEOUT or FAILED, name, seconds, tostring(problem))
    end
    return ok
end

function test(name, fn)
    note("test %s", name)
    return attempt(name, fn)
end

return function(chunk, problem)
    env.started_at = vc.now()
    vc.setenv("VCHASSIS_RUN_DIR", vc.getenv("VCHASSIS_TEST_RUN") or (os.getenv("TMPDIR") or "/tmp") .. "/vct-" .. vc.pid)
    vc.setenv("VCHASSIS_STATE_DIR", vc.directory .. "/state")
    vc.setenv("VCHASSIS_SEED", tostring(vc.seed))
    if not chunk then
        print(problem)
        report(INFRA, vc.file, 0, problem)
        return INFRA
    end
    local ok, why = xpcall(chunk, vc.traceback)
    vc.cleaning()
    for _, lab in ipairs(labs) do
        lab:down()
    end
    os.remove(vc.getenv("VCHASSIS_RUN_DIR"))
    if not ok then
        local name = vc.file:match("([^/]*)%.lua$") or vc.file
        local kind = type(why) == "table" and why.kind or (tostring(why):find("interrupted: the time limit", 1, true) and TIMEOUT or FAILED)
        print("FAILED " .. name .. ": " .. (type(why) == "table" and why.message or tostring(why)))
        report(kind, name, vc.now() - env.started_at, type(why) == "table" and why.message or tostring(why))
    elseif #results == 0 then
        report(PASSED, vc.file:match("([^/]*)%.lua$") or vc.file, vc.now() - env.started_at)
    end
    local worst = SKIPPED
    for _, kind in ipairs(results) do
        if kind ~= PASSED and kind ~= SKIPPED then
            return kind
        end
        if kind == PASSED then
            worst = PASSED
        end
    end
    return worst
end
