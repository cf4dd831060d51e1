/* terminal.h - a line that a person types unseen; only the command uses it. */
#ifndef DM_NET_TERMINAL_H
#define DM_NET_TERMINAL_H

#include "tcp.h"

typedef enum dm_typed {
    DM_TYPED_LINE,
    DM_TYPED_END,                   /* no more lines */
    DM_TYPED_FAIL                   /* why->text says why; stdin is no terminal, for one */
} dm_typed;

enum { DM_TYPED_ROOM = 4096 };      /* the kernel's own limit of a line, its end included (termios(3)) */

/* Say 'prompt' on stderr and take a line of stdin that is not shown while it is typed. 'len' is without its end.
** A signal that ends or stops the process finds the terminal as it was before. */
dm_typed dm_terminal_line(const char *prompt, char line[DM_TYPED_ROOM], size_t *len, dm_why *why);

#endif
