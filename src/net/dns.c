/* dns.c - c-ares inside our loop: loaded late, one channel a server, their sockets in an epoll of their own that the loop's epoll watches. */
#include "dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CHANNELS = 16,                  /* servers asked at the same time; idle ones make room */
    TRY_MS = 3000, TRIES = 2,       /* a lost packet is asked for again after 3 s */
    EDNS_OCTETS = 1232,             /* what crosses every path unfragmented (DNS Flag Day 2020); more comes by TCP */
    RECEIVE_BUFFER = 512 * 1024,    /* answers to many questions come at once */
    STALE_S = 60,                   /* the system's servers are read anew: a laptop moves */
    ROUNDS = 16                     /* a server that floods us must not keep the loop */
};

/* Every function of c-ares that is called here: X(member). It is loaded with the first question, which few programs ask: 0.4 ms. */
#define DM_ARES_API(X)      \
    X(library_init)         \
    X(library_cleanup)      \
    X(init_options)         \
    X(destroy)              \
    X(set_socket_functions) \
    X(set_servers_ports)    \
    X(get_servers_ports)    \
    X(free_data)            \
    X(query)                \
    X(process_fd)           \
    X(timeout)              \
    X(strerror)             \
    X(expand_name)          \
    X(free_string)

typedef struct api {
#define DM_X(member) __typeof__(&ares_##member) member;
    DM_ARES_API(DM_X)
#undef DM_X
} api;

typedef struct channel {
    dm_dns *dns;
    ares_channel ares;              /* NULL: this place is free */
    unsigned asked;                 /* questions that c-ares holds */
    double made, due;               /* monotonic; due: not later than c-ares' next time limit, meaningful while asked > 0 */
    char ip[DM_IP_TEXT];            /* "": the system's servers */
    int port;
    unsigned servers;
    bool patient;                   /* goes on to the next server after SERVFAIL and REFUSED */
} channel;

struct dm_dns {
    api cares;
    int epoll;
    dm_watch watch;                 /* of 'epoll' in the loop's */
    channel channels[CHANNELS];
};

struct dm_lookup {
    dm_loop *loop;                  /* NULL: nobody waits any more, free it with its answer */
    const api *cares;
    /* Not a descriptor: a wait that knows where it is written down can be ended by time and by the answer, whichever comes first. */
    dm_watch watch;
    channel *channel;               /* c-ares holds it there; NULL: over */
    int status, first;              /* of c-ares; first: of the channel that is not patient */
    int type;
    unsigned char *octets;          /* a copy of the answer */
    int size, at, left;             /* where the next record begins, and how many are left */
    char *text;
    char name[256];
};

/* ---- sockets --------------------------------------------------------------
** Ours, because c-ares writes to TCP without MSG_NOSIGNAL, and a server that closes would kill the program. */

static ares_socket_t make_socket(int family, int type, int protocol, void *user) {
    (void)user;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), size = RECEIVE_BUFFER;
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
}

static int close_socket(ares_socket_t fd, void *user) {
    (void)user;
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t size, void *user) {
    (void)user;
    return connect(fd, to, size);
}

static ares_ssize_t receive(ares_socket_t fd, void *to, size_t max, int flags, struct sockaddr *from, ares_socklen_t *size, void *user) {
    (void)user;
    return recvfrom(fd, to, max, flags, from, size);
}

static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int n, void *user) {
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)n};
    (void)user;
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions functions = {make_socket, close_socket, connect_socket, receive, send_parts};

