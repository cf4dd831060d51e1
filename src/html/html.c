/*
** html.c - gumbo's tree, made within limits and walked as a row of events.
**
** gumbo (0.10) asks for memory without looking whether it got some, has no limit of depth, and searches its stack of open
** elements for each tag: without more, 200 KB of "<div>" cost seconds. All its memory comes from here, so this file sees each
** node being made; at the first one over a limit it leaves the parser by longjmp(), and frees what it had given.
** Its own destructor is never called: that one is recursive.
*/
#include "html.h"

#include <gumbo.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_OCTETS = 64,           /* of an element's name that HTML does not know; the rest is cut */
    FIRST_POOL = 64,            /* nodes of the first pool; each further one is twice as large */
    POOLS = 28,
    YOUNG = 4                   /* nodes that may not yet be in the tree: the parser makes a tag's element, then the text before it */
};

#define TOO_WIDE "an element has more than %u attributes"
#define TOO_DEEP "its elements are nested more than %u deep"

typedef struct ring {
    struct ring *before, *after;
} ring;

/* A block for anything but a node, in a ring so that all can be freed. */
typedef struct block {
    ring at;                    /* first: its place in the ring is the block */
    size_t size;
    alignas(max_align_t) char bytes[];
} block;

/* A node beside its depth. Strings that happen to have a node's size lie here too, so 'parent' is looked up before it is used. */
typedef struct slot {
    GumboNode node;             /* first: gumbo's pointer to the node is ours to the slot */
    unsigned depth;
} slot;

typedef struct pool {
    slot *slots;
    size_t used, room;
} pool;

typedef struct level {
    const GumboNode *node;
    unsigned next;              /* which child comes next */
} level;

struct dm_html {
    ring ring;
    pool pools[POOLS];
    size_t pool_count;
    size_t memory;              /* octets given and not taken back */
    size_t nodes;
    size_t attributes;          /* given since the last node and not taken back: those of one tag */
    slot *young[YOUNG];
    slot *root, *body;          /* a second <html> or <body> adds its attributes to the first */
    dm_html_limits most;
    char *why;
    jmp_buf out;
    char *tamed;                /* the document, when it could not be read as it was */
    const GumboNode *document;
    level *levels;              /* the way down to where the walk is */
    unsigned depth;
    bool doctype_told;
    char name[NAME_OCTETS];
};

_Noreturn static void leave(dm_html *h, const char *format, unsigned number) {
    snprintf(h->why, 128, format, number);
    longjmp(h->out, 1);
}

/* The slot of a node that may be none. */
static slot *slot_of(const dm_html *h, const GumboNode *node) {
    uintptr_t p = (uintptr_t)node;
    for (size_t i = h->pool_count; i-- > 0;) {
        uintptr_t first = (uintptr_t)h->pools[i].slots;
        if (p >= first && p < first + h->pools[i].used * sizeof(slot) && (p - first) % sizeof(slot) == 0) return (slot *)p;
    }
    return NULL;
}

static void count_attributes(dm_html *h, const slot *s) {
    if (s && s->node.v.element.attributes.length > h->most.attributes) leave(h, TOO_WIDE, h->most.attributes);
}

/* Now that the newest nodes are in the tree: how deep are they? */
static void measure(dm_html *h) {
    count_attributes(h, h->root);
    count_attributes(h, h->body);
    for (size_t i = 0; i < YOUNG; i++) {
        slot *parent = h->young[i] ? slot_of(h, h->young[i]->node.parent) : NULL;
        if (!parent) continue;
        if (h->young[i]->node.type == GUMBO_NODE_ELEMENT && h->young[i]->node.v.element.tag_namespace == GUMBO_NAMESPACE_HTML) {
            if (h->young[i]->node.v.element.tag == GUMBO_TAG_HTML) h->root = h->young[i];
            if (h->young[i]->node.v.element.tag == GUMBO_TAG_BODY) h->body = h->young[i];
        }
        h->young[i]->depth = parent->depth + 1;
        /* document, and the text below the deepest element */
        if (h->young[i]->depth > h->most.depth + 1) leave(h, TOO_DEEP, h->most.depth);
    }
}

