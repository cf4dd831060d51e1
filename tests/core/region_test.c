/* region_test.c - regions, hosts, and each rule of the choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "directmail.h"

static dm_error err;

static dm_code choose_with(dm_route *out, const char *deployed, const char *recipients, const char *via, const char *residency,
                           int ecs) {
    dm_view lives = dm_view_of(residency);
    dm_route_request in = {dm_view_of(deployed), dm_view_of(recipients), dm_view_of(via), &lives, residency ? 1 : 0, ecs};
    return dm_route_choose(out, &in, &err);
}

static const char *choose(const char *deployed, const char *recipients, const char *via) {
    dm_route out;
    if (choose_with(&out, deployed, recipients, via, NULL, -1) != DM_OK) return err.field;
    return out.region->id;
}

static const char *rule_of(const char *deployed, const char *recipients, const char *via) {
    static dm_route out;
    assert_int_equal(choose_with(&out, deployed, recipients, via, NULL, -1), DM_OK);
    return out.reasons[0].rule;
}

static const char *said(const dm_route *r, const char *rule) {
    for (size_t i = 0; i < r->reason_count; i++)
        if (strcmp(r->reasons[i].rule, rule) == 0) return r->reasons[i].text;
    return NULL;
}

static void the_table_has_five_regions_of_which_sydney_is_closed(void **state) {
    (void)state;
    size_t n;
    const dm_region *r = dm_regions(&n);
    assert_int_equal(n, 5);
    size_t open = 0;
    for (size_t i = 0; i < n; i++) {
        open += r[i].open;
        assert_ptr_equal(dm_region_find(dm_view_of(r[i].id)), &r[i]);
        assert_non_null(r[i].api);
        assert_true(!r[i].open || (r[i].smtp && r[i].data[0]));
    }
    assert_int_equal(open, 4);
    assert_false(dm_region_find(dm_view_of("ap-southeast-2"))->open);
    assert_null(dm_region_find(dm_view_of("ap-southeast-2"))->smtp);
    assert_null(dm_region_find(dm_view_of("us-west-1")));
    assert_null(dm_region_find(dm_view_of("")));
}

static void every_host_of_the_service_is_known_in_any_case(void **state) {
    (void)state;
    static const struct {
        const char *host, *id;
        bool legacy;
    } hosts[] = {
        {"dm.aliyuncs.com", "cn-hangzhou", false},
        {"dm-vpc.cn-hangzhou.aliyuncs.com", "cn-hangzhou", false},
        {"smtpdm.aliyun.com", "cn-hangzhou", false},
        {"SMTPDM.Aliyun.COM", "cn-hangzhou", false},
        {"smtpdm.aliyun.com.", "cn-hangzhou", false},
        {"smtp.dm.aliyun.com", "cn-hangzhou", true},
        {"smtpdm-ap-southeast-1.aliyuncs.com", "ap-southeast-1", false},
        {"smtpdm-ap-southeast-1.aliyun.com", "ap-southeast-1", true},
        {"dm.us-east-1.aliyuncs.com", "us-east-1", false},
        {"smtpdm-eu-central-1.aliyuncs.com", "eu-central-1", false},
        {"smtpdm-ap-southeast-2.aliyun.com", "ap-southeast-2", true},
    };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        bool legacy = !hosts[i].legacy;
        const dm_region *r = dm_region_of_host(dm_view_of(hosts[i].host), &legacy);
        assert_non_null(r);
        assert_string_equal(r->id, hosts[i].id);
        assert_int_equal(legacy, hosts[i].legacy);
    }
    assert_non_null(dm_region_of_host(dm_view_of("dm.aliyuncs.com"), NULL));
}

static void other_hosts_are_not_the_services(void **state) {
    (void)state;
    static const char *const others[] = {"", ".", "127.0.0.1", "smtp.example.com", "xsmtpdm.aliyun.com", "smtpdm.aliyun.com.evil.example",
                                         "smtpdm.aliyun.com..", "smtpdm-us-east-1.aliyun.com", "dm.cn-hangzhou.aliyuncs.com"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        bool legacy = true;
        assert_null(dm_region_of_host(dm_view_of(others[i]), &legacy));
        assert_false(legacy);
    }
}

static void the_mainland_goes_to_hangzhou_whoever_reads(void **state) {
    (void)state;
    assert_string_equal(choose("cn", "cn", "smtp"), "cn-hangzhou");
    assert_string_equal(choose("cn", "world", "api"), "cn-hangzhou");
    assert_string_equal(choose("cn", "", "api"), "cn-hangzhou");
    assert_string_equal(choose("cn-beijing", "world", "smtp"), "cn-hangzhou");
    assert_string_equal(rule_of("cn", "world", "smtp"), "R1");
}

static void outside_to_outside_takes_the_closest(void **state) {
    (void)state;
    assert_string_equal(rule_of("us", "world", "smtp"), "R2");
    assert_string_equal(choose("us", "world", "smtp"), "us-east-1");
    assert_string_equal(choose("sg", "world", "smtp"), "ap-southeast-1");
    assert_string_equal(choose("other", "world", "api"), "ap-southeast-1");
    assert_string_equal(choose("eu-central-1", "world", "smtp"), "eu-central-1");
    assert_string_equal(choose("eu-west-1", "world", "smtp"), "eu-central-1");
    assert_string_equal(choose("us-west-1", "world", "smtp"), "us-east-1");
    assert_string_equal(choose("ap-northeast-1", "world", "smtp"), "ap-southeast-1");
    assert_string_equal(choose("cn-hongkong", "world", "smtp"), "ap-southeast-1");
}

static void the_accelerated_nodes_are_for_smtp_only(void **state) {
    (void)state;
    assert_string_equal(choose("us", "cn", "smtp"), "cn-hangzhou");
    assert_string_equal(choose("sg", "cn", "smtp"), "cn-hangzhou");
    assert_string_equal(choose("us-east-1", "cn", "smtp"), "cn-hangzhou");
    assert_string_equal(rule_of("sg", "cn", "smtp"), "R3");
    assert_string_equal(choose("us", "cn", "api"), "ap-southeast-1");
    assert_string_equal(choose("other", "cn", "smtp"), "ap-southeast-1");
    assert_string_equal(choose("eu-central-1", "cn", "smtp"), "ap-southeast-1");
    assert_string_equal(rule_of("us", "cn", "api"), "R4");
}

static void a_method_that_moves_the_region_is_said(void **state) {
    (void)state;
    dm_route out;
    assert_int_equal(choose_with(&out, "us", "cn", "smtp", NULL, -1), DM_OK);
    assert_non_null(strstr(said(&out, "R4"), "by API it would be ap-southeast-1"));
    assert_int_equal(choose_with(&out, "us", "cn", "api", NULL, -1), DM_OK);
    assert_non_null(strstr(said(&out, "R3"), "by SMTP it would be cn-hangzhou"));
    assert_int_equal(choose_with(&out, "us", "world", "smtp", NULL, -1), DM_OK);
    for (size_t i = 0; i < out.reason_count; i++) assert_null(strstr(out.reasons[i].text, "would be"));
}

static void every_route_names_the_law_and_that_senders_stay(void **state) {
    (void)state;
    static const char *const places[] = {"cn", "us", "sg", "other", "eu-central-1", "us-west-1"};
    static const char *const readers[] = {"cn", "world"};
    static const char *const ways[] = {"smtp", "api"};
    static const char *const lives[] = {NULL, "cn", "sg", "us", "de"};
    int found = 0;
    for (size_t p = 0; p < 6; p++)
        for (size_t r = 0; r < 2; r++)
            for (size_t w = 0; w < 2; w++)
                for (size_t l = 0; l < 5; l++) {
                    dm_route out;
                    if (choose_with(&out, places[p], readers[r], ways[w], lives[l], -1) != DM_OK) continue;
                    found++;
                    assert_non_null(strstr(said(&out, "legal"), "ask legal counsel"));
                    assert_non_null(strstr(said(&out, "senders"), "belong to one region"));
                    assert_non_null(said(&out, "ports"));
                    assert_int_equal(out.reasons[0].rule[0], 'R');
                    assert_true(out.region->open);
                    if (lives[l]) {
                        assert_string_equal(out.region->data, lives[l]);
                        assert_non_null(said(&out, "R0"));
                    }
                    for (size_t i = 0; i < out.reason_count; i++)      /* none was cut */
                        assert_true(strlen(out.reasons[i].text) + 1 < sizeof out.reasons[i].text);
                }
    assert_true(found > 60);
}

