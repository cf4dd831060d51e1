/* outbox.c - the verbs for jobs: flat arguments in, tables out. */
#include "store.h"

#include "outbox.h"

enum { MOST = 1000 };           /* jobs of one call */

static const char *const states[] = {
#define DM_X(name, word) word,
    DM_JOB_STATES(DM_X)
#undef DM_X
    NULL,
};

static size_t check_count(lua_State *L, int i) {
    lua_Integer n = dm_checkinteger(L, i);
    luaL_argcheck(L, n >= 1 && n <= MOST, i, "number from 1 to 1000 expected");
    return (size_t)n;
}

static int push_job(lua_State *L, const dm_job *job) {
    lua_createtable(L, 0, 8);
    dm_setnumber(L, "id", job->id);
    dm_setnumber(L, "tries", job->tries);
    dm_setnumber(L, "due", job->due);
    dm_setnumber(L, "made", job->made);
    lua_pushstring(L, states[job->state]);
    lua_setfield(L, -2, "state");
    dm_pushoptview(L, job->result);
    lua_setfield(L, -2, "result");
    return 1;
}

/* A job with `how` = "made", "there" or "other". */
static int push_claim(lua_State *L, const dm_db *db, dm_db_code code, dm_job_claim how, const dm_job *job) {
    static const char *const words[] = {"made", "there", "other"};
    if (code != DM_DB_OK) return dm_pushfailure(L, &db->error);
    push_job(L, job);
    lua_pushstring(L, words[how]);
    lua_setfield(L, -2, "how");
    return 1;
}

/*** Put a job into the outbox.
@function enqueue
@tparam number now milliseconds since 1970, as all times here
@tparam number due not to be leased before
@tparam ?string key
@tparam string hash of what the key stands for
@tparam string payload
@treturn table `{ how="made"|"there"|"other", id=, tries=, state=, due=, made=, result= }`; or nil, kind, words
*/
static int l_enqueue(lua_State *L) {
    dm_job_claim how;
    dm_job job;
    dm_db *db = dm_checkdb(L);
    dm_db_code code = dm_outbox_enqueue(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), dm_optview(L, 4), dm_checkview(L, 5),
                                        dm_checkview(L, 6), &how, &job);
    return push_claim(L, db, code, how, &job);
}

/*** Take a key whose mail the caller carries himself.
@function claim
@tparam number now
@tparam number to until when it is his
@tparam string key
@tparam string hash
@tparam boolean mark mark it at once
@tparam boolean resend also when it is unknown
@treturn table as of `enqueue`; or nil, kind, words
*/
static int l_claim(lua_State *L) {
    dm_job_claim how;
    dm_job job;
    dm_db *db = dm_checkdb(L);
    dm_db_code code = dm_outbox_claim(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), dm_checkview(L, 4), dm_checkview(L, 5),
                                      lua_toboolean(L, 6), lua_toboolean(L, 7), &how, &job);
    return push_claim(L, db, code, how, &job);
}

/*** The job of a key.
@function find
@tparam string key
@treturn table `{ id=, tries=, state=, due=, made=, result= }`, or false; or nil, kind, words
*/
static int l_find(lua_State *L) {
    dm_job job;
    dm_db *db = dm_checkdb(L);
    dm_db_code code = dm_outbox_find(db, dm_checkview(L, 2), &job);
    return code == DM_DB_OK ? push_job(L, &job) : dm_pushverdict(L, db, code);
}

/*** Jobs of one state.
@function list
@tparam string state
@tparam number n 1 to 1000
@treturn table list of jobs as of `find`, with `key`; or nil, kind, words
*/
static int l_list(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    int state = luaL_checkoption(L, 2, NULL, states);
    size_t n = check_count(L, 3);
    sqlite3_stmt *s;
    dm_job job;
    dm_view key;
    dm_db_code code = dm_outbox_list(db, (dm_job_state)state, n, &s);
    lua_newtable(L);
    for (int i = 1; code == DM_DB_OK; i++) {
        code = dm_outbox_listed(db, s, &job, &key);
        if (code != DM_DB_OK) break;
        push_job(L, &job);
        dm_pushoptview(L, key);
        lua_setfield(L, -2, "key");
        lua_rawseti(L, -2, i);
    }
    return code == DM_DB_NO ? 1 : dm_pushfailure(L, &db->error);
}