/* c-ares wants to know this about a socket; nothing: it is about to close it. */
static void socket_state(void *data, ares_socket_t fd, int readable, int writable) {
    channel *c = data;
    uint64_t place = (uint64_t)(c - c->dns->channels) << 32 | (uint32_t)fd;
    struct epoll_event event = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u), .data.u64 = place};
    if (!event.events) epoll_ctl(c->dns->epoll, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(c->dns->epoll, EPOLL_CTL_MOD, fd, &event) != 0) epoll_ctl(c->dns->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* ---- channels -------------------------------------------------------------*/

static unsigned count_servers(const api *cares, ares_channel ares) {
    struct ares_addr_port_node *list = NULL;
    unsigned n = 0;
    if (cares->get_servers_ports(ares, &list) != ARES_SUCCESS) return 0;
    for (const struct ares_addr_port_node *s = list; s; s = s->next) n++;
    cares->free_data(list);
    return n;
}

static int set_server(const api *cares, ares_channel ares, const char *ip, int port) {
    struct ares_addr_port_node server = {.udp_port = port, .tcp_port = port};
    if (inet_pton(AF_INET, ip, &server.addr) == 1) server.family = AF_INET;
    else if (inet_pton(AF_INET6, ip, &server.addr) == 1) server.family = AF_INET6;
    else return ARES_EBADSTR;
    return cares->set_servers_ports(ares, &server);
}

static int open_channel(channel *c, const char *ip, int port, bool patient) {
    const api *cares = &c->dns->cares;
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | (patient ? 0 : ARES_FLAG_NOCHECKRESP),
        .timeout = TRY_MS, .tries = TRIES, .ednspsz = EDNS_OCTETS, .sock_state_cb = socket_state, .sock_state_cb_data = c};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
    ares_channel ares;
    int status = cares->init_options(&ares, &options, mask);
    if (status != ARES_SUCCESS) return status;
    cares->set_socket_functions(ares, &functions, NULL);
    if (*ip) status = set_server(cares, ares, ip, port);
    if (status != ARES_SUCCESS) {
        cares->destroy(ares);
        return status;
    }
    c->ares = ares;
    c->asked = 0;
    c->made = dm_tick();
    memcpy(c->ip, ip, strlen(ip) + 1);
    c->port = port;
    c->patient = patient;
    c->servers = count_servers(cares, ares);
    return ARES_SUCCESS;
}

static void close_channel(channel *c) {
    ares_channel ares = c->ares;
    if (!ares) return;
    c->dns->cares.destroy(ares);  /* ends what it holds; our callback still finds the channel */
    c->ares = NULL;
}

/* The channel to some server, made when there is none; NULL and 'why' when it cannot be. */
static channel *find_channel(dm_dns *d, const char *ip, int port, bool patient, dm_why *why) {
    channel *room = NULL;
    double now = dm_tick();
    for (channel *c = d->channels; c < d->channels + CHANNELS; c++) {
        if (c->ares && c->asked == 0 && !*c->ip && now - c->made > STALE_S) close_channel(c);
        if (c->ares && c->port == port && c->patient == patient && strcmp(c->ip, ip) == 0) {
            return c;
        }
        if (c->asked == 0 && (!room || (room->ares && !c->ares))) room = c;
    }
    if (!room) {
        dm_why_set(why, "too many DNS servers are asked at the same time");
        return NULL;
    }
    close_channel(room);
    int status = open_channel(room, ip, port, patient);
    if (status == ARES_SUCCESS) return room;
    dm_why_set(why, "%s", status == ARES_EBADSTR ? "the DNS server is no IP address" : d->cares.strerror(status));
    return NULL;
}

