/*
 * replay - run a fuzz target over files, without a special compiler.
 *
 *   TARGET [-s SECONDS] FILE|DIRECTORY...
 *
 * Every file is given to LLVMFuzzerTestOneInput; then, until -s seconds of CPU
 * time are used (default 0), mutated copies of the files are (bytes flipped,
 * inserted, removed, cut, spliced; a fixed seed, so a crash is found again).
 * The input under way stays in TARGET.input so that a crash leaves it behind.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "firmware/core/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 65536
#define FILES_MAX 4096

struct input {
    uint8_t *data;
    size_t size;
};

static struct input inputs[FILES_MAX];
static unsigned n_inputs;
static char keep[4200];

static void one(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* exact size: a sanitizer sees one byte too many */

    if (!copy) {
        abort();
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void save(const uint8_t *data, size_t size)
{
    FILE *f = fopen(keep, "wb");

    if (f) {
        fwrite(data, 1, size, f);
        fclose(f);
    }
}

static void load(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        perror(path);
        exit(2);
    }
    if (S_ISDIR(st.st_mode)) {
        struct dirent **names;
        int n = scandir(path, &names, NULL, alphasort);

        for (int i = 0; i < n; i++) {
            if (names[i]->d_name[0] != '.') {
                char sub[4096];

                snprintf(sub, sizeof sub, "%s/%s", path, names[i]->d_name);
                load(sub);
            }
            free(names[i]);
        }
        free(names);
        return;
    }
    if (n_inputs == FILES_MAX) {
        return;
    }
    FILE *f = fopen(path, "rb");
    struct input *in = &inputs[n_inputs++];

    in->data = malloc(INPUT_MAX);
    if (!f || !in->data) {
        perror(path);
        exit(2);
    }
    in->size = fread(in->data, 1, INPUT_MAX, f);
    fclose(f);
}

static size_t mutate(uint8_t *b, size_t n)
{
    for (unsigned k = 1 + fw_rng_model_below(4); k > 0; k--) {
        unsigned at = n ? fw_rng_model_below((uint32_t)n) : 0;
        const struct input *other = &inputs[fw_rng_model_below(n_inputs)];
        static const uint8_t edge[] = {0, 1, 0x7f, 0x80, 0xff, 4, 0x10};

        switch (fw_rng_model_below(7)) {
        case 0:
            if (n) {
                b[at] ^= (uint8_t)(1 << fw_rng_model_below(8));
            }
            break;
        case 1:
            if (n) {
                b[at] = edge[fw_rng_model_below(sizeof edge)];
            }
            break;
        case 2:
            if (n < INPUT_MAX) {
                memmove(b + at + 1, b + at, n - at);
                b[at] = (uint8_t)fw_rng_model_u64();
                n++;
            }
            break;
        case 3:
            if (n) {
                memmove(b + at, b + at + 1, n - at - 1);
                n--;
            }
            break;
        case 4:
            n = at;
            break;
        case 5:
            if (other->size && n) {
                unsigned from = fw_rng_model_below((uint32_t)other->size);
                size_t m = other->size - from < n - at ? other->size - from : n - at;

                memcpy(b + at, other->data + from, m);
            }
            break;
        default:
            if (n > 1) {
                uint16_t v = (uint16_t)(fw_rng_model_below(2) ? n - at : fw_rng_model_below(65536));

                b[at] = (uint8_t)(v >> 8);
                if (at + 1 < n) {
                    b[at + 1] = (uint8_t)v;
                }
            }
            break;
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    static uint8_t buffer[INPUT_MAX + 1];
    const char *base = strrchr(argv[0], '/');
    double seconds = 0;
    unsigned long runs = 0;
    int i = 1;

    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        seconds = atof(argv[2]);
        i = 3;
    }
    for (; i < argc; i++) {
        load(argv[i]);
    }
    snprintf(keep, sizeof keep, "%s.input", argv[0]);
    for (unsigned k = 0; k < n_inputs; k++, runs++) {
        save(inputs[k].data, inputs[k].size);
        one(inputs[k].data, inputs[k].size);
    }
    if (n_inputs == 0) { /* no corpus: start from nothing */
        inputs[0].data = calloc(1, INPUT_MAX);
        inputs[0].size = 64;
        n_inputs = 1;
    }
    fw_rng_model_seed(1);
    while ((double)clock() / CLOCKS_PER_SEC < seconds) {
        for (unsigned k = 0; k < 200; k++, runs++) {
            const struct input *in = &inputs[fw_rng_model_below(n_inputs)];
            size_t n = in->size;

            memcpy(buffer, in->data, n);
            n = mutate(buffer, n);
            one(buffer, n);
        }
    }
    unlink(keep);
    printf("%s: %lu inputs\n", base ? base + 1 : argv[0], runs);
    return 0;
}
