/* addr_test.c - mailboxes and lists of them. */
#include "bytes.h"

#include "alloc.h"

static dm_buf scratch;

/* The list as "name|address|flags" with a line for each mailbox, or "! " and the error. */
static const char *listed(dm_view list) {
    static char text[20000];
    size_t n = 0;
    dm_mailbox box;
    dm_error err = {0};
    dm_code code;
    text[0] = '\0';
    while ((code = dm_addr_next(&list, &scratch, &box, &err)) == DM_OK) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s|%.*s", n ? "\n" : "", (int)box.name.n, box.name.n ? box.name.p : "",
                              (int)box.address.n, box.address.p);
        if (box.flags & DM_ADDR_QUOTED) n += (size_t)snprintf(text + n, sizeof text - n, "|quoted");
        if (box.flags & DM_ADDR_LITERAL) n += (size_t)snprintf(text + n, sizeof text - n, "|literal");
        if (box.flags & DM_ADDR_SINGLE) n += (size_t)snprintf(text + n, sizeof text - n, "|single");
        if (box.flags & DM_ADDR_COMMA) n += (size_t)snprintf(text + n, sizeof text - n, "|comma");
        if (box.flags & DM_ADDR_SEMICOLON) n += (size_t)snprintf(text + n, sizeof text - n, "|semicolon");
        if (box.local >= box.address.n || box.address.p[box.local] != '@') fail_msg("local is %zu in %s", box.local, text);
    }
    if (code == DM_END) {
        assert_int_equal(list.n, 0);
        assert_int_equal(dm_addr_next(&list, &scratch, &box, &err), DM_END);
        return text;
    }
    assert_int_equal(code, DM_E_ADDRESS);
    assert_int_equal(err.code, DM_E_ADDRESS);
    if (!dm_utf8_valid(dm_view_of(err.detail), NULL)) fail_msg("not UTF-8: %s", err.detail);
    snprintf(text, sizeof text, "! %s", err.detail);
    return text;
}

static void list(const char *in, const char *expected) { assert_string_equal(listed(dm_view_of(in)), expected); }

static void refused(dm_view in, const char *why) {
    const char *got = listed(in);
    if (got[0] != '!') fail_msg("%.*s was taken: %s", (int)in.n, in.p, got);
    if (!strstr(got, why)) fail_msg("%s does not say: %s", got, why);
}

static void refuses(const char *in, const char *why) { refused(dm_view_of(in), why); }

static void rule_3_30_a_name_and_an_address(void **state) {
    (void)state;
    list("Ann <ann@x.example>", "Ann|ann@x.example");
    list("ann@x.example", "|ann@x.example");
    list("<ann@x.example>", "|ann@x.example");
    list("  Ann\tMarie   Lee<ann@x.example>  ", "Ann Marie Lee|ann@x.example");
    list("\"\" <a@x.example>", "|a@x.example");
}

static void rule_3_31_a_quoted_comma_does_not_separate(void **state) {
    (void)state;
    list("\"Doe, Ann\" <a@x.example>, b@x.example", "Doe, Ann|a@x.example\n|b@x.example");
    list("\"a\\\"b\\\\c\" d <a@x.example>", "a\"b\\c d|a@x.example");
}

static void rule_3_32_comments_nest(void **state) {
    (void)state;
    list("a@x.example (Ann (nested) B)", "|a@x.example");
    list("(x, y) a (\\)) @ (z) x.example (c), Bo(b) <b@x.example>", "|a@x.example\nBo|b@x.example");
    refuses("a@x.example (Ann (nested B)", "has a comment without its \")\"");
    refuses("a@x.example (Ann\\", "comment");
    refuses("a@x.example )", "belongs to no address");
    char deep[20001];
    memset(deep, '(', 10000);
    memset(deep + 10000, ')', 10000);
    deep[20000] = '\0';
    strcpy(deep + 19990, ")))))))))");
    refuses(deep, "comment");
}