static void residency_takes_regions_away_before_the_rules(void **state) {
    (void)state;
    dm_route out;
    assert_int_equal(choose_with(&out, "us", "world", "smtp", "de", -1), DM_OK);
    assert_string_equal(out.region->id, "eu-central-1");
    assert_int_equal(choose_with(&out, "us", "world", "smtp", "SG", -1), DM_OK);
    assert_string_equal(out.region->id, "ap-southeast-1");
    /* R3 would say Hangzhou: it holds no longer, R4 does */
    assert_int_equal(choose_with(&out, "us", "cn", "smtp", "sg", -1), DM_OK);
    assert_string_equal(out.region->id, "ap-southeast-1");
    assert_string_equal(out.reasons[0].rule, "R4");
    assert_non_null(strstr(said(&out, "R0"), "R3"));
}

static void nothing_left_names_residency_and_its_rule(void **state) {
    (void)state;
    dm_route out;
    assert_int_equal(choose_with(&out, "us", "world", "smtp", "fr", -1), DM_E_OPTION);
    assert_string_equal(err.field, "residency");
    assert_non_null(strstr(err.detail, "R0"));
    assert_non_null(strstr(err.detail, "cn, sg, us, de"));
    assert_int_equal(choose_with(&out, "cn", "world", "smtp", "sg", -1), DM_E_OPTION);
    assert_string_equal(err.field, "residency");
    assert_non_null(strstr(err.detail, "R1"));
    assert_int_equal(choose_with(&out, "other", "world", "smtp", "", -1), DM_E_OPTION);     /* "" is no country, and not the unknown one's */
}

