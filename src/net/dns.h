/* dns.h - questions to DNS servers by c-ares, inside our loop, and the records of an answer. */
#ifndef DM_NET_DNS_H
#define DM_NET_DNS_H

#include "loop.h"
#include "tcp.h"

typedef struct dm_dns dm_dns;               /* the channels of one loop; dm_loop_dns() */

void dm_dns_free(dm_dns *d);
/* Seconds until dm_dns_turn() has something to do by the clock; -1: never. NULL is fine. */
double dm_dns_due(const dm_dns *d);
void dm_dns_turn(dm_dns *d);                /* read what came, end what is late; called by dm_loop_turn() */

/* ---- one question ------------------------------------------------------ */

enum dm_dns_type { DM_DNS_A = 1, DM_DNS_NS = 2, DM_DNS_CNAME = 5, DM_DNS_SOA = 6, DM_DNS_MX = 15, DM_DNS_TXT = 16, DM_DNS_AAAA = 28 };

typedef struct dm_lookup dm_lookup;

/* Ask for the records of 'name' (letters, digits, '-', '_' and dots, at most 253 octets), within 'seconds', the server
** at 'ip' and 'port' or those of the system (NULL). NULL and 'why' when it cannot even be asked. */
dm_lookup *dm_lookup_start(dm_loop *l, const char *name, int type, double seconds, const char *ip, int port, dm_why *why);
unsigned dm_lookup_wait(const dm_lookup *q);        /* the wait that ends with the answer or the time limit; 0: over */
void dm_lookup_free(dm_lookup *q);                  /* at any time: an answer that is still to come is thrown away */

/* ---- its answer -------------------------------------------------------- */

enum { DM_DNS_NAME = 1024 };        /* a name of 255 octets, each of which may be escaped as \DDD */

typedef struct dm_record {
    int type;                       /* dm_dns_type */
    unsigned long ttl;              /* seconds */
    char owner[DM_DNS_NAME];        /* lower case, no last dot, "" is the root; so are those below */
    char name[DM_DNS_NAME];         /* CNAME, NS; MX: the exchange; SOA: the primary server */
    char mailbox[DM_DNS_NAME];      /* SOA: of the one responsible */
    char address[DM_IP_TEXT];       /* A, AAAA */
    unsigned preference;            /* MX */
    unsigned long number[5];        /* SOA: serial, refresh, retry, expire, minimum */
    const char *text;               /* TXT: its strings joined, valid until the next call */
    size_t text_size;
} dm_record;

/* Is it over well? Otherwise 'why' says "nxdomain", "nodata", "timeout", "servfail", "refused" or words. */
bool dm_lookup_answer(dm_lookup *q, dm_why *why);
/* The next record of the answer section that is of a known type: 1; 0: no more; -1: garbled, 'why' says so. */
int dm_lookup_next(dm_lookup *q, dm_record *r, dm_why *why);

#endif
