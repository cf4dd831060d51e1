/* loop.h - one epoll, one heap of time limits, and the waits that either of them ends. */
#ifndef DM_NET_LOOP_H
#define DM_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>

/* A loop belongs to one Lua state and is never shared between threads. It calls
** nobody back: whoever waits gets a number, and dm_loop_turn() makes numbers
** come out of dm_loop_next(). */
typedef struct dm_loop dm_loop;

struct dm_curl;                     /* curl.h: libcurl, loaded when first needed */
struct dm_tls_store;                /* tls.h: one SSL_CTX per CA file */
struct dm_dns;                      /* dns.h: questions to DNS servers */

enum { DM_READ = 0, DM_WRITE = 1 };         /* who waits (receiver, sender), and what for */
enum { DM_SCRATCH = 64 * 1024 };            /* octets that one receive can bring */

/* A descriptor in the loop, registered once and edge-triggered. It lies in
** somebody else's memory, which must not move while it is open. */
typedef struct dm_watch {
    dm_loop *loop;                  /* NULL: closed */
    int fd;
    bool readable, writable;        /* an edge came and nobody has run into EAGAIN since */
    bool hup;                       /* the peer is done: no further edge will come */
    unsigned wait[2];               /* the waits of its receiver and its sender, 0: nobody waits */
    unsigned char want[2];          /* what each of them waits for: DM_READ or DM_WRITE (TLS may swap) */
} dm_watch;

dm_loop *dm_loop_new(void);                 /* NULL with errno */
void dm_loop_hold(dm_loop *l);              /* sockets hold their loop: Lua closes objects in any order */
void dm_loop_drop(dm_loop *l);              /* the last one frees */

double dm_tick(void);                       /* monotonic seconds */

/* A wait that dm_loop_fire() or its time limit ends (seconds < 0: no limit).
** The number is 1.. and comes out of dm_loop_next() exactly once; 0: no memory. */
unsigned dm_loop_wait(dm_loop *l, double seconds);
void dm_loop_fire(dm_loop *l, unsigned wait);       /* 0 and what was fired already are fine */

/* Wait until something is fired, at most 'seconds' (< 0: no limit of its own).
** -1 when nothing is waited for, so nothing can ever come. */
int dm_loop_turn(dm_loop *l, double seconds);
/* The next wait that is over: its number, negative when its time limit ended it; 0: no more. */
long dm_loop_next(dm_loop *l);

char *dm_loop_scratch(dm_loop *l);          /* DM_SCRATCH octets, valid until anybody's next call; NULL: no memory */
struct dm_curl **dm_loop_curl(dm_loop *l);  /* slots for those who sit on the loop; freed with it */
struct dm_tls_store **dm_loop_tls(dm_loop *l);
struct dm_dns **dm_loop_dns(dm_loop *l);
/* Let edges of 'fd' set what 'w' says, for one of those: it neither holds the loop nor gives the descriptor away. 0 or errno. */
int dm_loop_watch(dm_loop *l, struct dm_watch *w, int fd);

/* Put 'fd' into the loop, which owns it from here, also after a failure. 0 or errno. */
int dm_watch_open(dm_watch *w, dm_loop *l, int fd);
void dm_watch_close(dm_watch *w);           /* wakes who waits; fine twice and after {0} */
/* Wait as 'who' until the descriptor is ready for 'want'; one wait at a time for each. */
unsigned dm_watch_wait(dm_watch *w, int who, int want, double seconds);

#endif
