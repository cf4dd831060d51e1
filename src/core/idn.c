/* idn.c - domain names as A-labels: UTS 46 non-transitional, IDNA2008, and the LDH rule of RFC 1123. */
#include "buf.h"

#include <idn2.h>
#include <string.h>

enum {
    LABEL_MAX = 63,
    DOMAIN_MAX = 253,           /* RFC 1035, 2.3.4, without the length octets at both ends */
    INPUT_MAX = 1024,           /* no name within the limits takes more octets of UTF-8 */
    SHOWN = 80
};

static dm_code refuse(dm_error *err, dm_view domain, const char *why) {
    char shown[SHOWN + 4];      /* whole characters, cut to fit */
    size_t n = 0;
    while (n < domain.n) {
        dm_view rest = {domain.p + n, domain.n - n};
        size_t step = dm_utf8_step(rest);
        if (step == 0 || n + step > SHOWN) break;
        n += step;
    }
    memcpy(shown, domain.p, n);
    memcpy(shown + n, n < domain.n ? "..." : "", n < domain.n ? 4 : 1);
    return dm_fail(err, DM_E_ADDRESS, "", "\"%s\" is no domain name: %s", shown, why);
}

static bool is_prefix(const char *label, size_t n) {    /* "xn--", RFC 5890, 2.3.2.1 */
    return n >= 4 && dm_lower((unsigned char)label[0]) == 'x' && dm_lower((unsigned char)label[1]) == 'n' &&
           label[2] == '-' && label[3] == '-';
}

/* What is wrong with one label of ASCII, or NULL. */
static const char *label_fault(const char *p, size_t n) {
    if (n == 0) return "two dots have nothing between them, or a dot stands first";
    if (n > LABEL_MAX) return "the part between two dots is longer than 63 characters";
    for (size_t i = 0; i < n; i++)
        if (!dm_is_alpha((unsigned char)p[i]) && !dm_is_digit((unsigned char)p[i]) && p[i] != '-')
            return "only letters, digits, hyphens and dots can be in it";
    if (p[0] == '-' || p[n - 1] == '-') return "the part between two dots begins or ends with a hyphen";
    if (n >= 4 && p[2] == '-' && p[3] == '-' && !is_prefix(p, n))
        return "hyphens as third and fourth character are reserved";    /* RFC 5891, 4.2.3.1 */
    return NULL;
}

static const char *name_fault(dm_view name) {
    for (size_t from = 0; from <= name.n;) {
        const char *dot = from < name.n ? memchr(name.p + from, '.', name.n - from) : NULL;
        size_t end = dot ? (size_t)(dot - name.p) : name.n;
        const char *fault = label_fault(name.p + from, end - from);
        if (fault) return fault;
        from = end + 1;
    }
    return name.n > DOMAIN_MAX ? "it is longer than 253 characters" : NULL;
}

/* Our own words: libidn2's follow the locale. */
static const char *reason(int rc) {
    switch (rc) {
    case IDN2_PUNYCODE_BAD_INPUT: case IDN2_PUNYCODE_OVERFLOW:
    case IDN2_INVALID_ALABEL: case IDN2_UALABEL_MISMATCH: case IDN2_ALABEL_ROUNDTRIP_FAILED:
        return "a part that begins with xn-- encodes no name";
    case IDN2_TOO_BIG_DOMAIN: return "it is longer than 253 characters";
    case IDN2_TOO_BIG_LABEL: case IDN2_PUNYCODE_BIG_OUTPUT:
        return "the part between two dots is longer than 63 characters";
    case IDN2_2HYPHEN: return "hyphens as third and fourth character are reserved";
    case IDN2_HYPHEN_STARTEND: return "the part between two dots begins or ends with a hyphen";
    case IDN2_LEADING_COMBINING: return "a part begins with a combining mark";
    case IDN2_CONTEXTJ: case IDN2_CONTEXTJ_NO_RULE: case IDN2_CONTEXTO: case IDN2_CONTEXTO_NO_RULE:
        return "a joiner or sign stands where IDNA2008 does not allow it";
    case IDN2_BIDI: return "left-to-right and right-to-left characters are mixed against RFC 5893";
    default: return "IDNA2008 does not allow one of its characters";
    }
}

dm_code dm_idn(dm_buf *out, dm_view domain, dm_error *err) {
    if (domain.n == 0) return refuse(err, dm_view_of(""), "it is empty");
    if (!dm_one_line(domain)) return refuse(err, dm_view_of("..."), "a line break or NUL is inside");
    if (domain.n > INPUT_MAX) return refuse(err, domain, "it is longer than 253 characters");
    bool ascii = true, labels = false;
    for (size_t i = 0; i < domain.n; i++) {
        if ((unsigned char)domain.p[i] >= 0x80) ascii = false;
        if ((i == 0 || domain.p[i - 1] == '.') && is_prefix(domain.p + i, domain.n - i)) labels = true;
    }
    dm_view name = domain;
    if (ascii) {                /* as it stands, in its own letter case */
        if (name.p[name.n - 1] == '.' && name.n > 1) name.n--;          /* the root's dot is not sent */
        const char *fault = name_fault(name);
        if (fault) return refuse(err, domain, fault);
        if (!labels) return dm_buf_addv(out, name);
    } else if (!dm_utf8_valid(domain, NULL)) {
        return refuse(err, domain, "it is not UTF-8");
    }

    char text[INPUT_MAX + 1];
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    uint8_t *looked_up = NULL;
    int rc = idn2_lookup_u8((const uint8_t *)text, &looked_up, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc == IDN2_MALLOC) return dm_fail(err, DM_E_MEMORY, "", "%s", dm_code_text(DM_E_MEMORY));
    if (rc != IDN2_OK) return refuse(err, domain, reason(rc));
    if (!ascii) {
        name = dm_view_of((const char *)looked_up);
        if (name.n > 1 && name.p[name.n - 1] == '.') name.n--;          /* an ideographic full stop became one */
    }
    /* What was mapped is judged again: libidn2 lets blanks, signs and empty labels pass. */
    const char *fault = name_fault(name);
    dm_code code = fault ? refuse(err, domain, fault) : dm_buf_addv(out, name);
    idn2_free(looked_up);
    return code;
}
