/* dot.c - dot-stuffing of a message's lines across chunks, RFC 5321 section 4.5.2. */
#include "buf.h"

#include <string.h>

dm_code dm_dot_put(dm_buf *out, dm_dot *s, dm_view in) {
    size_t done = 0;
    for (size_t i = 0; i < in.n; i++) {
        const char *dot = memchr(in.p + i, '.', in.n - i);
        if (!dot) break;
        i = (size_t)(dot - in.p);
        /* 'in' holds CRLF only, yet a dot behind a bare CR or LF is stuffed as well: a server that takes
        ** those for line ends must never see an end of data that is ours alone to write (CVE-2023-51764). */
        bool starts = i == 0 ? s->line_start || s->cr : in.p[i - 1] == '\n' || in.p[i - 1] == '\r';
        if (!starts) continue;
        dm_buf_add(out, in.p + done, i - done);
        dm_buf_addc(out, '.');
        done = i;
    }
    if (in.n > 0) {
        dm_buf_add(out, in.p + done, in.n - done);
        s->line_start = in.p[in.n - 1] == '\n';
        s->cr = in.p[in.n - 1] == '\r';
    }
    return out->code;
}

dm_code dm_dot_end(dm_buf *out, dm_dot *s) {
    if (s->cr) dm_buf_addc(out, '\n');          /* a CRLF that was cut in two */
    else if (!s->line_start) dm_buf_adds(out, "\r\n");
    s->line_start = true;
    s->cr = false;
    return dm_buf_adds(out, ".\r\n");
}