static void *give_node(dm_html *h) {
    pool *p = h->pool_count > 0 ? &h->pools[h->pool_count - 1] : NULL;
    measure(h);
    if (++h->nodes > h->most.nodes) leave(h, "it has more than %u elements and texts", h->most.nodes);
    if (!p || p->used == p->room) {
        size_t room = p ? p->room * 2 : FIRST_POOL;
        if (h->pool_count == POOLS) leave(h, "out of memory", 0);
        p = &h->pools[h->pool_count];
        p->slots = malloc(room * sizeof(slot));
        if (!p->slots) leave(h, "out of memory", 0);
        p->used = 0;
        p->room = room;
        h->pool_count++;
    }
    slot *s = &p->slots[p->used++];
    memset(s, 0, sizeof *s);
    memmove(h->young + 1, h->young, (YOUNG - 1) * sizeof *h->young);
    h->young[0] = s;
    h->attributes = 0;
    return &s->node;
}

/* The parser confuses an element of SVG or MathML with HTML's of that name, and ends the process by assert():
** "<table><th><svg><select><desc><table><table>". Those that it need not know lose their tag before the next one comes. */
static void estrange(dm_html *h) {
    for (size_t i = 0; i < YOUNG; i++) {
        if (!h->young[i] || h->young[i]->node.type != GUMBO_NODE_ELEMENT) continue;
        GumboElement *e = &h->young[i]->node.v.element;
        if (e->tag_namespace == GUMBO_NAMESPACE_HTML) continue;
        switch (e->tag) {
        case GUMBO_TAG_SVG: case GUMBO_TAG_MATH:
        case GUMBO_TAG_FOREIGNOBJECT: case GUMBO_TAG_DESC: case GUMBO_TAG_TITLE: case GUMBO_TAG_ANNOTATION_XML:     /* HTML begins again in them */
        case GUMBO_TAG_MI: case GUMBO_TAG_MO: case GUMBO_TAG_MN: case GUMBO_TAG_MS: case GUMBO_TAG_MTEXT:
            break;
        default:
            e->tag = GUMBO_TAG_UNKNOWN;
        }
    }
}

static void *give(void *userdata, size_t size) {
    dm_html *h = userdata;
    estrange(h);
    if (size > h->most.memory - h->memory) leave(h, "it takes too much memory: its elements are not closed, or nested without end", 0);
    h->memory += size;
    if (size == sizeof(GumboNode)) return give_node(h);
    if (size == sizeof(GumboAttribute) && ++h->attributes > h->most.attributes)
        leave(h, TOO_WIDE, h->most.attributes);
    block *b = malloc(sizeof *b + size);
    if (!b) leave(h, "out of memory", 0);
    b->size = size;
    b->at = (ring){&h->ring, h->ring.after};
    h->ring.after->before = &b->at;
    h->ring.after = &b->at;
    return b->bytes;
}

static void take(void *userdata, void *p) {
    dm_html *h = userdata;
    if (!p || slot_of(h, p)) return;            /* nodes go all at once */
    block *b = (block *)(void *)((char *)p - offsetof(block, bytes));
    h->memory -= b->size;
    if (b->size == sizeof(GumboAttribute) && h->attributes > 0) h->attributes--;
    b->at.before->after = b->at.after;
    b->at.after->before = b->at.before;
    free(b);
}

