/* suppress.c - who must not get mail any more. */
#include "suppress.h"

dm_db_code dm_suppress(dm_db *db, dm_view address, dm_view reason, dm_view source, int64_t at) {
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_SUPPRESS,
        "INSERT INTO suppressions (address, reason, source, at) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT DO UPDATE SET at = max(at, excluded.at)");
    if (!s) return db->error.code;
    dm_db_text(db, s, 1, address);
    dm_db_text(db, s, 2, reason);
    dm_db_text(db, s, 3, source);
    dm_db_int(db, s, 4, at);
    return dm_db_step(db, s);
}

dm_db_code dm_resubscribe(dm_db *db, dm_view address, dm_view source, int64_t at) {
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_RESUBSCRIBE,
        "INSERT INTO resubscriptions (address, source, at) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)");
    if (!s) return db->error.code;
    dm_db_text(db, s, 1, address);
    dm_db_text(db, s, 2, source);
    dm_db_int(db, s, 3, at);
    return dm_db_step(db, s);
}

dm_db_code dm_suppressed(dm_db *db, dm_view address, dm_suppression *out) {
    /* of the same second the suppression wins */
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_SUPPRESSED,
        "SELECT reason, source, at FROM suppressions WHERE address = ?1"
        " AND NOT EXISTS (SELECT 1 FROM resubscriptions AS r WHERE r.address = ?1 AND r.at > suppressions.at) ORDER BY at, reason, source LIMIT 1");
    if (!s) return db->error.code;
    dm_db_text(db, s, 1, address);
    dm_db_code code = dm_db_step(db, s);
    if (code == DM_DB_OK) return DM_DB_NO;
    if (code != DM_DB_ROW) return code;
    *out = (dm_suppression){dm_db_column(db, s, 0), dm_db_column(db, s, 1), sqlite3_column_int64(s, 2)};
    return db->error.code;
}

dm_db_code dm_suppressions(dm_db *db, dm_view after, size_t n, sqlite3_stmt **s) {
    /* the reason of each address that dm_suppressed() would give */
    *s = dm_db_statement(db, DM_SQL_SUPPRESSIONS,
        "SELECT a.address, s.reason, s.source, s.at FROM (SELECT DISTINCT address FROM suppressions WHERE address > ?1) AS a"
        " JOIN suppressions AS s ON s.address = a.address AND (s.reason, s.source) ="
        " (SELECT reason, source FROM suppressions AS o WHERE o.address = a.address"
        "  AND NOT EXISTS (SELECT 1 FROM resubscriptions AS r WHERE r.address = o.address AND r.at > o.at) ORDER BY o.at, o.reason, o.source LIMIT 1)"
        " ORDER BY a.address LIMIT ?2");
    if (!*s) return db->error.code;
    dm_db_text(db, *s, 1, after);
    dm_db_int(db, *s, 2, (int64_t)n);
    return db->error.code;
}

dm_db_code dm_suppressions_next(dm_db *db, sqlite3_stmt *s, dm_view *address, dm_suppression *out) {
    dm_db_code code = dm_db_step(db, s);
    if (code == DM_DB_OK) return DM_DB_NO;
    if (code != DM_DB_ROW) return code;
    *address = dm_db_column(db, s, 0);
    *out = (dm_suppression){dm_db_column(db, s, 1), dm_db_column(db, s, 2), sqlite3_column_int64(s, 3)};
    return db->error.code;
}