/* Never unloaded: it costs nothing to stay. */
static bool load(api *cares, dm_why *why) {
    void *library = dlopen("libcares.so.2", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE), *symbol;
    const char *missing = NULL;
    if (!library) {
        dm_why_set(why, "c-ares cannot be loaded: %s", dlerror());
        return false;
    }
#define DM_X(member)                                        \
    symbol = dlsym(library, "ares_" #member);               \
    if (!symbol) missing = "ares_" #member;                 \
    memcpy(&cares->member, &symbol, sizeof cares->member);  /* ISO C has no cast from object to function pointers */
    DM_ARES_API(DM_X)
#undef DM_X
    if (missing) dm_why_set(why, "c-ares is too old: it lacks %s", missing);
    return !missing;
}

static dm_dns *dns_of(dm_loop *l, dm_why *why) {
    dm_dns **slot = dm_loop_dns(l);
    if (*slot) return *slot;
    dm_dns *d = calloc(1, sizeof *d);
    if (!d) {
        dm_why_set(why, "out of memory");
        return NULL;
    }
    if (!load(&d->cares, why)) {
        free(d);
        return NULL;
    }
    for (channel *c = d->channels; c < d->channels + CHANNELS; c++) c->dns = d;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    int error = d->epoll < 0 ? errno : dm_loop_watch(l, &d->watch, d->epoll);
    if (error == 0 && d->cares.library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) error = ENOMEM;
    if (error != 0) {
        if (d->epoll >= 0) close(d->epoll);
        free(d);
        dm_why_errno(why, error);
        return NULL;
    }
    return *slot = d;
}

void dm_dns_free(dm_dns *d) {
    if (!d) return;
    for (channel *c = d->channels; c < d->channels + CHANNELS; c++) close_channel(c);
    d->cares.library_cleanup();
    close(d->epoll);
    free(d);
}

double dm_dns_due(const dm_dns *d) {
    if (!d) return -1;
    if (d->watch.readable) return 0;
    double first = INFINITY;
    for (const channel *c = d->channels; c < d->channels + CHANNELS; c++)
        if (c->ares && c->asked > 0 && c->due < first) first = c->due;
    if (isinf(first)) return -1;
    double left = first - dm_tick();
    return left > 0 ? left : 0;
}

/* Time limits that are over. What came before may have ended the first question: then 'due' was early, and is made right here. */
static void look_at_clock(channel *c) {
    struct timeval next;
    if (!c->ares || c->asked == 0 || c->due > dm_tick()) return;
    c->dns->cares.process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (c->dns->cares.timeout(c->ares, NULL, &next))
        c->due = dm_tick() + (double)next.tv_sec + (double)next.tv_usec * 1e-6 + 0.001;     /* its clock counts from elsewhere */
    else
        c->due = INFINITY;
}

void dm_dns_turn(dm_dns *d) {
    if (!d) return;
    for (int round = 0; d->watch.readable && round < ROUNDS; round++) {
        struct epoll_event events[64];
        int n = epoll_wait(d->epoll, events, 64, 0);
        if (n <= 0) d->watch.readable = false;      /* the next one brings an edge */
        for (int i = 0; i < n; i++) {
            channel *c = &d->channels[events[i].data.u64 >> 32];
            ares_socket_t fd = (ares_socket_t)(uint32_t)events[i].data.u64;
            bool trouble = events[i].events & (EPOLLERR | EPOLLHUP);
            if (!c->ares) continue;
            d->cares.process_fd(c->ares, trouble || events[i].events & EPOLLIN ? fd : ARES_SOCKET_BAD,
                                trouble || events[i].events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
        }
    }
    for (channel *c = d->channels; c < d->channels + CHANNELS; c++) look_at_clock(c);
}

/* ---- one question ---------------------------------------------------------*/

static void discard(dm_lookup *q) {
    free(q->octets);
    free(q->text);
    free(q);
}

static void answered(void *data, int status, int timeouts, unsigned char *octets, int size);

static void ask(dm_lookup *q, channel *c) {
    q->channel = c;
    /* the last try is the longest: c-ares doubles the time each round, so no limit is ever earlier than a try */
    if (c->asked++ == 0 || isinf(c->due)) c->due = dm_tick() + TRY_MS / 1000.0;
    q->cares->query(c->ares, q->name, 1 /* IN */, q->type, answered, q);
}

static bool is_refusal(int status) { return status == ARES_ESERVFAIL || status == ARES_EREFUSED || status == ARES_ENOTIMP; }

static void answered(void *data, int status, int timeouts, unsigned char *octets, int size) {
    dm_lookup *q = data;
    channel *c = q->channel, *next;
    dm_why why;
    (void)timeouts;
    c->asked--;
    /* One server's failure is not the system's: the others are asked, and if they know no better the first one's word stands. */
    if (q->loop && !c->patient && c->servers > 1 && is_refusal(status)
        && (next = find_channel(c->dns, c->ip, c->port, true, &why)) != NULL) {
        q->first = status;
        ask(q, next);
        return;
    }
    q->channel = NULL;
    if (c->patient && status != ARES_SUCCESS && status != ARES_ENODATA && status != ARES_ENOTFOUND) status = q->first;
    if (status == ARES_SUCCESS) {
        q->octets = size > 0 ? malloc((size_t)size) : NULL;
        if (q->octets) memcpy(q->octets, octets, (size_t)size);
        else status = ARES_ENOMEM;
        q->size = size;
    }
    q->status = status;
    if (!q->loop) discard(q);
    else dm_loop_fire(q->loop, q->watch.wait[DM_READ]);
}

/* Only what host names and the names of TXT and CNAME records are made of: a backslash would be an escape to c-ares. */
static bool is_name(const char *name) {
    size_t label = 0, all = strlen(name);
    if (all == 0 || all > 253) return false;
    for (const char *p = name; *p; p++) {
        if (*p == '.') {
            if (label == 0) return false;
            label = 0;
        } else if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *p) || ++label > 63) {
            return false;
        }
    }
    return label > 0;
}