void dm_html_free(dm_html *h) {
    if (!h) return;
    for (ring *l = h->ring.after, *after; l != &h->ring; l = after) {
        after = l->after;
        free(l);
    }
    for (size_t i = 0; i < h->pool_count; i++) free(h->pools[i].slots);
    free(h->tamed);
    free(h->levels);
    free(h);
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* -- the walk ---------------------------------------------------------------*/

static void start(dm_html *h) {
    h->levels[0] = (level){h->document, 0};
    h->depth = 1;
}

static bool is_element(const GumboNode *node) { return node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE; }

/* One step: into an element, out of it, or past a text. At the end, out of the document, depth is 0. */
static dm_html_kind step(dm_html *h, const GumboNode **node) {
    level *top = &h->levels[h->depth - 1];
    const GumboVector *children = top->node->type == GUMBO_NODE_DOCUMENT ? &top->node->v.document.children : &top->node->v.element.children;
    if (top->next == children->length) {
        *node = top->node;
        h->depth--;
        return DM_HTML_CLOSE;
    }
    *node = children->data[top->next++];
    if (!is_element(*node)) return (*node)->type == GUMBO_NODE_COMMENT ? DM_HTML_COMMENT : DM_HTML_TEXT;
    h->levels[h->depth++] = (level){*node, 0};
    return DM_HTML_OPEN;
}

/* gumbo adds up the digits of &#…; in an int without looking: &#x80000000; becomes a NUL, and the text behind it is lost. Numbers
** with too many digits get others, which make U+FFFD as they should; nothing moves. Returns false when memory is short. */
static bool tame(dm_html *h, dm_view *in) {
    const char *end = in->p + in->n, *p = in->p;
    while (p < end && (p = memchr(p, '&', (size_t)(end - p))) != NULL) {
        p++;
        if (end - p < 2 || *p != '#') continue;
        bool hex = p[1] == 'x' || p[1] == 'X';
        size_t most = hex ? 6 : 7;
        const char *from = p + (hex ? 2 : 1);
        while (from < end && *from == '0') from++;
        for (p = from; p < end && ((*p >= '0' && *p <= '9') || (hex && lower(*p) >= 'a' && lower(*p) <= 'f')); p++) {}
        if ((size_t)(p - from) <= most) continue;
        if (!h->tamed) {
            h->tamed = malloc(in->n + 1);
            if (!h->tamed) return false;
            memcpy(h->tamed, in->p, in->n);
            h->tamed[in->n] = '\0';
        }
        char *digits = h->tamed + (from - in->p);
        size_t n = (size_t)(p - from);
        memset(digits, '0', n - most);
        memset(digits + n - most, hex ? 'F' : '9', most);
    }
    if (h->tamed) in->p = h->tamed;
    return true;
}

dm_html *dm_html_parse(dm_view in, const dm_html_limits *limits, char why[128]) {
    why[0] = '\0';
    if (in.n > limits->octets) {
        snprintf(why, 128, "it has %zu octets, and %zu are the most", in.n, limits->octets);
        return NULL;
    }
    dm_html *h = calloc(1, sizeof *h);
    if (h) h->levels = malloc((limits->depth + 3) * sizeof *h->levels);
    if (!h || !h->levels) {
        free(h);
        snprintf(why, 128, "out of memory");
        return NULL;
    }
    h->ring.before = h->ring.after = &h->ring;
    h->most = *limits;
    h->why = why;
    if (!tame(h, &in)) {
        snprintf(why, 128, "out of memory");
        dm_html_free(h);
        return NULL;
    }
    if (in.n >= 3 && memcmp(in.p, "\xEF\xBB\xBF", 3) == 0) in.p += 3, in.n -= 3;
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = give;
    options.deallocator = take;
    options.userdata = h;
    options.tab_stop = 1;       /* editors count a tab as one column */
    options.max_errors = 0;     /* nobody reads them */
    if (setjmp(h->out) != 0) {
        dm_html_free(h);
        return NULL;
    }
    h->document = gumbo_parse_with_options(&options, in.n > 0 ? in.p : "", in.n)->document;
    start(h);
    /* The parser was watched while it made the tree, so that it ends in time; that it moved a whole subtree further down shows only now. */
    for (const GumboNode *node; h->depth > 0;)
        if (step(h, &node) == DM_HTML_OPEN) {
            if (h->depth > h->most.depth + 1) leave(h, TOO_DEEP, h->most.depth);
            if (node->v.element.attributes.length > h->most.attributes) leave(h, TOO_WIDE, h->most.attributes);
        }
    start(h);
    return h;
}

/* -- the events -------------------------------------------------------------*/

static dm_view view_of(const char *text) { return (dm_view){text, text ? strlen(text) : 0}; }

static dm_view name_of(dm_html *h, const GumboElement *e) {
    if (e->tag != GUMBO_TAG_UNKNOWN) return view_of(gumbo_normalized_tagname(e->tag));
    GumboStringPiece source = e->original_tag;
    gumbo_tag_from_original_text(&source);
    size_t n = source.length < NAME_OCTETS ? source.length : NAME_OCTETS;
    for (size_t i = 0; i < n; i++) h->name[i] = source.data[i] > ' ' && source.data[i] < 127 ? lower(source.data[i]) : '?';
    return (dm_view){h->name, n};
}

/* Elements that have no end tag (HTML, 13.1.2). */
static bool is_void(GumboTag tag) {
    static const GumboTag tags[] = {GUMBO_TAG_AREA, GUMBO_TAG_BASE, GUMBO_TAG_BR, GUMBO_TAG_COL, GUMBO_TAG_EMBED, GUMBO_TAG_HR,
                                    GUMBO_TAG_IMG, GUMBO_TAG_INPUT, GUMBO_TAG_LINK, GUMBO_TAG_META, GUMBO_TAG_PARAM,
                                    GUMBO_TAG_SOURCE, GUMBO_TAG_TRACK, GUMBO_TAG_WBR};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tags[i] == tag) return true;
    return false;
}

