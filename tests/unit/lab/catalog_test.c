/*
 * catalog_test - the catalogue that comes with the program holds what the reference says, and a bad
 * one is refused at its line.
 */
#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <string.h>

#include "hw/lab/catalog.h"

Test(catalog, facts)
{
    g_autoptr(GError) error = NULL;
    struct catalog *catalog = catalog_load(CATALOG_DIRECTORY, &error);
    const struct catalog_chassis *chassis;
    const struct catalog_card *card;

    cr_assert(catalog != NULL, "%s", error ? error->message : "");
    chassis = catalog_chassis(catalog, "SRX5800");
    cr_assert(chassis != NULL);
    cr_assert_eq(chassis->slots, 12);
    cr_assert_eq(chassis->control_boards, 3);
    cr_assert_eq(chassis->shared_cb, 2);
    cr_assert_eq(chassis->shared_fpc, 6);
    cr_assert_str_eq(chassis->model, "srx5800");
    cr_assert(catalog_chassis_takes(chassis, "SPC3"));
    cr_assert(!catalog_chassis_takes(chassis, "SPC9"));
    card = catalog_card(catalog, "SPC3");
    cr_assert(card != NULL);
    cr_assert_eq(card->kind, CATALOG_SPC);
    cr_assert_eq(card->spus, 2);
    cr_assert_eq(card->threads, 28);
    cr_assert_str_eq(card->part_number, "750-073435");
    cr_assert_str_eq(card->model_number, "SRX5K-SPC3");
    cr_assert_str_eq(card->inventory_model, "JNP-SPC3");
    cr_assert_eq(card->failure, CATALOG_FAILURE_ISOLATE);
    card = catalog_card(catalog, "IOC3");
    cr_assert_eq(card->kind, CATALOG_IOC);
    cr_assert_str_eq(card->pics[0].media, "xe");
    cr_assert_str_eq(card->inventory_model, card->model_number);
    cr_assert(catalog_card(catalog, "NONE") == NULL);
    catalog_free(catalog);
}

Test(catalog, boot_times_stay_under_five_minutes)
{
    struct catalog *catalog = catalog_load(CATALOG_DIRECTORY, NULL);
    static const char *const names[] = {"SPC3", "IOC3", "SCB3", "RE3"};
    uint32_t re = catalog_card_boot_ms(catalog_card(catalog, "RE3"));

    for (unsigned n = 0; n < G_N_ELEMENTS(names); n++) {
        uint32_t own = catalog_card_boot_ms(catalog_card(catalog, names[n]));

        cr_assert(own < 300000, "%s boots for %u ms", names[n], own);
        cr_assert(re + own < 300000, "%s behind the RE boots for %u ms", names[n], re + own);
    }
    catalog_free(catalog);
}

/* A directory with one file of this text is refused with these words. */
static void refuse(const char *text, const char *words)
{
    g_autofree char *directory = g_dir_make_tmp("catalog-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "x.yaml", NULL);
    g_autoptr(GError) error = NULL;
    struct catalog *catalog;

    g_file_set_contents(path, text, -1, NULL);
    catalog = catalog_load(directory, &error);
    g_unlink(path);
    g_rmdir(directory);
    cr_assert(catalog == NULL, "accepted: %s", text);
    cr_assert(strstr(error->message, words) != NULL, "want '%s' in: %s", words, error->message);
}

Test(catalog, mistakes)
{
    refuse("cards: {A: {kind: xyz, description: d, model-number: m}}\n", "permitted are spc");
    refuse("cards: {A: {kind: spc, description: d, model-number: m}}\n", "give 'spus'");
    refuse("cards: {A: {kind: cb, model-number: m}}\n", "no 'description'");
    refuse("cards: {A: {kind: cb, description: d, model-number: m, colour: red}}\n",
           "unknown key 'colour'");
    refuse("cards: {A: {kind: cb, description: d, model-number: m, planes: 9}}\n", "from 0 to 8");
    refuse("cards: {A: {kind: ioc, description: d, model-number: m, pics: [{type: t, ports: 4}]}}",
           "needs 'media'");
    refuse("cards: {A: {kind: ioc, description: d, model-number: m,\n"
           "  pics: [{type: t, media: xe, ports: 40}, {type: t, media: xe, ports: 40}]}}",
           "more than 64 ports");
    refuse("cards: {A: {kind: cb, description: d, model-number: m,\n failure: {policy: panic}}}\n",
           "permitted are isolate, restart-data-plane");
    refuse("chassis: {C: {model: c, description: d, slots: 4, cards: [Z]}}\n",
           "which no file describes");
    refuse("chassis: {C: {model: c, description: d}}\n", "no 'slots'");
}

Test(catalog, missing_directory)
{
    g_autoptr(GError) error = NULL;

    cr_assert(catalog_load("/nowhere/at/all", &error) == NULL);
    cr_assert(strstr(error->message, "VCHASSIS_DATA") != NULL);
}
