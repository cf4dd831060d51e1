/* html_fuzz.c - libFuzzer: any octets become events that nest, within the limits, or a reason. */
#include <stdlib.h>
#include <string.h>

#include "html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only what is UTF-8 gets out (RFC 3629), without NUL. */
static bool is_text(dm_view v) {
    for (size_t i = 0; i < v.n;) {
        unsigned char c = (unsigned char)v.p[i];
        size_t n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
        if (c == 0 || n == 0 || i + n > v.n) return false;
        for (size_t k = 1; k < n; k++)
            if (((unsigned char)v.p[i + k] & 0xC0) != 0x80) return false;
        i += n;
    }
    return true;
}

static void must(bool claim) {
    if (!claim) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const dm_html_limits limits = {.octets = 1 << 16, .memory = 8 << 20, .nodes = 5000, .depth = 64, .attributes = 20};
    char why[128];
    dm_html_event e;
    size_t depth = 0, events = 0;
    char *text = malloc(size + 1);      /* a NUL behind it, as in Lua */
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    dm_html *h = dm_html_parse((dm_view){text, size}, &limits, why);
    if (!h) {
        free(text);
        must(why[0] != '\0' && memchr(why, '\0', sizeof why));
        return 0;
    }
    while (dm_html_next(h, &e)) {
        must(++events <= 2 * limits.nodes);
        must(is_text(e.name) && is_text(e.text));
        for (size_t i = 0; i < e.name.n; i++) must((e.name.p[i] > ' ' && e.name.p[i] < 127) || e.kind == DM_HTML_DOCTYPE);
        if (e.kind == DM_HTML_CLOSE) must(depth-- > 0);
        if (e.kind != DM_HTML_OPEN) continue;
        must(e.name.n > 0 && ++depth <= limits.depth && e.attributes <= limits.attributes);
        for (size_t i = 0; i < e.attributes; i++) {
            dm_view name, value;
            dm_html_attribute(&e, i, &name, &value);
            must(is_text(name) && is_text(value));
        }
    }
    must(depth == 0);
    dm_html_free(h);
    free(text);
    return 0;
}
