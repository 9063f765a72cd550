/*
 * script - one scenario file in its own process.
 *
 * Makes a Lua state with the standard library, a table `vc` of primitives (below), and the prelude,
 * then runs the file. Tests report through vc.result; each result is one line on the results pipe:
 * outcome TAB seconds TAB name TAB message (C-escaped). Primitives wait with poll and a deadline,
 * never longer than asked; SIGTERM makes the next one raise an error, so that a scenario that ran
 * out of time still takes down its labs.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "tests/runner/runner.h"

#define OUTPUT_MAX (16u << 20) /* of one command; more is cut */

static int results_pipe = -1;
static volatile sig_atomic_t ended;
static bool cleaning; /* the prelude takes labs down: interruptions no longer count */

static void on_term(int number)
{
    ended = number;
}

static void check_ended(lua_State *lua)
{
    if (ended && !cleaning) {
        luaL_error(lua, "interrupted: the time limit of the scenario is over");
    }
}

static char **argv_from(lua_State *lua, int at)
{
    lua_Unsigned n = lua_rawlen(lua, at);
    char **argv;

    luaL_argcheck(lua, n > 0, at, "a command is a table of words");
    argv = g_new0(char *, n + 1);
    for (lua_Unsigned i = 0; i < n; i++) {
        lua_rawgeti(lua, at, (lua_Integer)i + 1);
        argv[i] = g_strdup(luaL_tolstring(lua, -1, NULL));
        lua_pop(lua, 2);
    }
    return argv;
}

static pid_t start(char **argv, int in, int out, int err)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        signal(SIGTERM, SIG_DFL);
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execvp(argv[0], argv);
        dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