static void rule_3_33_quoted_local_parts(void **state) {
    (void)state;
    list("\"a b\"@x.example", "|\"a b\"@x.example|quoted");
    list("\"a\\\"b\"@x.example", "|\"a\\\"b\"@x.example|quoted");
    list("\"a@b\"@x.example", "|\"a@b\"@x.example|quoted");
    list("Ann <\"a,b\"@x.example>", "Ann|\"a,b\"@x.example|quoted|comma");
    list("\"\"@x.example", "|\"\"@x.example|quoted");
    list("\"a..b\"@x.example", "|\"a..b\"@x.example|quoted");
    list("\"\\a\\ b\"@x.example", "|\"a b\"@x.example|quoted");
    refuses("\"a b@x.example", "without its closing quote");
    refuses("\"a\tb\"@x.example", "control character");
}

static void quotes_that_are_not_needed_are_left_away(void **state) {
    (void)state;
    list("\"ann.lee\"@x.example", "|ann.lee@x.example");
    list("\"a\\nn\"@x.example", "|ann@x.example");
}

static void rule_3_34_atoms(void **state) {
    (void)state;
    list("a.b+c_d-e@x.example", "|a.b+c_d-e@x.example");
    list("!#$%&'*+/=?^_{|}~@x.example", "|!#$%&'*+/=?^_{|}~@x.example");
    list("a`b@x.example", "|a`b@x.example");
    list("Bob@EXAMPLE.com", "|Bob@EXAMPLE.com");
}

static void rule_3_35_dots_in_the_wrong_place(void **state) {
    (void)state;
    refuses("a..b@x.example", "two dots together");
    refuses(".a@x.example", "has a dot at an end");
    refuses("a.@x.example", "has a dot at an end");
    refuses("<.@x.example>", "has a dot at an end");
}

static void rule_3_36_what_is_no_address(void **state) {
    (void)state;
    refuses("@x.example", "has nothing before its \"@\"");
    refuses("a@", "\"a@\" has no domain behind its \"@\"");
    refuses("a", "\"a\" has no \"@\"");
    refuses("a@b@c", "has a second \"@\"");
    refuses("a b@x.example", "has words in front of its address");
    refuses("<a@x.example", "\"<\" without its \">\"");
    refuses("a@x.example>", "belongs to no address");
    refuses("<>", "nothing between its angle brackets");
    refuses("Ann", "has no \"@\"");
    refuses("Ann Lee", "no address in angle brackets");
    refuses("Ann <a@x.example> Lee", "belongs to no address");
    refuses("a@x.example b@x.example", "belongs to no address");
    refuses("<a@x.example b@x.example>", "more than one address");
    refuses("a[b@x.example", "has no \"@\" where one belongs");
    refuses("a@x.example, b", "\"b\" has no \"@\"");
    dm_mailbox box;
    dm_error err;
    assert_int_equal(dm_addr_one(BYTES(""), &scratch, &box, &err), DM_E_ADDRESS);
    assert_string_equal(err.detail, "an address is missing");
    assert_int_equal(dm_addr_one((dm_view){NULL, 0}, &scratch, &box, &err), DM_E_ADDRESS);
    assert_int_equal(dm_addr_one(BYTES(" (nobody) "), &scratch, &box, &err), DM_E_ADDRESS);
}

static void rule_3_37_address_literals(void **state) {
    (void)state;
    list("a@[192.0.2.1]", "|a@[192.0.2.1]|literal");
    list("Ann <a@[IPv6:2001:db8::1]>, b@[ipv6:::1]", "Ann|a@[IPv6:2001:db8::1]|literal\n|b@[ipv6:::1]|literal");
    refuses("a@[999.1.1.1]", "has no IP address between its brackets");
    refuses("a@[2001:db8::1]", "has no IP address");
    refuses("a@[IPv6:192.0.2.1]", "has no IP address");
    refuses("a@[192.0.2.1", "without its \"]\"");
    refuses("a@[]", "has no IP address");
    refuses("a@[ 192.0.2.1 ]", "has no IP address");
    refused(BYTES("a@[192.0.2.1\0]"), "NUL");
    refuses("a@[192.0.2.1\r\n]", "line break");
    refuses("a@[IPv6:2001:db8:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111]", "has no IP address");
    refuses("a@[192.0.2.1].example", "belongs to no address");
}

