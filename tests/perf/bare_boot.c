/*
 * bare_boot - a process with a card's libraries that does nothing but shake hands.
 *
 *   bare-boot COUNT    spawns that many children of itself, exchanges one message with each and
 *                      prints the CPU seconds all have used until then (not what their end costs).
 *
 * The yardstick of the bench row boot-5800-full: the least that booting as many boards can cost.
 * It is linked with the same libraries as a services card.
 */
#include <glib.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

static int child(void)
{
    char word[16];
    /* Touch the libraries so that they are loaded and relocated as in a card. */
    GMainContext *context = g_main_context_default();
    unsigned long version = OpenSSL_version_num();
#ifdef HAVE_IPSEC_MB
    version ^= imb_get_version();
#endif
#ifdef HAVE_SECCOMP
    version ^= seccomp_api_get();
#endif

    if (read(3, word, sizeof word) <= 0 || !context || !version) {
        return 1;
    }
    if (write(3, "ready", 5) != 5) {
        return 1;
    }
    return read(3, word, sizeof word) == 0 ? 0 : 1;
}

/* Seconds a process of one thread has been on a processor. */
static double used(pid_t pid)
{
    char path[64], text[64] = "";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    f = fopen(path, "r");
    if (!f || !fgets(text, sizeof text, f)) {
        fprintf(stderr, "bare-boot: %s cannot be read\n", path);
        exit(1);
    }
    fclose(f);
    return strtod(text, NULL) / 1e9;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 13;
    int fds[256];
    pid_t pids[256];
    double seconds;

    if (n == 0) {
        return child();
    }
    if (n < 1 || n > 256) {
        return 2;
    }
    for (int i = 0; i < n; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
            return 2;
        }
        pids[i] = fork();
        if (pids[i] == 0) {
            dup2(pair[1], 3);
            execl("/proc/self/exe", argv[0], "0", (char *)NULL);
            _exit(127);
        }
        close(pair[1]);
        fds[i] = pair[0];
    }
    for (int i = 0; i < n; i++) {
        char word[16];

        if (write(fds[i], "start", 5) != 5 || read(fds[i], word, sizeof word) != 5) {
            return 1;
        }
    }
    seconds = used(getpid());
    for (int i = 0; i < n; i++) {
        seconds += used(pids[i]);
    }
    for (int i = 0; i < n; i++) {
        close(fds[i]);
    }
    while (wait(NULL) > 0) {
    }
    printf("%.6f\n", seconds);
    return 0;
}
