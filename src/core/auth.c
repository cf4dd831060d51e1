/* auth.c - the lines of AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616). */
#include "auth.h"

#include <string.h>

dm_code dm_auth_check(dm_view user, dm_view password, dm_error *err) {
    if (user.n == 0) return dm_fail(err, DM_E_CREDENTIALS, "smtp_user", "the SMTP user name is empty");
    if (memchr(user.p, '\0', user.n)) return dm_fail(err, DM_E_CREDENTIALS, "smtp_user", "the SMTP user name holds a NUL");
    if (password.n == 0) return dm_fail(err, DM_E_CREDENTIALS, "smtp_password", "the SMTP password is empty");
    if (memchr(password.p, '\0', password.n))
        return dm_fail(err, DM_E_CREDENTIALS, "smtp_password", "the SMTP password holds a NUL");
    if (dm_base64_length(user.n + password.n + 2) > DM_AUTH_MAX)
        return dm_fail(err, DM_E_CREDENTIALS, "smtp_password", "user name and password are longer than AUTH can carry");
    return DM_OK;
}

dm_code dm_auth_plain(dm_buf *out, dm_view user, dm_view password) {
    dm_buf both;
    dm_buf_init(&both, DM_AUTH_MAX);
    dm_buf_room(&both, user.n + password.n + 2);      /* once: growing would leave copies behind */
    dm_buf_addc(&both, '\0');
    dm_buf_addv(&both, user);
    dm_buf_addc(&both, '\0');
    dm_buf_addv(&both, password);
    dm_code code = both.code ? both.code : dm_base64(out, dm_buf_view(&both));
    dm_buf_wipe(&both);
    return code;
}