static const char *label(size_t n, const char *before, const char *behind) {
    static char text[1000];
    size_t at = strlen(before);
    strcpy(text, before);
    memset(text + at, 'a', n);
    strcpy(text + at + n, behind);
    return text;
}

static void rule_3_38_domains_that_cannot_be(void **state) {
    (void)state;
    refuses("a@-x.example", "begins or ends with a hyphen");
    refuses("a@x-.example", "begins or ends with a hyphen");
    refuses("a@x..example", "two dots");
    refuses(label(64, "a@", ".example"), "63 characters");
    refuses("a@x_y.example", "only letters, digits");
    char name[300] = "a@";
    for (int i = 0; i < 4; i++) strcat(name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.");
    strcat(name, "aa");         /* a domain of 254 */
    assert_int_equal(strlen(name), 256);
    refuses(name, "253 characters");
}

static void rule_1_19_lengths_of_local_part_and_path(void **state) {
    (void)state;
    char expected[1008];
    snprintf(expected, sizeof expected, "|%s", label(64, "", "@x.example"));
    list(label(64, "", "@x.example"), expected);
    refuses(label(65, "", "@x.example"), "more than 64 octets");
    refuses(label(62, "\" ", "\"@x.example"), "more than 64 octets");       /* quotes count on the wire */
    char domain[300] = "@";
    for (int i = 0; i < 3; i++) strcat(domain, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.");
    strcat(domain, "x");        /* "@" and 190 octets: 63 + 191 = 254 */
    snprintf(expected, sizeof expected, "|%s", label(63, "", domain));
    list(label(63, "", domain), expected);
    refuses(label(64, "", domain), "254 octets");
}

static void rule_3_39_the_dot_behind_a_domain_is_dropped(void **state) {
    (void)state;
    list("a@x.example.", "|a@x.example");
    list("<a@x.example.>, b@x.example.", "|a@x.example\n|b@x.example");
}

static void rule_3_40_a_single_label_is_flagged(void **state) {
    (void)state;
    list("a@EXAMPLE", "|a@EXAMPLE|single");
    list("a@localhost, b@x.example", "|a@localhost|single\n|b@x.example");
}

static void rule_3_41_groups(void **state) {
    (void)state;
    list("Team: a@x.example, b@x.example;", "|a@x.example\n|b@x.example");
    list("Empty:;", "");
    list("undisclosed-recipients: (nobody) ;, a@x.example", "|a@x.example");
    list("\"A, B\": Ann <a@x.example>; , C:b@x.example;,D:;", "Ann|a@x.example\n|b@x.example");
    refuses("Team: a@x.example, b@x.example", "a group without its \";\"");
    refuses("Team: Inner: a@x.example;;", "another group inside");
    refuses("Team: \"a;b\"@x.example", "a group without its \";\"");
    refuses("Team: ,;", "an address is missing");
    refuses(": a@x.example;", "");
    list("T: <@r.example:a@x.example>, b@[IPv6:::1];", "|a@x.example\n|b@[IPv6:::1]|literal");
}

static void rule_3_42_dots_in_a_name_are_taken(void **state) {
    (void)state;
    list("Example Inc. <a@x.example>", "Example Inc.|a@x.example");
    list("John Q. Public <j@x.example>", "John Q. Public|j@x.example");
    refuses("a@b <a@x.example>", "belongs to no address");
}

static void rule_3_43_names_in_utf_8_and_encoded_words(void **state) {
    (void)state;
    list("\xe5\xbc\xa0\xe4\xb8\x89 <a@x.example>", "\xe5\xbc\xa0\xe4\xb8\x89|a@x.example");
    list("=?UTF-8?B?5byg?= =?utf-8?b?5LiJ?= <a@x.example>", "\xe5\xbc\xa0\xe4\xb8\x89|a@x.example");
    list("Dr. =?UTF-8?Q?Zo=C3=AB?=  X <a@x.example>", "Dr. Zo\xc3\xab X|a@x.example");
    list("=?gb2312?B?1cXI/Q==?= <a@x.example>", "=?gb2312?B?1cXI/Q==?=|a@x.example");
    list("\"=?UTF-8?Q?a?=\" <a@x.example>", "=?UTF-8?Q?a?=|a@x.example");          /* RFC 2047, 5: none inside quotes */
    refuses("\xff <a@x.example>", "not UTF-8");
    refuses("\"\xc3\" <a@x.example>", "not UTF-8");
}

static void rule_3_44_international_addresses(void **state) {
    (void)state;
    refuses("\xe5\x90\x8d\xe5\x89\x8d@\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "needs SMTPUTF8, which neither the service offers");
    refuses("\"\xc3\xa9\"@x.example", "SMTPUTF8");
    list("a@\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "|a@xn--r8jz45g.xn--zckzah");
    list("Ann <a@b\xc3\xbc" "cher.example>", "Ann|a@xn--bcher-kva.example");
    refuses("a@\xe2\x98\x83.example", "IDNA2008");
    refuses("a@\xff.example", "UTF-8");
}

static void rule_3_45_a_route_is_dropped(void **state) {
    (void)state;
    list("<@r.example:a@x.example>", "|a@x.example");
    list("Ann <@r.example , @s.example: a@x.example>", "Ann|a@x.example");
    refuses("<@r.example>", "no address");
    refuses("<@r.example,a@x.example>", "no address");
    refuses("<@:a@x.example>", "has no domain");
    refuses("@r.example:a@x.example", "nothing before");
}

static void rule_3_46_look_alikes_before_the_at_are_refused(void **state) {
    (void)state;
    refuses("\xef\xbd\x81@x.example", "SMTPUTF8");
    refuses("a\xe2\x80\x8b@x.example", "SMTPUTF8");
}

static void a_full_width_separator_is_named(void **state) {
    (void)state;
    refuses("a@x.example\xef\xbc\x8c" "b@x.example", "full-width comma");
    refuses("a@x.example\xef\xbc\x9b" "b@x.example", "full-width comma or semicolon");
}

static void rule_3_11_line_breaks_and_nul_are_refused_anywhere(void **state) {
    (void)state;
    static const char *const places[] = {"%sa@x.example", "a%s@x.example", "a@%sx.example", "a@x.exa%smple", "a@x.example%s",
                                         "Ann%s <a@x.example>", "\"An%sn\" <a@x.example>", "Ann <a@x.example>%s", "Ann <%sa@x.example>",
                                         "a@x.example (%s)", "a@x.example,%s b@x.example", "\"a%sb\"@x.example", "a@[192.0.2.1%s]",
                                         "T%s: a@x.example;", "<@r.example%s:a@x.example>", "\"a\\%sb\"@x.example", "a@x.example (\\%s)"};
    static const char *const breaks[] = {"\r\n", "\n", "\r", "\r\n ", "\r\n\t"};
    char text[200];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (size_t k = 0; k < sizeof breaks / sizeof *breaks; k++) {
            snprintf(text, sizeof text, places[i], breaks[k]);
            refuses(text, "line break");
        }
        int n = snprintf(text, sizeof text, places[i], "\x01");
        *(char *)memchr(text, '\x01', (size_t)n) = '\0';
        refused((dm_view){text, (size_t)n}, "NUL");
    }
    refuses("a@x.example\r\nBcc: v@x.example", "\"a@x.example\" holds a line break");
    refuses("=?UTF-8?Q?a=0D=0ABcc=3A_b?= <a@x.example>", "hides a line break");
    refuses("=?UTF-8?B?YQBi?= <a@x.example>", "hides a line break or NUL");
}

static void other_control_characters_are_refused(void **state) {
    (void)state;
    refuses("a@x.example\x0b", "control character");
    refuses("\"A\x1b[31m\" <a@x.example>", "control character");
    refuses("a@x.example (\x7f)", "control character");
}

static void a_semicolon_between_addresses_is_taken_and_flagged(void **state) {
    (void)state;
    list("a@x.example; Bo <b@x.example>;c@x.example", "|a@x.example|semicolon\nBo|b@x.example|semicolon\n|c@x.example");
    list("a@x.example;", "|a@x.example");
    list("T: a@x.example; b@x.example", "|a@x.example|semicolon\n|b@x.example");
}

static void an_empty_element_is_refused(void **state) {
    (void)state;
    refuses(",a@x.example", "an address is missing in front of \",\"");
    refuses("a@x.example,,b@x.example", "no address follows");
    refuses("a@x.example, ", "no address follows");
    refuses("a@x.example;;b@x.example", "an address is missing in front of \";\"");
    refuses(";", "an address is missing in front of \";\"");
    list("", "");
    list("  (nobody) ", "");
}

static void one_address_means_one(void **state) {
    (void)state;
    dm_mailbox box;
    dm_error err;
    assert_int_equal(dm_addr_one(BYTES("Ann <ann@x.example> (c)"), &scratch, &box, &err), DM_OK);
    assert_view(box.name, "Ann");
    assert_view(box.address, "ann@x.example");
    assert_int_equal(box.local, 3);
    static const struct { const char *in, *why; } bad[] = {
        {"a@x.example, b@x.example", "another address where one is expected"}, {"a@x.example;", "another address"},
        {"T: a@x.example;", "a group where one address is expected"}, {"a@x.example b", "belongs to no address"},
        {"a@b@c", "second \"@\""}, {"a@x.example\r\n", "line break"}, {"a@x.example\r\nRCPT TO:<v@x.example>", "line break"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(dm_addr_one(dm_view_of(bad[i].in), &scratch, &box, &err), DM_E_ADDRESS);
        if (!strstr(err.detail, bad[i].why)) fail_msg("%s does not say: %s", err.detail, bad[i].why);
    }
    assert_int_equal(dm_addr_one(BYTES("a@x.example\0"), &scratch, &box, NULL), DM_E_ADDRESS);
}

static void an_error_shows_the_address_whole_or_cut(void **state) {
    (void)state;
    refuses("a@x.example, bad..one@x.example, c@x.example", "\"bad..one@x.example\" has");
    refuses(label(300, "a..", "@x.example"), "aaa...\" has");
    char wide[1000] = "..";
    for (int i = 0; i < 200; i++) strcat(wide, "\xe5\xbc\xa0");
    refuses(wide, "...\"");
    refuses("\"\x1b]0;title\x07\"..@x.example", "?]0");
}

static void the_buffer_is_reused_and_its_limit_is_an_error_of_the_address(void **state) {
    (void)state;
    dm_buf small;
    dm_mailbox box;
    dm_error err;
    dm_buf_init(&small, 16);
    assert_int_equal(dm_addr_one(BYTES("a-rather-long-name@x.example"), &small, &box, &err), DM_E_ADDRESS);
    assert_non_null(strstr(err.detail, "is longer than"));
    assert_int_equal(dm_addr_one(BYTES("\"a rather long name\" <a@x>"), &small, &box, &err), DM_E_ADDRESS);
    assert_int_equal(dm_addr_one(BYTES("=?utf-8?Q?a_rather_long_name?= <a@x>"), &small, &box, &err), DM_E_ADDRESS);
    assert_int_equal(dm_addr_one(BYTES("a@x.example"), &small, &box, &err), DM_OK);
    assert_view(box.address, "a@x.example");
    dm_buf_clear(&small);
}

/* What we write of a mailbox, we read as the same mailbox. */
static void any_name_and_local_part_come_back(void **state) {
    (void)state;
    uint64_t seed = 0x6164647200000001;
    dm_buf header;
    dm_buf_init(&header, 100000);
    for (int round = 0; round < 3000; round++) {
        uint64_t was = seed;
        char name[600], local[60];
        size_t n = 0, m = 0, count = random_below(&seed, 60);
        for (size_t i = 0; i < count; i++) n += random_character(&seed, name + n);
        while (n > 0 && (name[n - 1] == ' ' || name[n - 1] == '\t')) n--;
        count = 1 + random_below(&seed, 20);
        for (size_t i = 0; i < count; i++) local[m++] = (char)(random_below(&seed, 3) ? 'a' + random_below(&seed, 26) : 32 + random_below(&seed, 95));
        header.n = 0;
        size_t column = 4;
        dm_word_phrase(&header, (dm_view){name, n}, &column);
        dm_buf_adds(&header, " <\"");
        for (size_t i = 0; i < m; i++) {
            if (local[i] == '"' || local[i] == '\\') dm_buf_addc(&header, '\\');
            dm_buf_addc(&header, local[i]);
        }
        dm_buf_adds(&header, "\"@x.example>");
        size_t to = 0;          /* unfolded */
        for (size_t i = 0; i < header.n; i++)
            if (header.p[i] != '\r' && header.p[i] != '\n') header.p[to++] = header.p[i];
        header.n = to;
        dm_mailbox box, again;
        dm_error err = {0};
        bool good = dm_addr_one(dm_buf_view(&header), &scratch, &box, &err) == DM_OK && box.name.n == n &&
                    (n == 0 || memcmp(box.name.p, name, n) == 0);
        if (!good) fail_msg("seed %#llx: %s: %.*s", (unsigned long long)was, err.detail, (int)header.n, header.p);
        char wire[400];         /* the wire form reads as itself */
        size_t wire_n = box.address.n;
        memcpy(wire, box.address.p, wire_n);
        unsigned flags = box.flags;
        good = dm_addr_one((dm_view){wire, wire_n}, &scratch, &again, &err) == DM_OK && again.address.n == wire_n &&
               memcmp(again.address.p, wire, wire_n) == 0 && again.flags == flags;
        if (!good) fail_msg("seed %#llx: %.*s", (unsigned long long)was, (int)wire_n, wire);
    }
    dm_buf_clear(&header);
}

static void any_text_gives_addresses_or_a_sentence(void **state) {
    (void)state;
    uint64_t seed = 0x6164647200000002;
    static const char *const pieces[] = {"a", "b.c", "@", "x.example", "<", ">", ",", ";", ":", "\"", "\\", "(", ")", "[", "]", " ",
                                         "192.0.2.1", "IPv6:", "::1", "=?utf-8?Q?a?=", "\xc3\xa9", "\xff", "\r\n", "xn--", ".", "a@x.example"};
    for (int round = 0; round < 30000; round++) {
        char in[400] = "";
        size_t count = random_below(&seed, 14);
        for (size_t i = 0; i < count; i++) strcat(in, pieces[random_below(&seed, sizeof pieces / sizeof *pieces)]);
        const char *got = listed(dm_view_of(in));       /* checks inside */
        if (got[0] != '!' && strpbrk(got, "\r")) fail_msg("%s gave %s", in, got);
    }
}

static void a_long_list_is_read_in_linear_time(void **state) {
    (void)state;
    dm_buf text;
    dm_view rest;
    dm_mailbox box;
    size_t count = 0;
    dm_buf_init(&text, 10000000);
    for (int i = 0; i < 100000; i++) dm_buf_adds(&text, "G: Ann <a@x.example>;,");
    dm_buf_adds(&text, "z@x.example");
    rest = dm_buf_view(&text);
    while (dm_addr_next(&rest, &scratch, &box, NULL) == DM_OK) count++;
    assert_int_equal(count, 100001);
    dm_buf_clear(&text);
}

static void a_failed_allocation_is_reported(void **state) {
    (void)state;
    static const char *const texts[] = {"Ann <ann@x.example>", "\"a b\"@x.example", "=?UTF-8?Q?Zo=C3=AB?= =?iso-8859-1?Q?=E9?= <a@x.example>",
                                        ("a@b\xc3\xbc" "cher.example"), "a@[192.0.2.1]", "A rather long name that makes the buffer grow twice <a@x.example>"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        DM_EVERY_ALLOCATION_FAILS_ONCE {
            dm_buf b;
            dm_mailbox box;
            dm_error err = {0};
            dm_view rest = dm_view_of(texts[i]);
            dm_buf_init(&b, 1000);
            dm_code code = dm_addr_next(&rest, &b, &box, &err);
            assert_int_equal(code, dm_alloc_failed() ? DM_E_MEMORY : DM_OK);
            assert_int_equal(err.code, code);
            dm_buf_clear(&b);
        }
    }
}

static int begin(void **state) {
    (void)state;
    dm_buf_init(&scratch, 100000);
    return 0;
}

static int end(void **state) {
    (void)state;
    dm_buf_clear(&scratch);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_3_30_a_name_and_an_address),
        cmocka_unit_test(rule_3_31_a_quoted_comma_does_not_separate),
        cmocka_unit_test(rule_3_32_comments_nest),
        cmocka_unit_test(rule_3_33_quoted_local_parts),
        cmocka_unit_test(quotes_that_are_not_needed_are_left_away),
        cmocka_unit_test(rule_3_34_atoms),
        cmocka_unit_test(rule_3_35_dots_in_the_wrong_place),
        cmocka_unit_test(rule_3_36_what_is_no_address),
        cmocka_unit_test(rule_3_37_address_literals),
        cmocka_unit_test(rule_3_38_domains_that_cannot_be),
        cmocka_unit_test(rule_1_19_lengths_of_local_part_and_path),
        cmocka_unit_test(rule_3_39_the_dot_behind_a_domain_is_dropped),
        cmocka_unit_test(rule_3_40_a_single_label_is_flagged),
        cmocka_unit_test(rule_3_41_groups),
        cmocka_unit_test(rule_3_42_dots_in_a_name_are_taken),
        cmocka_unit_test(rule_3_43_names_in_utf_8_and_encoded_words),
        cmocka_unit_test(rule_3_44_international_addresses),
        cmocka_unit_test(rule_3_45_a_route_is_dropped),
        cmocka_unit_test(rule_3_46_look_alikes_before_the_at_are_refused),
        cmocka_unit_test(a_full_width_separator_is_named),
        cmocka_unit_test(rule_3_11_line_breaks_and_nul_are_refused_anywhere),
        cmocka_unit_test(other_control_characters_are_refused),
        cmocka_unit_test(a_semicolon_between_addresses_is_taken_and_flagged),
        cmocka_unit_test(an_empty_element_is_refused),
        cmocka_unit_test(one_address_means_one),
        cmocka_unit_test(an_error_shows_the_address_whole_or_cut),
        cmocka_unit_test(the_buffer_is_reused_and_its_limit_is_an_error_of_the_address),
        cmocka_unit_test(any_name_and_local_part_come_back),
        cmocka_unit_test(any_text_gives_addresses_or_a_sentence),
        cmocka_unit_test(a_long_list_is_read_in_linear_time),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
