/* code_test.c - the error list and how an error is filled. */
#include "bytes.h"

#include "buf.h"

static void every_code_has_a_name_of_capitals_and_a_sentence(void **state) {
    (void)state;
    for (int code = DM_OK; code < DM_CODES; code++) {
        const char *name = dm_code_name((dm_code)code), *text = dm_code_text((dm_code)code);
        assert_true(strlen(name) > 1 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(name));
        assert_true(strlen(text) > 8 && text[strlen(text) - 1] != '.');
    }
    assert_string_equal(dm_code_name(DM_CODES), "?");
    assert_string_equal(dm_code_text(DM_CODES), "?");
}

static void names_are_distinct_and_well_known(void **state) {
    (void)state;
    for (int a = DM_OK; a < DM_CODES; a++)
        for (int b = a + 1; b < DM_CODES; b++)
            assert_string_not_equal(dm_code_name((dm_code)a), dm_code_name((dm_code)b));
    assert_string_equal(dm_code_name(DM_E_ADDRESS), "ADDRESS");
    assert_string_equal(dm_code_name(DM_AGAIN), "AGAIN");
    assert_string_equal(dm_code_name(DM_E_MEMORY), "MEMORY");
}

static void failing_fills_the_error_and_returns_its_code(void **state) {
    (void)state;
    dm_error err;
    assert_int_equal(dm_fail(&err, DM_E_HEADER, "Subject", "line %d is bad", 7), DM_E_HEADER);
    assert_int_equal(err.code, DM_E_HEADER);
    assert_string_equal(err.field, "Subject");
    assert_string_equal(err.detail, "line 7 is bad");
    dm_fail(&err, DM_E_HEADER, NULL, "x");
    assert_string_equal(err.field, "");
    assert_int_equal(dm_fail(NULL, DM_E_SIZE, "a", "b"), DM_E_SIZE);
}

static void long_words_are_cut_to_fit(void **state) {
    (void)state;
    dm_error err;
    char text[1000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    dm_fail(&err, DM_E_HEADER, text, "%s", text);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    assert_int_equal(strlen(err.detail), sizeof err.detail - 1);
}

static void control_characters_never_reach_a_terminal(void **state) {
    (void)state;
    dm_error err;
    dm_fail(&err, DM_E_REFUSED, "", "a\x1b[31mb\r\nc\x7f");
    assert_string_equal(err.detail, "a?[31mb??c?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_of_capitals_and_a_sentence),
        cmocka_unit_test(names_are_distinct_and_well_known),
        cmocka_unit_test(failing_fills_the_error_and_returns_its_code),
        cmocka_unit_test(long_words_are_cut_to_fit),
        cmocka_unit_test(control_characters_never_reach_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
