/* process.h - child processes and signals as descriptors of the loop; only the command uses them. */
#ifndef DM_NET_PROCESS_H
#define DM_NET_PROCESS_H

#include <signal.h>
#include <sys/types.h>

#include "loop.h"
#include "tcp.h"

typedef struct dm_child {
    dm_watch watch;                 /* readable when the process has ended */
    pid_t pid;
    bool over;
    int status;                     /* exit status, 128 + n after signal n */
} dm_child;

/* Run argv (argv[0] is looked for in PATH) with this environment; descriptors 0 to 2 are
** shared, signals are as in a fresh program. The child is in 'l' until dm_child_close(). */
bool dm_child_start(dm_child *c, dm_loop *l, char *const argv[], char *const env[], dm_why *why);
bool dm_child_over(dm_child *c);            /* true: it has ended, see status */
bool dm_child_kill(dm_child *c, int signal, dm_why *why);
void dm_child_close(dm_child *c);           /* the process goes on; fine twice and after {0} */

/* "TERM" -> SIGTERM; 0: not one of ours. And back; NULL. */
int dm_signal_number(const char *name);
const char *dm_signal_name(int signal);
/* Block the signals of 'set' in this thread (for good) and watch for them. */
bool dm_signals_open(dm_watch *w, dm_loop *l, const sigset_t *set, dm_why *why);
int dm_signals_take(dm_watch *w);           /* the number of one that came, or 0 */

#endif
