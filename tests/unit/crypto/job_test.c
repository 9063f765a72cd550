/* Group 19 against RFC 5903 section 8.1, and the ways a job can end. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/crypto/crypto.h"

static size_t unhex(const char *text, uint8_t *ret)
{
    size_t n = 0;

    for (; text[0] && text[1]; text += 2) {
        unsigned v;

        sscanf(text, "%2x", &v);
        ret[n++] = (uint8_t)v;
    }
    return n;
}

Test(job, derive_rfc5903)
{
    struct fw_job *job = fw_job_new(FW_JOB_DH_DERIVE, 19);
    uint8_t bytes[32];

    unhex("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433", bytes);
    job->private_value = fw_secret_new(bytes, 32);
    job->public_len = unhex("d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
                            "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
                            job->public_value);
    fw_job_run(job);
    cr_assert_not(job->failed);
    unhex("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de", bytes);
    cr_assert_arr_eq(job->shared->data, bytes, 32);
    job->public_value[63] ^= 1; /* off the curve */
    fw_job_run(job);
    cr_assert(job->failed);
    job->public_value[63] ^= 1;
    job->public_len = 63;
    fw_job_run(job);
    cr_assert(job->failed);
    memset(job->public_value, 0, 64);
    job->public_len = 64;
    fw_job_run(job);
    cr_assert(job->failed);
    fw_job_free(job);
    job = fw_job_new(FW_JOB_DH_GENERATE, 14);
    fw_job_run(job);
    cr_assert(job->failed); /* no such row */
    fw_job_free(job);
}

Test(job, two_ends_agree)
{
    struct fw_job *a = fw_job_new(FW_JOB_DH_GENERATE, 19), *b = fw_job_new(FW_JOB_DH_GENERATE, 19);
    uint8_t public_a[64];

    fw_job_run(a);
    fw_job_run(b);
    cr_assert(!a->failed && !b->failed);
    cr_assert_eq(a->public_len, 64);
    memcpy(public_a, a->public_value, 64);
    a->kind = b->kind = FW_JOB_DH_DERIVE;
    memcpy(a->public_value, b->public_value, 64);
    memcpy(b->public_value, public_a, 64);
    fw_job_run(a);
    fw_job_run(b);
    cr_assert_arr_eq(a->shared->data, b->shared->data, 32);
    fw_job_free(a);
    fw_job_free(b);
}

static unsigned finished;

static void done(struct fw_job *job, void *data)
{
    GMainLoop *loop = data;

    cr_assert_not(job->failed);
    if (--finished == 0) {
        g_main_loop_quit(loop);
    }
}

static gboolean too_late(gpointer data)
{
    cr_assert(false, "jobs did not end");
    return G_SOURCE_REMOVE;
}

static void run(unsigned workers)
{
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    struct fw_crypto *crypto = fw_crypto_new(workers);
    guint guard = g_timeout_add_seconds(20, too_late, NULL);
    uint64_t ids[20];

    finished = 15;
    for (unsigned i = 0; i < 20; i++) {
        struct fw_job *job = fw_job_new(FW_JOB_DH_GENERATE, 19);

        job->done = done;
        job->data = loop;
        ids[i] = fw_crypto_submit(crypto, job);
    }
    for (unsigned i = 0; i < 20; i += 4) { /* five of them: begun, finished, or neither */
        fw_crypto_cancel(crypto, ids[i]);
        fw_crypto_cancel(crypto, ids[i]);
    }
    g_main_loop_run(loop);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    cr_assert_eq(finished, 0); /* the cancelled ones never came */
    fw_crypto_free(crypto);
    g_source_remove(guard);
    g_main_loop_unref(loop);
}

Test(job, workers)
{
    run(2);
}

Test(job, no_workers)
{
    run(0);
}

Test(job, freed_with_jobs_under_way)
{
    struct fw_crypto *crypto = fw_crypto_new(2);

    finished = 100;
    for (unsigned i = 0; i < 50; i++) {
        struct fw_job *job = fw_job_new(FW_JOB_DH_GENERATE, 19);

        job->done = done;
        fw_crypto_submit(crypto, job);
    }
    fw_crypto_free(crypto);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    cr_assert_eq(finished, 100);
}
