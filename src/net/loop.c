/* loop.c - the turn of the loop: descriptors, time limits and transfers become fired waits. */
#include "loop.h"

#include "curl.h"
#include "dns.h"
#include "tls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, FIRST_WAITS = 64 };

typedef struct wait {
    double limit;                   /* monotonic; meaningful while heap > 0 */
    unsigned heap;                  /* its place in the heap, 0: no limit */
    unsigned free;                  /* the next free one */
    dm_watch *watch;                /* NULL: a plain wait */
    unsigned char who;              /* its slot in the watch */
    bool live;                      /* not fired yet */
} wait;

struct dm_loop {
    unsigned references;
    int epoll;
    unsigned size, free, live;      /* slots, first free one, waits not fired yet */
    wait *waits;                    /* 1.. */
    unsigned *heap, heaped;         /* 1..heaped: a binary heap of waits by limit */
    long *fired;                    /* a ring: every slot fits, so firing needs no memory */
    unsigned head, count;
    char *scratch;
    struct dm_curl *curl;
    struct dm_tls_store *tls;
    struct dm_dns *dns;
};

double dm_tick(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

dm_loop *dm_loop_new(void) {
    dm_loop *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->references = 1;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        int error = errno;
        free(l);
        errno = error;
        return NULL;
    }
    return l;
}

void dm_loop_hold(dm_loop *l) { l->references++; }

void dm_loop_drop(dm_loop *l) {
    if (!l || --l->references > 0) return;
    dm_dns_free(l->dns);
    dm_curl_free(l->curl);
    dm_tls_store_free(l->tls);
    close(l->epoll);
    free(l->waits);
    free(l->heap);
    free(l->fired);
    free(l->scratch);
    free(l);
}

struct dm_curl **dm_loop_curl(dm_loop *l) { return &l->curl; }

struct dm_tls_store **dm_loop_tls(dm_loop *l) { return &l->tls; }

struct dm_dns **dm_loop_dns(dm_loop *l) { return &l->dns; }

char *dm_loop_scratch(dm_loop *l) {
    if (!l->scratch) l->scratch = malloc(DM_SCRATCH);
    return l->scratch;
}

/* ---- the heap -----------------------------------------------------------*/

static void heap_put(dm_loop *l, unsigned at, unsigned id) {
    l->heap[at] = id;
    l->waits[id].heap = at;
}

static void heap_up(dm_loop *l, unsigned at, unsigned id) {
    double limit = l->waits[id].limit;
    for (; at > 1 && l->waits[l->heap[at / 2]].limit > limit; at /= 2) heap_put(l, at, l->heap[at / 2]);
    heap_put(l, at, id);
}

static void heap_down(dm_loop *l, unsigned at, unsigned id) {
    double limit = l->waits[id].limit;
    for (unsigned child; (child = at * 2) <= l->heaped; at = child) {
        if (child < l->heaped && l->waits[l->heap[child + 1]].limit < l->waits[l->heap[child]].limit) child++;
        if (l->waits[l->heap[child]].limit >= limit) break;
        heap_put(l, at, l->heap[child]);
    }
    heap_put(l, at, id);
}

static void heap_remove(dm_loop *l, unsigned id) {
    unsigned at = l->waits[id].heap;
    if (at == 0) return;
    l->waits[id].heap = 0;
    unsigned last = l->heap[l->heaped--];
    if (last == id) return;
    if (at > 1 && l->waits[l->heap[at / 2]].limit > l->waits[last].limit) heap_up(l, at, last);
    else heap_down(l, at, last);
}

/* ---- waits --------------------------------------------------------------*/

static bool grow(dm_loop *l) {
    unsigned size = l->size ? l->size * 2 : FIRST_WAITS;
    if (size > INT_MAX / 2) return false;
    wait *waits = realloc(l->waits, sizeof *waits * (size + 1));
    if (!waits) return false;
    l->waits = waits;
    unsigned *heap = realloc(l->heap, sizeof *heap * (size + 1));
    if (!heap) return false;
    l->heap = heap;
    long *fired = malloc(sizeof *fired * size);
    if (!fired) return false;
    for (unsigned i = 0; i < l->count; i++) fired[i] = l->fired[(l->head + i) % l->size];
    free(l->fired);
    l->fired = fired;
    l->head = 0;
    for (unsigned id = size; id > l->size; id--) {      /* small numbers first: Lua keeps them in an array */
        l->waits[id] = (wait){.free = l->free};
        l->free = id;
    }
    l->size = size;
    return true;
}

