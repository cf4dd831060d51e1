/* html_test.c - HTML becomes the right events, and no document gets more than it may take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "html.h"

/* The core is not linked here. */
static dm_view view_of(const char *text) { return (dm_view){text, strlen(text)}; }

static const dm_html_limits wide = {.octets = 8 << 20, .memory = 256 << 20, .nodes = 200000, .depth = 512, .attributes = 500};

/* The events in short: <a href=x> </a> "text" <!--c-->, with ? behind a tag that the source does not have. */
static const char *told(const char *html, size_t n) {
    static char out[4096];
    char why[128];
    dm_html_event e;
    size_t used = 0;
    dm_html *h = dm_html_parse((dm_view){html, n}, &wide, why);
    assert_non_null(h);
    out[0] = '\0';
#define PUT(...) used += (size_t)snprintf(out + used, sizeof out - used, __VA_ARGS__)
    while (dm_html_next(h, &e)) {
        const char *mark = e.implied ? "?" : "";
        if (e.kind == DM_HTML_OPEN) {
            PUT("<%.*s", (int)e.name.n, e.name.p);
            for (size_t i = 0; i < e.attributes; i++) {
                dm_view name, value;
                dm_html_attribute(&e, i, &name, &value);
                PUT(" %.*s=%.*s", (int)name.n, name.p, (int)value.n, value.p);
            }
            PUT("%s>", mark);
        } else if (e.kind == DM_HTML_CLOSE) {
            PUT("</%.*s%s>", (int)e.name.n, e.name.p, mark);
        } else if (e.kind == DM_HTML_TEXT) {
            PUT("\"%.*s\"", (int)e.text.n, e.text.p);
        } else if (e.kind == DM_HTML_COMMENT) {
            PUT("<!--%.*s-->", (int)e.text.n, e.text.p);
        } else {
            PUT("<!%.*s>", (int)e.name.n, e.name.p);
        }
        assert_true(used < sizeof out);
    }
    assert_false(dm_html_next(h, &e));          /* the end stays the end */
    dm_html_free(h);
    return out;
}

static void assert_told(const char *html, const char *events) { assert_string_equal(told(html, strlen(html)), events); }

/* The same for what stands in the body of a fragment. */
static void assert_body(const char *html, const char *events) {
    char whole[4096];
    snprintf(whole, sizeof whole, "<html?><head?></head?><body?>%s</body?></html?>", events);
    assert_told(html, whole);
}

static void a_document_comes_in_order(void **state) {
    (void)state;
    assert_told("<!DOCTYPE html><html lang=de><head><title>T</title></head><body><!-- c --><p>x</p></body></html>",
                "<!html><html lang=de><head><title>\"T\"</title></head><body><!-- c --><p>\"x\"</p></body></html>");
    assert_told("", "<html?><head?></head?><body?></body?></html?>");
}

static void what_is_missing_is_made_up_and_marked(void **state) {
    (void)state;
    assert_body("<p>a<p>b", "<p>\"a\"</p?><p>\"b\"</p?>");
    assert_body("<table><tr><td>1</table>", "<table><tbody?><tr><td>\"1\"</td?></tr?></tbody?></table>");
    assert_body("a</div>b</br>", "\"ab\"<br?></br>");
}

static void void_elements_close_too(void **state) {
    (void)state;
    assert_body("<br><img src=a><hr/>", "<br></br><img src=a></img><hr></hr>");
    assert_body("<svg><path/><g></g></svg>", "<svg><path></path><g></g></svg>");
}

static void entities_and_names_are_decoded(void **state) {
    (void)state;
    assert_body("<A HREF='?a=1&amp;b=2&#x27;' href=2>&lt;&nbsp;&eacute;</A>", "<a href=?a=1&b=2'>\"<\u00A0\u00E9\"</a>");
    assert_body("<My-Tag X>y</MY-TAG>", "<my-tag x=>\"y\"</my-tag>");
    assert_body("<image src=a>", "<img src=a></img>");
}

static void style_and_script_are_texts_and_templates_have_content(void **state) {
    (void)state;
    assert_told("<style>a{b:c}</style><script>1<2</script><template><i>t</i></template>",
                "<html?><head?><style>\"a{b:c}\"</style><script>\"1<2\"</script><template><i>\"t\"</i></template></head?><body?></body?></html?>");
}