static bool drain(int fd, GString *into)
{
    char buffer[16384];
    ssize_t n = read(fd, buffer, sizeof buffer);

    if (n > 0 && into->len < OUTPUT_MAX) {
        g_string_append_len(into, buffer, n);
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* vc.run({words}, timeout_s, input) -> status, out, err; status 128 + n: signal, -1: timeout. */
static int l_run(lua_State *lua)
{
    double limit = luaL_optnumber(lua, 2, 60);
    size_t input_len = 0;
    const char *input = luaL_optlstring(lua, 3, "", &input_len);
    int64_t deadline = fw_clock_ns() + (int64_t)(limit * 1e9);
    int in[2], out[2], err[2];
    int status = 0;
    bool timed_out = false;

    check_ended(lua);
    g_auto(GStrv) argv = argv_from(lua, 1);
    g_autoptr(GString) out_text = g_string_new(NULL);
    g_autoptr(GString) err_text = g_string_new(NULL);

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        return luaL_error(lua, "pipe: %s", strerror(errno));
    }
    pid_t pid = start(argv, in[0], out[1], err[1]);

    close(in[0]);
    close(out[1]);
    close(err[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    bool open_out = true, open_err = true;

    while (open_out || open_err) {
        int64_t left = deadline - fw_clock_ns();
        struct pollfd fds[3] = {{open_out ? out[0] : -1, POLLIN, 0},
                                {open_err ? err[0] : -1, POLLIN, 0},
                                {in[1], POLLOUT, 0}};

        if (left <= 0 || (ended && !cleaning)) {
            timed_out = true;
            kill(pid, SIGKILL);
            break;
        }
        poll(fds, in[1] >= 0 ? 3 : 2, (int)(left / FW_MS > 100 ? 100 : left / FW_MS + 1));
        if (fds[0].revents) {
            open_out = drain(out[0], out_text);
        }
        if (fds[1].revents) {
            open_err = drain(err[0], err_text);
        }
        if (in[1] >= 0 && (input_len == 0 || fds[2].revents)) {
            ssize_t n = input_len ? write(in[1], input, input_len) : 0;

            input += n > 0 ? n : 0;
            input_len -= n > 0 ? (size_t)n : 0;
            if (input_len == 0 || (n < 0 && errno != EAGAIN)) {
                close(in[1]);
                in[1] = -1;
            }
        }
        /* A grandchild may keep the pipes: once the command itself ended, what is there is all. */
        if ((open_out || open_err) && waitpid(pid, &status, WNOHANG) == pid) {
            pid = 0;
            fcntl(out[0], F_SETFL, O_NONBLOCK);
            fcntl(err[0], F_SETFL, O_NONBLOCK);
            while (open_out && drain(out[0], out_text) && errno != EAGAIN) {
            }
            while (open_err && drain(err[0], err_text) && errno != EAGAIN) {
            }
            break;
        }
    }
    if (in[1] >= 0) {
        close(in[1]);
    }
    close(out[0]);
    close(err[0]);
    if (pid > 0) {
        waitpid(pid, &status, 0);
    }
    lua_pushinteger(lua, timed_out ? -1
                                   : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                                         : WEXITSTATUS(status));
    lua_pushlstring(lua, out_text->str, out_text->len);
    lua_pushlstring(lua, err_text->str, err_text->len);
    return 3;
}

/* vc.spawn({words}, file) -> pid; output goes to file. */
static int l_spawn(lua_State *lua)
{
    const char *file = luaL_checkstring(lua, 2);

    check_ended(lua);
    g_auto(GStrv) argv = argv_from(lua, 1);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (out < 0) {
        close(null);
        return luaL_error(lua, "%s: %s", file, strerror(errno));
    }
    lua_pushinteger(lua, start(argv, null, out, out));
    close(null);
    close(out);
    return 1;
}

/* vc.reap(pid) -> nil while it runs, else its status. */
static int l_reap(lua_State *lua)
{
    pid_t pid = (pid_t)luaL_checkinteger(lua, 1);
    int status;

    if (waitpid(pid, &status, WNOHANG) != pid) {
        return 0;
    }
    lua_pushinteger(lua, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    return 1;
}

/* vc.kill(pid, signal) -> true, or nil and why. Only host-side pids of this scenario's labs. */
static int l_kill(lua_State *lua)
{
    pid_t pid = (pid_t)luaL_checkinteger(lua, 1);
    int number = (int)luaL_optinteger(lua, 2, SIGTERM);

    luaL_argcheck(lua, pid > 1, 1, "not a process to kill");
    if (kill(pid, number) != 0) {
        lua_pushnil(lua);
        lua_pushstring(lua, strerror(errno));
        return 2;
    }
    lua_pushboolean(lua, true);
    return 1;
}

static int l_now(lua_State *lua)
{
    lua_pushnumber(lua, (double)fw_clock_ns() / 1e9);
    return 1;
}

/* vc.pause(seconds): between two looks at a condition (wait_until); at most one second. */
static int l_pause(lua_State *lua)
{
    double seconds = luaL_checknumber(lua, 1);

    check_ended(lua);
    poll(NULL, 0, (int)(CLAMP(seconds, 0, 1) * 1000));
    check_ended(lua);
    return 0;
}

static bool read_line(int fd, GString *rest, GString *line, int64_t deadline)
{
    for (;;) {
        char *end = memchr(rest->str, '\n', rest->len);
        char buffer[65536];
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline - fw_clock_ns();
        ssize_t n;

        if (end) {
            g_string_truncate(line, 0);
            g_string_append_len(line, rest->str, end - rest->str);
            g_string_erase(rest, 0, end - rest->str + 1);
            return true;
        }
        if (left <= 0 || poll(&p, 1, (int)(left / FW_MS) + 1) <= 0) {
            return false;
        }
        n = read(fd, buffer, sizeof buffer);
        if (n <= 0 || rest->len > OUTPUT_MAX) {
            return false;
        }
        g_string_append_len(rest, buffer, n);
    }
}

/* vc.call(socket, request, timeout_s) -> answer line of a JSON monitor, or nil and why.
 * Greeting and events that come before the answer are skipped. */
static int l_call(lua_State *lua)
{
    const char *path = luaL_checkstring(lua, 1);
    size_t n;
    const char *request = luaL_checklstring(lua, 2, &n);
    int64_t deadline = fw_clock_ns() + (int64_t)(luaL_optnumber(lua, 3, 20) * 1e9);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autoptr(GString) rest = g_string_new(NULL);
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree char *text = g_strdup_printf("%s\n", request);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool got = false;

    check_ended(lua);
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, text, n + 1, MSG_NOSIGNAL) == (ssize_t)n + 1) {
        while (!got && read_line(fd, rest, line, deadline)) {
            got = strstr(line->str, "\"return\"") || strstr(line->str, "\"error\"");
        }
    }
    int saved = errno;

    close(fd);
    if (!got) {
        lua_pushnil(lua);
        lua_pushfstring(lua, "%s: no answer (%s)", path, strerror(saved));
        return 2;
    }
    lua_pushlstring(lua, line->str, line->len);
    return 1;
}

/* vc.result(outcome, seconds, name, message) */
static int l_result(lua_State *lua)
{
    int outcome = (int)luaL_checkinteger(lua, 1);
    double seconds = luaL_checknumber(lua, 2);
    g_autofree char *name = g_strescape(luaL_checkstring(lua, 3), "\"'");
    g_autofree char *message = g_strescape(luaL_optstring(lua, 4, ""), "\"'");

    dprintf(results_pipe, "%d\t%.3f\t%s\t%s\n", outcome, seconds, name, message);
    return 0;
}

static int l_cleaning(lua_State *lua)
{
    (void)lua;
    cleaning = true;
    return 0;
}

static int l_getenv_own(lua_State *lua)
{
    lua_pushstring(lua, g_getenv(luaL_checkstring(lua, 1)));
    return 1;
}

static int l_setenv(lua_State *lua)
{
    g_setenv(luaL_checkstring(lua, 1), luaL_checkstring(lua, 2), TRUE);
    return 0;
}

static int l_traceback(lua_State *lua)
{
    /* An assertion of the prelude is a table {message=...}: it stays as it is. */
    if (lua_isstring(lua, 1)) {
        luaL_traceback(lua, lua, lua_tostring(lua, 1), 1);
    }
    return 1;
}

int runner_script(const char *file, const char *directory, uint64_t seed, int results_fd)
{
    static const luaL_Reg functions[] = {
        {"run", l_run},         {"spawn", l_spawn},       {"reap", l_reap},
        {"kill", l_kill},       {"now", l_now},           {"pause", l_pause},
        {"call", l_call},       {"result", l_result},     {"cleaning", l_cleaning},
        {"getenv", l_getenv_own}, {"setenv", l_setenv},   {"json_decode", runner_json_decode},
        {"json_encode", runner_json_encode}, {"traceback", l_traceback}, {NULL, NULL}};
    lua_State *lua = luaL_newstate();
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(file);
    struct sigaction term = {.sa_handler = on_term};
    int status;

    results_pipe = results_fd;
    sigaction(SIGTERM, &term, NULL);
    luaL_openlibs(lua);
    luaL_newlib(lua, functions);
    lua_pushstring(lua, self);
    lua_setfield(lua, -2, "program");
    lua_pushstring(lua, directory);
    lua_setfield(lua, -2, "directory");
    lua_pushstring(lua, folder);
    lua_setfield(lua, -2, "folder");
    lua_pushstring(lua, file);
    lua_setfield(lua, -2, "file");
    lua_pushinteger(lua, getpid());
    lua_setfield(lua, -2, "pid");
    lua_pushinteger(lua, (lua_Integer)seed);
    lua_setfield(lua, -2, "seed");
    lua_setglobal(lua, "vc");
    if (luaL_loadbuffer(lua, runner_prelude, strlen(runner_prelude), "=prelude") != LUA_OK ||
        lua_pcall(lua, 0, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(lua, -1));
        lua_close(lua);
        return RUNNER_INFRASTRUCTURE;
    }
    /* The prelude returns its main function: run(chunk or error) -> exit status. */
    if (luaL_loadfile(lua, file) != LUA_OK) {
        lua_pushnil(lua);
        lua_insert(lua, -2);
    } else {
        lua_pushnil(lua);
    }
    if (lua_pcall(lua, 2, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", luaL_tolstring(lua, -1, NULL));
        status = RUNNER_INFRASTRUCTURE;
    } else {
        status = (int)lua_tointeger(lua, -1);
    }
    lua_close(lua);
    return status;
}