static void place(dm_html_event *event, GumboSourcePosition at) {
    event->line = at.line;
    event->column = at.column;
}

static void open_event(dm_html *h, const GumboNode *node, dm_html_event *event) {
    const GumboElement *e = &node->v.element;
    event->kind = DM_HTML_OPEN;
    event->name = name_of(h, e);
    event->implied = e->original_tag.length == 0 || (node->parse_flags & GUMBO_INSERTION_BY_PARSER) != 0;
    event->attributes = e->attributes.length;
    event->element = e;
    place(event, e->start_pos);
}

/* Does its own end tag stand in the source? gumbo also notes the tag of another element that ended it: the </table> of an open <td>. */
static bool has_end_tag(const GumboElement *e, dm_view name) {
    GumboStringPiece source = e->original_end_tag;
    if (source.length < 3 || source.data[1] != '/') return false;
    gumbo_tag_from_original_text(&source);
    if (source.length < name.n) return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] != '?' && lower(source.data[i]) != lower(name.p[i])) return false;
    return source.length == name.n || name.n == NAME_OCTETS;
}

/* Elements of SVG and MathML may end in their start tag: <path/>. */
static bool ends_itself(const GumboElement *e) {
    return e->tag_namespace != GUMBO_NAMESPACE_HTML && e->original_tag.length > 2 && e->original_tag.data[e->original_tag.length - 2] == '/';
}

static void close_event(dm_html *h, const GumboNode *node, dm_html_event *event) {
    const GumboElement *e = &node->v.element;
    event->kind = DM_HTML_CLOSE;
    event->name = name_of(h, e);
    if (has_end_tag(e, event->name)) place(event, e->end_pos);
    else event->implied = !is_void(e->tag) && !ends_itself(e);
}

bool dm_html_next(dm_html *h, dm_html_event *event) {
    const GumboDocument *document = &h->document->v.document;
    const GumboNode *node;
    memset(event, 0, sizeof *event);
    if (document->has_doctype && !h->doctype_told) {
        h->doctype_told = true;
        event->kind = DM_HTML_DOCTYPE;
        event->name = view_of(document->name);
        return true;
    }
    if (h->depth == 0) return false;
    event->kind = step(h, &node);
    if (h->depth == 0) return false;
    if (event->kind == DM_HTML_OPEN) {
        open_event(h, node, event);
    } else if (event->kind == DM_HTML_CLOSE) {
        close_event(h, node, event);
    } else {
        event->text = view_of(node->v.text.text);       /* gumbo leaves no NUL in it */
        place(event, node->v.text.start_pos);
    }
    return true;
}

void dm_html_attribute(const dm_html_event *event, size_t i, dm_view *name, dm_view *value) {
    const GumboElement *e = event->element;
    const GumboAttribute *a = e->attributes.data[i];
    *name = view_of(a->name);
    *value = view_of(a->value);
}
