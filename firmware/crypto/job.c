/*
 * job - public-key work beside the main loop (crypto.h).
 *
 * Worker threads take jobs from a queue under one lock; finished jobs go to
 * a second queue which an idle source on the default main context drains. The
 * table `live` holds every job whose callback is still wanted: cancelling takes
 * the job out of it, and whoever holds a job that is not in the table frees it.
 * Without workers the idle source runs the jobs itself.
 */
#include "firmware/crypto/crypto.h"

#include <string.h>

struct fw_crypto {
    GMutex lock;
    GCond work;
    GQueue pending;   /* struct fw_job, not begun */
    GQueue finished;  /* struct fw_job, callback due */
    GHashTable *live; /* id -> struct fw_job, callback wanted */
    GThread **threads;
    unsigned n_threads;
    uint64_t last_id;
    GSource *idle; /* drains `finished`; NULL when nothing is due */
    bool stopping;
};

struct fw_job *fw_job_new(enum fw_job_kind kind, uint16_t group)
{
    struct fw_job *job = g_new0(struct fw_job, 1);

    job->kind = kind;
    job->group = group;
    return job;
}

void fw_job_free(struct fw_job *job)
{
    if (job) {
        fw_secret_free(job->private_value);
        fw_secret_free(job->shared);
        fw_wipe(job, sizeof *job);
        g_free(job);
    }
}

/* Main loop: callbacks of all finished jobs. */
static gboolean drain(gpointer data)
{
    struct fw_crypto *crypto = data;
    struct fw_job *job;

    g_mutex_lock(&crypto->lock);
    g_clear_pointer(&crypto->idle, g_source_unref);
    while ((job = g_queue_pop_head(&crypto->finished))) {
        bool wanted = g_hash_table_remove(crypto->live, &job->id);
        bool run = crypto->n_threads == 0;

        g_mutex_unlock(&crypto->lock);
        if (wanted && run) {
            fw_job_run(job);
        }
        if (wanted && job->done) {
            job->done(job, job->data);
        }
        fw_job_free(job);
        g_mutex_lock(&crypto->lock);
    }
    g_mutex_unlock(&crypto->lock);
    return G_SOURCE_REMOVE;
}

/* Lock held. */
static void finish(struct fw_crypto *crypto, struct fw_job *job)
{
    g_queue_push_tail(&crypto->finished, job);
    if (!crypto->idle) {
        crypto->idle = g_idle_source_new();
        g_source_set_priority(crypto->idle, G_PRIORITY_DEFAULT);
        g_source_set_callback(crypto->idle, drain, crypto, NULL);
        g_source_attach(crypto->idle, NULL);
    }
}

static gpointer worker(gpointer data)
{
    struct fw_crypto *crypto = data;

    g_mutex_lock(&crypto->lock);
    while (!crypto->stopping) {
        struct fw_job *job = g_queue_pop_head(&crypto->pending);

        if (!job) {
            g_cond_wait(&crypto->work, &crypto->lock);
            continue;
        }
        g_mutex_unlock(&crypto->lock);
        fw_job_run(job);
        g_mutex_lock(&crypto->lock);
        finish(crypto, job);
    }
    g_mutex_unlock(&crypto->lock);
    return NULL;
}

struct fw_crypto *fw_crypto_new(unsigned workers)
{
    struct fw_crypto *crypto = g_new0(struct fw_crypto, 1);

    g_mutex_init(&crypto->lock);
    g_cond_init(&crypto->work);
    crypto->live = g_hash_table_new(g_int64_hash, g_int64_equal);
    crypto->n_threads = workers;
    crypto->threads = g_new0(GThread *, workers ? workers : 1);
    for (unsigned i = 0; i < workers; i++) {
        crypto->threads[i] = g_thread_new("crypto", worker, crypto);
    }
    return crypto;
}

void fw_crypto_free(struct fw_crypto *crypto)
{
    struct fw_job *job;

    if (!crypto) {
        return;
    }
    g_mutex_lock(&crypto->lock);
    crypto->stopping = true;
    g_cond_broadcast(&crypto->work);
    g_mutex_unlock(&crypto->lock);
    for (unsigned i = 0; i < crypto->n_threads; i++) {
        g_thread_join(crypto->threads[i]);
    }
    if (crypto->idle) {
        g_source_destroy(crypto->idle);
        g_source_unref(crypto->idle);
    }
    while ((job = g_queue_pop_head(&crypto->pending)) ||
           (job = g_queue_pop_head(&crypto->finished))) {
        fw_job_free(job);
    }
    g_hash_table_destroy(crypto->live);
    g_free(crypto->threads);
    g_mutex_clear(&crypto->lock);
    g_cond_clear(&crypto->work);
    g_free(crypto);
}

uint64_t fw_crypto_submit(struct fw_crypto *crypto, struct fw_job *job)
{
    uint64_t id;

    g_mutex_lock(&crypto->lock);
    id = job->id = ++crypto->last_id;
    g_hash_table_insert(crypto->live, &job->id, job);
    if (crypto->n_threads == 0) {
        finish(crypto, job);
    } else {
        g_queue_push_tail(&crypto->pending, job);
        g_cond_signal(&crypto->work);
    }
    g_mutex_unlock(&crypto->lock);
    return id;
}

void fw_crypto_cancel(struct fw_crypto *crypto, uint64_t id)
{
    struct fw_job *job;

    g_mutex_lock(&crypto->lock);
    job = g_hash_table_lookup(crypto->live, &id);
    if (job) {
        g_hash_table_remove(crypto->live, &id);
        if (g_queue_remove(&crypto->pending, job)) {
            fw_job_free(job);
        }
        /* otherwise a worker or the finished queue holds it; drain frees it */
    }
    g_mutex_unlock(&crypto->lock);
}
