/* code.c - the error list: names, sentences, and how an error is filled. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>

const char *dm_code_name(dm_code code) {
    switch (code) {
    case DM_OK: return "OK";
    case DM_AGAIN: return "AGAIN";
    case DM_END: return "END";
    case DM_E_MEMORY: return "MEMORY";
#define DM_X(name, text) case DM_E_##name: return #name;
    DM_ERRORS(DM_X)
#undef DM_X
    case DM_CODES: break;
    }
    return "?";
}

const char *dm_code_text(dm_code code) {
    switch (code) {
    case DM_OK: return "all is well";
    case DM_AGAIN: return "more bytes are needed";
    case DM_END: return "nothing is left";
    case DM_E_MEMORY: return "not enough memory";
#define DM_X(name, text) case DM_E_##name: return text;
    DM_ERRORS(DM_X)
#undef DM_X
    case DM_CODES: break;
    }
    return "?";
}

dm_code dm_fail(dm_error *err, dm_code code, const char *field, const char *format, ...) {
    if (!err) return code;
    err->code = code;
    snprintf(err->field, sizeof err->field, "%s", field ? field : "");
    va_list args;
    va_start(args, format);
    vsnprintf(err->detail, sizeof err->detail, format, args);
    va_end(args);
    for (char *p = err->detail; *p; p++)        /* an error is printed on terminals */
        if (dm_is_control((unsigned char)*p)) *p = '?';
    return code;
}