dm_lookup *dm_lookup_start(dm_loop *l, const char *name, int type, double seconds, const char *ip, int port, dm_why *why) {
    if (!is_name(name)) {
        dm_why_set(why, "this is no name that can be asked for");
        return NULL;
    }
    if (ip && strlen(ip) >= DM_IP_TEXT) {
        dm_why_set(why, "the DNS server is no IP address");
        return NULL;
    }
    dm_dns *d = dns_of(l, why);
    channel *c = d ? find_channel(d, ip ? ip : "", ip ? port : 0, false, why) : NULL;
    if (!c) return NULL;
    dm_lookup *q = calloc(1, sizeof *q);
    if (!q) {
        dm_why_set(why, "out of memory");
        return NULL;
    }
    q->watch = (dm_watch){.fd = -1, .loop = l};
    q->type = type;
    q->cares = &d->cares;
    memcpy(q->name, name, strlen(name) + 1);
    if (dm_watch_wait(&q->watch, DM_READ, DM_READ, seconds) == 0) {
        dm_why_set(why, "out of memory");
        free(q);
        return NULL;
    }
    q->loop = l;
    dm_loop_hold(l);
    ask(q, c);
    return q;
}

unsigned dm_lookup_wait(const dm_lookup *q) { return q->watch.wait[DM_READ]; }

void dm_lookup_free(dm_lookup *q) {
    if (!q) return;
    dm_loop *l = q->loop;
    dm_loop_fire(l, q->watch.wait[DM_READ]);
    q->loop = NULL;
    if (!q->channel) discard(q);
    dm_loop_drop(l);
}

/* ---- its answer -----------------------------------------------------------
** Nothing in it is believed: each length is checked against what is there, and c-ares' cares->expand_name() against loops. */

static unsigned two(const unsigned char *p) { return (unsigned)(p[0] << 8 | p[1]); }

static unsigned long four(const unsigned char *p) { return (unsigned long)two(p) << 16 | two(p + 2); }