static void octets_that_are_no_text_become_signs(void **state) {
    (void)state;
    static const char nul[] = "<p title='a\0b'>x\0y\xFF</p><!--\0-->";
    assert_string_equal(told(nul, sizeof nul - 1), "<html?><head?></head?><body?><p title=a\uFFFDb>\"xy\uFFFD\"</p><!--\uFFFD--></body?></html?>");
    static const char name[] = "<a\0\xE9>1</a\0\xE9>";
    assert_string_equal(told(name, sizeof name - 1), "<html?><head?></head?><body?><a?\?>\"1\"</a?\?></body?></html?>");
    assert_body("\xEF\xBB\xBFx", "\"x\"");
    assert_body("a&#x80000000;b&#xFFFFFFFF;c&#x100000041;d&#4294967361;e", "\"a\uFFFDb\uFFFDc\uFFFDd\uFFFDe\"");
    assert_body("<p id=&#x80000000;1>&#x00000000041;&#0000000066;&#x10FFFF;&#x110000;&#", "<p id=\uFFFD1>\"AB\U0010FFFF\uFFFD&#\"</p?>");
}

static void a_long_unknown_name_is_cut(void **state) {
    (void)state;
    char html[400], name[65];
    dm_html_event e;
    char why[128];
    memset(name, 'x', 64);
    name[64] = '\0';
    snprintf(html, sizeof html, "<%s%s%s>1</%s%s%s>", name, name, name, name, name, name);
    dm_html *h = dm_html_parse(view_of(html), &wide, why);
    assert_non_null(h);
    size_t seen = 0;
    while (dm_html_next(h, &e))
        if (e.name.n == 64 && memcmp(e.name.p, name, 64) == 0 && !e.implied) seen++;
    assert_int_equal(seen, 2);
    dm_html_free(h);
}

static void places_count_lines_and_characters_from_one(void **state) {
    (void)state;
    char why[128];
    dm_html_event e;
    dm_html *h = dm_html_parse(view_of("<p>\u00E4\t<b\nid=1>x\r\ny</b></p>\n<i>z"), &wide, why);
    assert_non_null(h);
    unsigned places[16][2], n = 0;
    while (dm_html_next(h, &e))
        if (!e.implied && e.line > 0 && n < 16) {
            places[n][0] = e.line;
            places[n++][1] = e.column;
        }
    static const unsigned wanted[][2] = {{1, 1}, {1, 4}, {1, 6}, {2, 6}, {3, 2}, {3, 6}, {3, 10}, {4, 1}, {4, 4}};
    assert_int_equal(n, sizeof wanted / sizeof *wanted);
    assert_memory_equal(places, wanted, sizeof wanted);
    dm_html_free(h);
}

/* -- limits ----------------------------------------------------------------- */

/* 'unit' n times behind 'head'; free() it */
static dm_view many(const char *head, const char *unit, size_t n) {
    size_t h = strlen(head), u = strlen(unit);
    char *p = malloc(h + n * u + 1);
    assert_non_null(p);
    memcpy(p, head, h);
    for (size_t i = 0; i < n; i++) memcpy(p + h + i * u, unit, u);
    p[h + n * u] = '\0';
    return (dm_view){p, h + n * u};
}

static void assert_refused(dm_view html, const dm_html_limits *limits, const char *words) {
    char why[128];
    dm_html *h = dm_html_parse(html, limits, why);
    if (h) fail_msg("not refused: %s", words);
    if (!strstr(why, words)) fail_msg("'%s' does not hold '%s'", why, words);
    free((void *)(uintptr_t)html.p);
}

static void assert_taken(dm_view html, const dm_html_limits *limits) {
    char why[128];
    dm_html *h = dm_html_parse(html, limits, why);
    if (!h) fail_msg("refused: %s", why);
    dm_html_free(h);
    free((void *)(uintptr_t)html.p);
}

static void each_limit_is_met_and_named(void **state) {
    (void)state;
    dm_html_limits few = wide;
    few.octets = 10;
    assert_taken(many("", "a", 10), &few);
    assert_refused(many("", "a", 11), &few, "it has 11 octets, and 10 are the most");
    few = wide;
    few.nodes = 10;             /* the document, html, head and body are four */
    assert_taken(many("", "<br>", 6), &few);
    assert_refused(many("", "<br>", 7), &few, "more than 10 elements and texts");
    few = wide;
    few.depth = 6;              /* html and body are two */
    assert_taken(many("", "<div>", 4), &few);
    assert_taken(many("<div><div><div><div>", "text<br/>", 0), &few);
    assert_refused(many("", "<div>", 5), &few, "nested more than 6 deep");
    assert_refused(many("", "x<div>y", 5), &few, "nested more than 6 deep");
    few = wide;
    few.attributes = 3;
    assert_taken(many("<p a b c><p a b c>", "", 0), &few);
    assert_taken(many("", "</p x y>", 10), &few);           /* an end tag's attributes are dropped */
    assert_refused(many("<p a b c d>", "", 0), &few, "more than 3 attributes");
    few = wide;
    few.memory = 100000;
    assert_refused(many("", "<p>x", 1000), &few, "too much memory");
}

