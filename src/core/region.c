/* region.c - Direct Mail's regions, whose host a name is, and which region a program should take. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Lists are words with a blank between; NULL stands for any. */
struct rule {
    const char *id;
    const char *deployed, *recipients, *via;
    const char *choose;
    const char *why;
};

struct place {
    bool prefix;                /* of Alibaba Cloud's region ids; else a word */
    const char *name;
    const char *place;          /* the word that the rules know */
    const char *near;           /* regions, the closest first */
    const char *label;
};

#include "region.inc"

#define COUNT(a) (sizeof(a) / sizeof *(a))

_Static_assert(COUNT(regions) <= DM_REGIONS, "room for the regions");

/* ---- lists of words ----------------------------------------------------- */

static dm_view next_word(const char **list) {
    const char *p = *list;
    while (*p == ' ') p++;
    size_t n = strcspn(p, " ");
    *list = p + n;
    dm_view word = {p, n};
    return word;
}

static bool holds(const char *list, dm_view word) {
    for (dm_view w = next_word(&list); w.n > 0; w = next_word(&list))
        if (w.n == word.n && memcmp(w.p, word.p, w.n) == 0) return true;
    return false;
}

/* ---- regions ------------------------------------------------------------ */

const dm_region *dm_regions(size_t *count) {
    *count = COUNT(regions);
    return regions;
}

const dm_region *dm_region_find(dm_view id) {
    for (size_t i = 0; i < COUNT(regions); i++)
        if (dm_view_is(id, regions[i].id)) return &regions[i];
    return NULL;
}

static bool is_host(dm_view host, const char *name) { return name && dm_view_same(host, name); }

const dm_region *dm_region_of_host(dm_view host, bool *legacy) {
    if (legacy) *legacy = false;
    if (host.n > 0 && host.p[host.n - 1] == '.') host.n--;      /* "smtpdm.aliyun.com." is the same name */
    for (size_t i = 0; i < COUNT(regions); i++) {
        const dm_region *r = &regions[i];
        if (is_host(host, r->api) || is_host(host, r->api_vpc) || is_host(host, r->smtp)) return r;
        if (is_host(host, r->smtp_legacy)) {
            if (legacy) *legacy = true;
            return r;
        }
    }
    return NULL;
}

/* ---- the choice --------------------------------------------------------- */

/* What was asked, understood. */
struct asked {
    const struct place *place;
    const dm_region *home;      /* the program runs in a region that Direct Mail has, too */
    dm_view recipients;
    bool gone[DM_REGIONS];      /* taken away by residency, or closed */
};

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void reason(dm_route *out, const char *rule, const char *format, ...) {
    if (out->reason_count == DM_ROUTE_REASONS) return;
    va_list args;
    va_start(args, format);
    vsnprintf(out->reasons[out->reason_count].text, sizeof out->reasons[0].text, format, args);
    va_end(args);
    out->reasons[out->reason_count++].rule = rule;
}

static const struct place *find_place(dm_view deployed) {
    for (size_t i = 0; i < COUNT(places); i++) {
        const struct place *p = &places[i];
        size_t n = strlen(p->name);
        if (!p->prefix) {
            if (dm_view_is(deployed, p->name)) return p;
        } else if (deployed.n >= n && memcmp(deployed.p, p->name, n) == 0) {
            return p;
        }
    }
    return NULL;
}

/* A region id of Alibaba Cloud: lower case, digits and single hyphens, something behind the first. */
static bool is_region_id(dm_view v) {
    if (v.n < 4 || v.n > 32 || v.p[v.n - 1] == '-') return false;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c == '-' && i > 0 && v.p[i - 1] == '-') return false;
        if (!(c >= 'a' && c <= 'z') && !dm_is_digit(c) && c != '-') return false;
    }
    return true;
}

static bool says(const char *list, dm_view word) { return !list || holds(list, word); }

/* Does the rule hold, as far as what was said goes? */
static bool fits(const struct rule *r, const struct asked *a, dm_view via) {
    return says(r->deployed, dm_view_of(a->place->place)) && says(r->recipients, a->recipients) && says(r->via, via);
}

/* The rule's region that is closest to the program, of those that are left; NULL when none is. */
static const dm_region *closest(const struct rule *r, const struct asked *a) {
    if (a->home && holds(r->choose, dm_view_of(a->home->id)) && !a->gone[a->home - regions]) return a->home;
    const char *near = a->place->near;
    for (dm_view w = next_word(&near); w.n > 0; w = next_word(&near)) {
        const dm_region *region = dm_region_find(w);
        if (region && holds(r->choose, w) && !a->gone[region - regions]) return region;
    }
    const char *choose = r->choose;
    for (dm_view w = next_word(&choose); w.n > 0; w = next_word(&choose)) {
        const dm_region *region = dm_region_find(w);
        if (region && !a->gone[region - regions]) return region;
    }
    return NULL;
}

/* First match wins. 'skipped' becomes the first rule that fits and whose regions are all gone. */
static const struct rule *decide(const struct asked *a, dm_view via, const dm_region **region, const struct rule **skipped) {
    *skipped = NULL;
    for (size_t i = 0; i < COUNT(rules); i++) {
        if (!fits(&rules[i], a, via)) continue;
        *region = closest(&rules[i], a);
        if (*region) return &rules[i];
        if (!*skipped) *skipped = &rules[i];
    }
    return NULL;
}

