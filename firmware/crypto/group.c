/*
 * group - Diffie-Hellman: the work of a job (crypto.h, fw_job_run).
 *
 * Elliptic curve groups over OpenSSL's EC_POINT arithmetic. A private value
 * is drawn from firmware/core's secure stream in [1, order). A peer's value of
 * the wrong length, off the curve, or at infinity fails the job (RFC 5903
 * section 6, RFC 6989 section 2.3). Any thread.
 */
#include "firmware/crypto/crypto.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "firmware/core/rng.h"

static int curve_nid(uint16_t group)
{
    return group == 19 ? NID_X9_62_prime256v1 : NID_undef;
}

struct curve {
    EC_GROUP *group;
    BN_CTX *ctx;
    BIGNUM *scalar;
    BIGNUM *x;
    BIGNUM *y;
    EC_POINT *point;
    size_t half; /* bytes of a coordinate */
};

static void curve_close(struct curve *c)
{
    EC_POINT_clear_free(c->point);
    BN_clear_free(c->scalar);
    BN_clear_free(c->x);
    BN_clear_free(c->y);
    BN_CTX_free(c->ctx);
    EC_GROUP_free(c->group);
}

static bool curve_open(struct curve *c, uint16_t group)
{
    *c = (struct curve){0};
    if (curve_nid(group) == NID_undef) {
        return false;
    }
    c->half = fw_group_public_bytes(group) / 2;
    c->group = EC_GROUP_new_by_curve_name(curve_nid(group));
    c->ctx = BN_CTX_secure_new();
    c->scalar = BN_new();
    c->x = BN_new();
    c->y = BN_new();
    c->point = c->group ? EC_POINT_new(c->group) : NULL;
    if (c->ctx && c->scalar && c->x && c->y && c->point) {
        BN_set_flags(c->scalar, BN_FLG_CONSTTIME);
        return true;
    }
    curve_close(c);
    return false;
}

static bool draw_scalar(struct curve *c, struct fw_secret *secret)
{
    do {
        fw_rng_secure(secret->data, secret->len);
        if (!BN_bin2bn(secret->data, (int)secret->len, c->scalar)) {
            return false;
        }
    } while (BN_is_zero(c->scalar) || BN_cmp(c->scalar, EC_GROUP_get0_order(c->group)) >= 0);
    return true;
}

static bool generate(struct fw_job *job)
{
    struct curve c;
    struct fw_secret *secret;
    bool ok;

    if (!curve_open(&c, job->group)) {
        return false;
    }
    secret = fw_secret_new(NULL, c.half);
    ok = draw_scalar(&c, secret) &&
         EC_POINT_mul(c.group, c.point, c.scalar, NULL, NULL, c.ctx) == 1 &&
         EC_POINT_get_affine_coordinates(c.group, c.point, c.x, c.y, c.ctx) == 1 &&
         BN_bn2binpad(c.x, job->public_value, (int)c.half) == (int)c.half &&
         BN_bn2binpad(c.y, job->public_value + c.half, (int)c.half) == (int)c.half;
    if (ok) {
        job->public_len = 2 * c.half;
        fw_secret_free(job->private_value);
        job->private_value = secret;
    } else {
        fw_secret_free(secret);
    }
    curve_close(&c);
    return ok;
}

static bool derive(struct fw_job *job)
{
    struct curve c;
    struct fw_secret *shared = NULL;
    EC_POINT *product = NULL;
    bool ok = false;

    if (!job->private_value || job->public_len != fw_group_public_bytes(job->group) ||
        !curve_open(&c, job->group)) {
        return false;
    }
    /* set_affine_coordinates refuses a point that is not on the curve */
    if (BN_bin2bn(job->public_value, (int)c.half, c.x) &&
        BN_bin2bn(job->public_value + c.half, (int)c.half, c.y) &&
        EC_POINT_set_affine_coordinates(c.group, c.point, c.x, c.y, c.ctx) == 1 &&
        BN_bin2bn(job->private_value->data, (int)job->private_value->len, c.scalar)) {
        product = EC_POINT_new(c.group);
        shared = fw_secret_new(NULL, c.half);
        ok = product && EC_POINT_mul(c.group, product, NULL, c.point, c.scalar, c.ctx) == 1 &&
             !EC_POINT_is_at_infinity(c.group, product) &&
             EC_POINT_get_affine_coordinates(c.group, product, c.x, NULL, c.ctx) == 1 &&
             BN_bn2binpad(c.x, shared->data, (int)c.half) == (int)c.half;
    }
    if (ok) {
        fw_secret_free(job->shared);
        job->shared = shared;
    } else {
        fw_secret_free(shared);
    }
    EC_POINT_clear_free(product);
    curve_close(&c);
    return ok;
}

void fw_job_run(struct fw_job *job)
{
    switch (job->kind) {
    case FW_JOB_DH_GENERATE:
        job->failed = !generate(job);
        break;
    case FW_JOB_DH_DERIVE:
        job->failed = !derive(job);
        break;
    }
}