/* gumbo's own assert() would end the process (its issues 278, 279, 331). */
static void no_document_ends_the_process(void **state) {
    (void)state;
    assert_body("<table><th><svg><select><desc><table><table>", "<table><tbody?><tr?><th><svg><select><desc><table></table?><table></table?></desc?></select?></svg?></th?></tr?></tbody?></table?>");
    assert_taken(many("<xmp><svg><select><foreignobject><select><select><select></xmp>", "", 0), &wide);
    assert_taken(many("<table><th><math><td></tr>", "", 0), &wide);
    assert_taken(many("<b><nobr><r><d><r><ol></b><nobr>", "", 0), &wide);
    assert_taken(many("<d0tx0i0t><option></d0tX0i0t>", "", 0), &wide);
}

/* Each of these takes minutes, or gigabytes, without the limits. */
static void documents_made_to_hurt_end_at_once(void **state) {
    (void)state;
    assert_refused(many("", "<div>", 1000000), &wide, "nested more than 512");
    assert_refused(many("", "<div><p>", 900000), &wide, "nested more than 512");
    assert_refused(many("", "<object><b>", 700000), &wide, "nested more than 512");
    assert_refused(many("<p ", "a=1 a1=2 b ", 1), &(dm_html_limits){8 << 20, 1 << 20, 100, 10, 1}, "attributes");
    assert_refused(many("", "<table><tr><td>", 500000), &wide, "nested more than 512");
    assert_refused(many("", "<a></b><svg><p></svg>", 300000), &wide, "");
    assert_refused(many("", "<svg>", 1500000), &wide, "nested more than 512");

    char *attributes = malloc(8 << 20);
    assert_non_null(attributes);
    size_t n = (size_t)sprintf(attributes, "<p ");
    for (int i = 0; n < (8 << 20) - 20; i++) n += (size_t)sprintf(attributes + n, "a%d ", i);
    assert_refused((dm_view){attributes, n}, &wide, "more than 500 attributes");

    char *bodies = malloc(8 << 20);     /* each adds to the one element */
    assert_non_null(bodies);
    n = 0;
    for (int i = 0; n < (8 << 20) - 40; i++) n += (size_t)sprintf(bodies + n, "<body b%d=1><html h%d=2>x", i, i);
    assert_refused((dm_view){bodies, n}, &wide, "more than 500 attributes");

    char *fonts = malloc(8 << 20);      /* each paragraph opens all fonts before it again */
    assert_non_null(fonts);
    n = 0;
    for (int i = 0; n < (8 << 20) - 40; i++) n += (size_t)sprintf(fonts + n, "<p><font size=%d>x", i);
    assert_refused((dm_view){fonts, n}, &wide, "");
}

static void a_mail_of_real_size_is_taken(void **state) {
    (void)state;
    assert_taken(many("<table>", "<tr><td style='color:#333'>cell</td><td>&amp;&nbsp;</td></tr>\n", 20000), &wide);
    assert_taken(many("<pre>", "a line of text &lt;\n", 400000), &wide);
    assert_taken(many("", "<p>no end tag\n", 60000), &wide);
    assert_taken(many("<ul>", "<li>no end tag\n", 60000), &wide);
}

static void every_allocation_that_fails_is_told(void **state) {
    (void)state;
    static const char html[] =
        "<!DOCTYPE html><html><head><title>T &amp; t</title><style>p{}</style></head><body class=a><p id=1>x<b>y<p>z</b>"
        "<table><tr><td>1<td>2<a>q</table></a><svg viewBox='0 0'><path/></svg><select><option>1<option>2</select>"
        "&#x80000000;<my-very-own-tag with='a long value that must grow a buffer, and grow it again, and again'>c</my-very-own-tag><!-- c -->";
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        char why[128];
        dm_html *h = dm_html_parse((dm_view){html, sizeof html - 1}, &wide, why);
        if (dm_alloc_failed()) {
            assert_null(h);
            assert_string_equal(why, "out of memory");
        } else {
            dm_html_event e;
            size_t n = 0;
            assert_non_null(h);
            while (dm_html_next(h, &e)) n++;
            assert_true(n > 50);
        }
        dm_html_free(h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_comes_in_order),
        cmocka_unit_test(what_is_missing_is_made_up_and_marked),
        cmocka_unit_test(void_elements_close_too),
        cmocka_unit_test(entities_and_names_are_decoded),
        cmocka_unit_test(style_and_script_are_texts_and_templates_have_content),
        cmocka_unit_test(octets_that_are_no_text_become_signs),
        cmocka_unit_test(a_long_unknown_name_is_cut),
        cmocka_unit_test(places_count_lines_and_characters_from_one),
        cmocka_unit_test(each_limit_is_met_and_named),
        cmocka_unit_test(no_document_ends_the_process),
        cmocka_unit_test(documents_made_to_hurt_end_at_once),
        cmocka_unit_test(a_mail_of_real_size_is_taken),
        cmocka_unit_test(every_allocation_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