/* A name at 'at', which ends before 'end' as it stands there: octets it takes, 0 when it is garbled. */
static int take_name(const dm_lookup *q, int at, int end, char *to) {
    char *name = NULL;
    long used;
    if (at >= end || q->cares->expand_name(q->octets + at, q->octets, q->size, &name, &used) != ARES_SUCCESS) return 0;
    size_t n = strlen(name);
    bool fits = n < DM_DNS_NAME && used > 0 && used <= end - at;
    for (size_t i = 0; fits && i <= n; i++) to[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    q->cares->free_string(name);
    return fits ? (int)used : 0;
}

static bool garbled(dm_why *why) {
    dm_why_set(why, "the answer of the DNS server is garbled");
    return false;
}

bool dm_lookup_answer(dm_lookup *q, dm_why *why) {
    enum { HEAD = 12, TAIL = 4 };
    char name[DM_DNS_NAME];
    if (q->channel) {
        dm_why_set(why, "timeout");
        return false;
    }
    switch (q->status) {
    case ARES_SUCCESS: break;
    case ARES_ENODATA: dm_why_set(why, "nodata"); return false;
    case ARES_ENOTFOUND: dm_why_set(why, "nxdomain"); return false;
    case ARES_ESERVFAIL: dm_why_set(why, "servfail"); return false;
    case ARES_EREFUSED: dm_why_set(why, "refused"); return false;
    case ARES_ETIMEOUT: dm_why_set(why, "timeout"); return false;
    case ARES_ENOTIMP: dm_why_set(why, "the DNS server does not know such questions"); return false;
    case ARES_EFORMERR: dm_why_set(why, "the DNS server did not understand the question"); return false;
    case ARES_ECONNREFUSED: dm_why_set(why, "connection refused"); return false;    /* nobody listens there */
    case ARES_ENOMEM: dm_why_set(why, "out of memory"); return false;
    default: dm_why_set(why, "%s", q->cares->strerror(q->status)); return false;
    }
    if (q->size < HEAD || two(q->octets + 4) != 1) return garbled(why);
    int used = take_name(q, HEAD, q->size, name);
    /* RFC 5452, 9.1: the question must be ours */
    if (used == 0 || strcasecmp(name, q->name) != 0 || q->size - HEAD - used < TAIL
        || two(q->octets + HEAD + used) != (unsigned)q->type || two(q->octets + HEAD + used + 2) != 1) return garbled(why);
    q->at = HEAD + used + TAIL;
    q->left = (int)two(q->octets + 6);
    return true;
}

/* The data of a record, 'size' octets at 'at', which are all there. */
static bool take_data(dm_lookup *q, int at, int size, dm_record *r) {
    const unsigned char *data = q->octets + at;
    int end = at + size, used;
    switch (r->type) {
    case DM_DNS_A: return size == 4 && inet_ntop(AF_INET, data, r->address, sizeof r->address);
    case DM_DNS_AAAA: return size == 16 && inet_ntop(AF_INET6, data, r->address, sizeof r->address);
    case DM_DNS_NS: case DM_DNS_CNAME: return take_name(q, at, end, r->name) == size && size > 0;
    case DM_DNS_MX:
        if (size < 3) return false;
        r->preference = two(data);
        return take_name(q, at + 2, end, r->name) == size - 2;
    case DM_DNS_SOA:
        used = take_name(q, at, end, r->name);
        if (used == 0) return false;
        at += used;
        used = take_name(q, at, end, r->mailbox);
        if (used == 0 || end - at - used != 20) return false;
        for (int i = 0; i < 5; i++) r->number[i] = four(q->octets + at + used + i * 4);
        return true;
    default:
        if (!q->text && !(q->text = malloc((size_t)q->size))) return false;
        r->text = q->text;
        r->text_size = 0;
        for (int i = 0; i < size; i += data[i] + 1) {
            if (data[i] > size - i - 1) return false;
            memcpy(q->text + r->text_size, data + i + 1, data[i]);
            r->text_size += data[i];
        }
        return size > 0;
    }
}

static bool is_known(int type) {
    switch (type) {
    case DM_DNS_A: case DM_DNS_NS: case DM_DNS_CNAME: case DM_DNS_SOA: case DM_DNS_MX: case DM_DNS_TXT: case DM_DNS_AAAA: return true;
    default: return false;
    }
}

int dm_lookup_next(dm_lookup *q, dm_record *r, dm_why *why) {
    enum { FIXED = 10 };
    while (q->left > 0) {
        int used = take_name(q, q->at, q->size, r->owner), at = q->at + used;
        if (used == 0 || q->size - at < FIXED) break;
        const unsigned char *head = q->octets + at;
        int size = (int)two(head + 8);
        at += FIXED;
        if (size > q->size - at) break;
        q->at = at + size;
        r->type = (int)two(head);
        r->ttl = four(head + 4);
        if (r->ttl > 0x7fffffff) r->ttl = 0;        /* RFC 2181, 8 */
        bool known = two(head + 2) == 1 && is_known(r->type);
        if (known && !take_data(q, at, size, r)) break;
        q->left--;
        if (known) return 1;
    }
    if (q->left == 0) return 0;
    garbled(why);
    return -1;
}