static void several_countries_may_hold_the_data(void **state) {
    (void)state;
    dm_view lives[] = {dm_view_of("fr"), dm_view_of("de"), dm_view_of("us")};
    dm_route_request in = {dm_view_of("sg"), dm_view_of("world"), dm_view_of("smtp"), lives, 3, -1};
    dm_route out;
    assert_int_equal(dm_route_choose(&out, &in, NULL), DM_OK);
    assert_string_equal(out.region->id, "eu-central-1");
}

static void an_id_without_a_region_is_never_taken_silently(void **state) {
    (void)state;
    static const char *const ids[] = {"cn-beijing", "cn-shanghai", "cn-shenzhen", "cn-qingdao", "cn-hongkong", "us-west-1"};
    dm_route out;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(choose_with(&out, ids[i], "world", "smtp", NULL, -1), DM_OK);
        assert_non_null(strstr(said(&out, "place"), ids[i]));
    }
    assert_int_equal(choose_with(&out, "cn-hangzhou", "world", "smtp", NULL, -1), DM_OK);
    assert_null(said(&out, "place"));
}

static void sydney_is_refused_and_its_successor_named(void **state) {
    (void)state;
    assert_string_equal(choose("ap-southeast-2", "world", "smtp"), "deployed");
    assert_non_null(strstr(err.detail, "us-east-1"));
}

static void unknown_words_name_the_field_and_the_choices(void **state) {
    (void)state;
    assert_string_equal(choose("mars", "world", "smtp"), "deployed");
    assert_non_null(strstr(err.detail, "cn, us, sg, other"));
    assert_string_equal(choose("", "world", "smtp"), "deployed");
    assert_string_equal(choose("cn-", "world", "smtp"), "deployed");
    assert_string_equal(choose("US-east-1", "world", "smtp"), "deployed");
    assert_string_equal(choose("us-east--1", "world", "smtp"), "deployed");
    assert_string_equal(choose("us-\r\nx", "world", "smtp"), "deployed");
    assert_null(strchr(err.detail, '\n'));
    assert_string_equal(choose("us", "all", "smtp"), "recipients");
    assert_non_null(strstr(err.detail, "cn, world"));
    assert_string_equal(choose("us", "", "smtp"), "recipients");
    assert_string_equal(choose("us", "cn world", "smtp"), "recipients");
    assert_string_equal(choose("us", "world", "fax"), "via");
    assert_string_equal(choose("us", "world", ""), "via");
}

static void port_25_comes_last_and_not_at_all_on_ecs(void **state) {
    (void)state;
    dm_route out;
    assert_int_equal(choose_with(&out, "us", "world", "smtp", NULL, 0), DM_OK);
    assert_int_equal(out.port_count, 3);
    assert_int_equal(out.ports[0].port, 465);
    assert_int_equal(out.ports[0].tls, DM_TLS_IMPLICIT);
    assert_int_equal(out.ports[1].port, 80);
    assert_int_equal(out.ports[1].tls, DM_TLS_STARTTLS);
    assert_int_equal(out.ports[2].port, 25);
    assert_int_equal(out.ports[2].tls, DM_TLS_STARTTLS);
    assert_int_equal(choose_with(&out, "us", "world", "smtp", NULL, 1), DM_OK);
    assert_int_equal(out.port_count, 2);
    assert_int_equal(out.ports[1].port, 80);
    assert_non_null(strstr(said(&out, "ports"), "left out"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_five_regions_of_which_sydney_is_closed),
        cmocka_unit_test(every_host_of_the_service_is_known_in_any_case),
        cmocka_unit_test(other_hosts_are_not_the_services),
        cmocka_unit_test(the_mainland_goes_to_hangzhou_whoever_reads),
        cmocka_unit_test(outside_to_outside_takes_the_closest),
        cmocka_unit_test(the_accelerated_nodes_are_for_smtp_only),
        cmocka_unit_test(a_method_that_moves_the_region_is_said),
        cmocka_unit_test(every_route_names_the_law_and_that_senders_stay),
        cmocka_unit_test(residency_takes_regions_away_before_the_rules),
        cmocka_unit_test(nothing_left_names_residency_and_its_rule),
        cmocka_unit_test(several_countries_may_hold_the_data),
        cmocka_unit_test(an_id_without_a_region_is_never_taken_silently),
        cmocka_unit_test(sydney_is_refused_and_its_successor_named),
        cmocka_unit_test(unknown_words_name_the_field_and_the_choices),
        cmocka_unit_test(port_25_comes_last_and_not_at_all_on_ecs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