/*** Lease jobs.
@function lease
@tparam number now
@tparam number to until when they are the caller's
@tparam number n 1 to 1000
@treturn table list of `{ id=, tries=, key=, payload= }`; or nil, kind, words
*/
static int l_lease(lua_State *L) {
    size_t n = check_count(L, 4), got;
    dm_db *db = dm_checkdb(L);
    dm_job *jobs = dm_newblock(L, n * sizeof *jobs);
    dm_db_code code = dm_outbox_lease(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), n, jobs, &got);
    lua_createtable(L, (int)got, 0);
    for (size_t i = 0; i < got && code == DM_DB_OK; i++) {
        dm_view key, payload;
        code = dm_outbox_read(db, jobs[i].id, &key, &payload);
        if (code != DM_DB_OK) break;
        lua_createtable(L, 0, 4);
        dm_setnumber(L, "id", jobs[i].id);
        dm_setnumber(L, "tries", jobs[i].tries);
        dm_pushoptview(L, key);
        lua_setfield(L, -2, "key");
        dm_pushview(L, payload);
        lua_setfield(L, -2, "payload");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return code == DM_DB_OK ? 1 : dm_pushfailure(L, &db->error);
}

/*** Keep a job for longer.
@function extend
@tparam number id
@tparam number tries
@tparam number to
@treturn boolean false: it is another's by now; or nil, kind, words
*/
static int l_extend(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_outbox_extend(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), dm_checkinteger(L, 4)));
}

/*** It is about to be pushed.
@function mark
@tparam number id
@tparam number tries
@treturn boolean as of `extend`
*/
static int l_mark(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_outbox_mark(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3)));
}

/*** It was sent.
@function ack
@tparam number id
@tparam number tries
@tparam number now
@tparam ?string result the receipt
@treturn boolean as of `extend`
*/
static int l_ack(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_outbox_ack(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), dm_checkinteger(L, 4), dm_optview(L, 5)));
}

/*** Unmark it, for another attempt.
@function retry
@tparam number id
@tparam number tries
@tparam number due not before
@tparam ?string result the error
@treturn boolean as of `extend`
*/
static int l_retry(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_outbox_retry(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), dm_checkinteger(L, 4), dm_optview(L, 5)));
}

/*** Settle it without success.
@function bury
@tparam number id
@tparam number tries
@tparam number now
@tparam string outcome refused, not_sent or unknown
@tparam boolean again refused for now: its key may be tried again
@tparam ?string result the error
@treturn boolean as of `extend`
*/
static int l_bury(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    int state = luaL_checkoption(L, 5, NULL, states);
    luaL_argcheck(L, state >= DM_JOB_REFUSED, 5, "refused, not_sent or unknown expected");
    return dm_pushverdict(L, db, dm_outbox_bury(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), dm_checkinteger(L, 4), (dm_job_state)state,
                                                lua_toboolean(L, 6), dm_optview(L, 7)));
}

/*** Settle what dead workers left, forget what is old.
@function reap
@tparam number now
@tparam number before forget what was settled earlier
@tparam number n 1 to 1000 of each kind
@treturn table `{ waiting=, not_sent=, unknown=, forgotten= }`; or nil, kind, words
*/
static int l_reap(lua_State *L) {
    dm_reaped out;
    dm_db *db = dm_checkdb(L);
    if (dm_outbox_reap(db, dm_checkinteger(L, 2), dm_checkinteger(L, 3), check_count(L, 4), &out) != DM_DB_OK)
        return dm_pushfailure(L, &db->error);
    lua_createtable(L, 0, 4);
    dm_setnumber(L, "waiting", out.waiting);
    dm_setnumber(L, "not_sent", out.not_sent);
    dm_setnumber(L, "unknown", out.unknown);
    dm_setnumber(L, "forgotten", out.forgotten);
    return 1;
}

/*** How many jobs there are.
@function counts
@treturn table number by state; or nil, kind, words
*/
static int l_counts(lua_State *L) {
    int64_t counts[DM_JOB_STATE_COUNT];
    dm_db *db = dm_checkdb(L);
    if (dm_outbox_counts(db, counts) != DM_DB_OK) return dm_pushfailure(L, &db->error);
    lua_createtable(L, 0, DM_JOB_STATE_COUNT);
    for (int i = 0; i < DM_JOB_STATE_COUNT; i++) dm_setnumber(L, states[i], counts[i]);
    return 1;
}

void dm_open_outbox(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"enqueue", l_enqueue}, {"claim", l_claim}, {"find", l_find}, {"list", l_list}, {"lease", l_lease}, {"extend", l_extend}, {"mark", l_mark},
        {"ack", l_ack}, {"retry", l_retry}, {"bury", l_bury}, {"reap", l_reap}, {"counts", l_counts}, {NULL, NULL},
    };
    dm_setfuncs(L, methods);
}