unsigned dm_loop_wait(dm_loop *l, double seconds) {
    if (l->free == 0 && !grow(l)) return 0;
    unsigned id = l->free;
    l->free = l->waits[id].free;
    l->waits[id] = (wait){.live = true};
    l->live++;
    if (seconds >= 0) {
        l->waits[id].limit = dm_tick() + seconds;
        heap_up(l, ++l->heaped, id);
    }
    return id;
}

static void fire(dm_loop *l, unsigned id, bool timed_out) {
    if (id == 0 || id > l->size || !l->waits[id].live) return;
    wait *w = &l->waits[id];
    heap_remove(l, id);
    if (w->watch) w->watch->wait[w->who] = 0;
    w->watch = NULL;
    w->live = false;
    l->live--;
    l->fired[(l->head + l->count++) % l->size] = timed_out ? -(long)id : (long)id;
}

void dm_loop_fire(dm_loop *l, unsigned id) { fire(l, id, false); }

long dm_loop_next(dm_loop *l) {
    if (l->count == 0) return 0;
    long id = l->fired[l->head];
    l->head = (l->head + 1) % l->size;
    l->count--;
    unsigned at = (unsigned)(id < 0 ? -id : id);
    l->waits[at].free = l->free;
    l->free = at;
    return id;
}

/* ---- descriptors --------------------------------------------------------*/

int dm_loop_watch(dm_loop *l, dm_watch *w, int fd) {
    *w = (dm_watch){.fd = fd};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = w};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int dm_watch_open(dm_watch *w, dm_loop *l, int fd) {
    int error = dm_loop_watch(l, w, fd);
    if (error != 0) {
        close(fd);
        w->fd = -1;
        return error;
    }
    w->loop = l;
    dm_loop_hold(l);
    return 0;
}

void dm_watch_close(dm_watch *w) {
    dm_loop *l = w->loop;
    if (!l) return;
    w->loop = NULL;
    fire(l, w->wait[DM_READ], false);
    fire(l, w->wait[DM_WRITE], false);
    /* by name: a copy of the descriptor elsewhere would keep the registration, and its pointer, alive */
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    close(w->fd);
    w->fd = -1;
    dm_loop_drop(l);
}

static bool ready(const dm_watch *w, int want) { return want == DM_WRITE ? w->writable : w->readable; }

unsigned dm_watch_wait(dm_watch *w, int who, int want, double seconds) {
    unsigned id = dm_loop_wait(w->loop, seconds);
    if (id == 0) return 0;
    w->loop->waits[id].watch = w;
    w->loop->waits[id].who = (unsigned char)who;
    w->wait[who] = id;
    w->want[who] = (unsigned char)want;
    if (ready(w, want)) fire(w->loop, id, false);
    return id;
}

static void edge(dm_watch *w, unsigned events) {
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) w->hup = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) w->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) w->writable = true;
    for (int who = DM_READ; who <= DM_WRITE; who++)
        if (w->wait[who] && ready(w, w->want[who])) fire(w->loop, w->wait[who], false);
}

/* ---- the turn -----------------------------------------------------------*/

static int milliseconds(const dm_loop *l, double seconds) {
    if (l->count > 0) return 0;
    double due = dm_dns_due(l->dns);
    if (due >= 0 && (seconds < 0 || due < seconds)) seconds = due;
    if (l->heaped > 0) {
        double left = l->waits[l->heap[1]].limit - dm_tick();
        if (left < 0) left = 0;
        if (seconds < 0 || left < seconds) seconds = left;
    }
    if (seconds < 0) return -1;
    if (seconds > 1e6) return 1000000000;
    int ms = (int)(seconds * 1000);
    return ms < seconds * 1000 ? ms + 1 : ms;       /* rounded up: waking early means turning in vain */
}

int dm_loop_turn(dm_loop *l, double seconds) {
    if (l->count == 0 && l->live == 0) return -1;
    int ms = milliseconds(l, seconds);
    if (dm_curl_busy(l->curl)) {
        dm_curl_turn(l->curl, l->epoll, ms);
        ms = 0;
    }
    struct epoll_event events[EVENTS];
    int n = epoll_wait(l->epoll, events, EVENTS, ms);       /* EINTR: nothing fired, the caller turns again */
    for (int i = 0; i < n; i++) edge(events[i].data.ptr, events[i].events);
    dm_dns_turn(l->dns);
    if (l->heaped > 0) {
        double now = dm_tick();
        while (l->heaped > 0 && l->waits[l->heap[1]].limit <= now) fire(l, l->heap[1], true);
    }
    return (int)l->count;
}
