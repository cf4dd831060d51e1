/* sink.h - servers that swallow at wire speed, and the clock that they keep. */
#ifndef BENCH_SINK_H
#define BENCH_SINK_H

#include <stdint.h>

/* Lies in memory that the sink shares with whoever measures. */
typedef struct tally {
    volatile uint64_t arrived;          /* mails whose final dot came, or requests */
    volatile uint64_t octets;           /* received in all */
    volatile uint64_t connections;
    volatile double began, ended;       /* first connection, last arrival; monotonic seconds */
} tally;

double bench_now(void);                 /* monotonic seconds */

/* A listener on a free port of loopback; ends the program when there is none. */
int bench_listen(int *port);
void bench_die(const char *what);

/* Serve 'listener' for ever: SMTP with PIPELINING, every mail taken; or HTTP/1.1, every POST answered
** as Direct Mail's API answers SingleSendMail. */
void sink_smtp(int listener, tally *t);
void sink_http(int listener, tally *t);

/* Carry connections to 'port' as a line would with 'rtt' seconds there and back: each octet arrives half of it
** later, and a connection's first octet after TCP's own handshake (SYN, SYN and ACK, ACK). */
void relay(int listener, int port, double rtt);

#endif