static dm_code understand(struct asked *a, const dm_route_request *in, dm_error *err) {
    memset(a, 0, sizeof *a);
    a->recipients = in->recipients;
    if (in->deployed.n == 0)
        return dm_fail(err, DM_E_OPTION, "deployed", "say where the program runs: cn, us, sg, other, or a region id");
    a->place = find_place(in->deployed);
    if (!a->place || (a->place->prefix && !is_region_id(in->deployed)))
        return dm_fail(err, DM_E_OPTION, "deployed", "\"%.*s\" is not one of cn, us, sg, other, or a region id such as eu-central-1",
                       in->deployed.n > 60 ? 60 : (int)in->deployed.n, in->deployed.p);
    a->home = dm_region_find(in->deployed);
    if (a->home && !a->home->open)
        return dm_fail(err, DM_E_OPTION, "deployed",
                       "Direct Mail's region %s is closed and us-east-1 is its successor: say us-east-1, or other when only the program runs there",
                       a->home->id);
    if (in->recipients.n > 0 && !holds("cn world", in->recipients))
        return dm_fail(err, DM_E_OPTION, "recipients", "\"%.*s\" is not one of cn, world",
                       in->recipients.n > 60 ? 60 : (int)in->recipients.n, in->recipients.p);
    if (in->recipients.n == 0 && strcmp(a->place->place, "cn") != 0)        /* R1 does not ask */
        return dm_fail(err, DM_E_OPTION, "recipients", "say where most readers are: cn or world");
    if (!holds("smtp api", in->via))
        return dm_fail(err, DM_E_OPTION, "via", "\"%.*s\" is not one of smtp, api",
                       in->via.n > 60 ? 60 : (int)in->via.n, in->via.n ? in->via.p : "");
    for (size_t i = 0; i < COUNT(regions); i++) a->gone[i] = !regions[i].open;
    return DM_OK;
}

/* R0: residency takes regions away before the rules run. */
static dm_code reside(struct asked *a, const dm_route_request *in, dm_error *err) {
    if (in->residency_count == 0) return DM_OK;
    bool left = false;
    for (size_t i = 0; i < COUNT(regions); i++) {
        bool may = false;
        for (size_t k = 0; k < in->residency_count; k++)
            if (regions[i].data[0] && dm_view_same(in->residency[k], regions[i].data)) may = true;
        if (!may) a->gone[i] = true;
        if (!a->gone[i]) left = true;
    }
    if (left) return DM_OK;
    char where[64];
    size_t n = 0;
    for (size_t i = 0; i < COUNT(regions); i++)
        if (regions[i].open)
            n += (size_t)snprintf(where + n, sizeof where - n, "%s%s", n ? ", " : "", regions[i].data);
    return dm_fail(err, DM_E_OPTION, "residency", "R0: no region is left, Direct Mail keeps data in %s only", where);
}

static void add_port(dm_route *out, int port, dm_tls tls) {
    out->ports[out->port_count].port = port;
    out->ports[out->port_count++].tls = tls;
}

dm_code dm_route_choose(dm_route *out, const dm_route_request *in, dm_error *err) {
    struct asked a;
    memset(out, 0, sizeof *out);
    dm_code code = understand(&a, in, err);
    if (code == DM_OK) code = reside(&a, in, err);
    if (code != DM_OK) return code;

    const struct rule *skipped;
    const struct rule *r = decide(&a, in->via, &out->region, &skipped);
    if (!r && skipped)
        return dm_fail(err, DM_E_OPTION, "residency", "R0: %s would choose %s, but residency allows none of these", skipped->id,
                       skipped->choose);
    if (!r) return dm_fail(err, DM_E_OPTION, "deployed", "no rule says which region to take");

    reason(out, r->id, "%s", r->why);
    if (strchr(r->choose, ' ')) {
        if (a.home == out->region)
            reason(out, r->id, "%s is the region in which your program runs", out->region->id);
        else
            reason(out, r->id, "%s is the closest region%s to a program in %s", out->region->id,
                   in->residency_count ? " that is left" : "", a.place->label);
    }
    if (in->residency_count) {
        if (skipped)
            reason(out, "R0", "%s comes first and would choose %s, but residency does not allow it", skipped->id, skipped->choose);
        else
            reason(out, "R0", "residency allows %s: data of this region lie there", out->region->data);
    }
    if (a.place->prefix && !a.home)
        reason(out, "place", "Direct Mail has no region %.*s: it is taken as a program in %s", (int)in->deployed.n, in->deployed.p,
               a.place->label);
    /* The other method may lead elsewhere, and nothing moves along with it. */
    const dm_region *other;
    const struct rule *other_skipped;
    dm_view via = dm_view_of(dm_view_is(in->via, "smtp") ? "api" : "smtp");
    const struct rule *o = decide(&a, via, &other, &other_skipped);
    if (o && other != out->region)
        reason(out, o->id, "by %s it would be %s: changing the method moves the region, and senders do not move along",
               via.n == 3 ? "API" : "SMTP", other->id);
    reason(out, "senders", "%s", hint_senders);
    reason(out, "legal", "%s", hint_legal);
    reason(out, "ports", "%s", in->ecs == 1 ? hint_ecs : hint_ports);

    /* https://www.alibabacloud.com/help/en/direct-mail/smtp-endpoints */
    add_port(out, 465, DM_TLS_IMPLICIT);
    add_port(out, 80, DM_TLS_STARTTLS);
    if (in->ecs != 1) add_port(out, 25, DM_TLS_STARTTLS);
    return DM_OK;
}
