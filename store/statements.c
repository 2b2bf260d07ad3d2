#include "store/statements.h"

#include "store/chunk_row.h"

const char *const pmp_sql_text[PMP_SQL_COUNT] = {
    [PMP_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [PMP_SQL_COMMIT] = "COMMIT",

    [PMP_SQL_ACTOR_FIND] = "SELECT id FROM actor WHERE name = ?1",
    [PMP_SQL_ACTOR_ADD] = "INSERT INTO actor(name) VALUES(?1)",
    [PMP_SQL_MARK_LAST] = "SELECT m.actor, m.epoch, m.seq, m.hash, m.chunk, m.ack_version"
                          " FROM actor a JOIN mark m ON m.actor = a.id"
                          " WHERE a.name = ?1 ORDER BY m.epoch DESC LIMIT 1",
    [PMP_SQL_MARK_OF_INSTANCE] = "SELECT epoch, seq,"
                                 " (SELECT max(epoch) FROM mark WHERE actor = ?1) FROM mark WHERE "
                                 "actor = ?1 AND instance = ?2",
    [PMP_SQL_MARK_ADD] = "INSERT INTO mark(actor, epoch, instance, wall_ns) VALUES(?1,"
                         " coalesce((SELECT max(epoch) FROM mark WHERE actor = ?1), 0) + 1, ?2, ?3)"
                         " RETURNING epoch",
    [PMP_SQL_MARK_SUM] =
        "SELECT coalesce(sum(rows), 0), coalesce(max(chunk), 0) FROM mark WHERE actor = ?1",
    [PMP_SQL_MARK_SET] =
        "UPDATE mark SET seq = ?3, hash = ?4, chunk = ?5, ack_version = ?6, rows = rows + ?7,"
        " chunks = chunks + 1 WHERE actor = ?1 AND epoch = ?2",
    [PMP_SQL_STATE_GET] = "SELECT state FROM actor_state WHERE actor = ?1",
    [PMP_SQL_STATE_SET] =
        "INSERT INTO actor_state(actor, chunk, state) VALUES(?1, ?2, ?3)"
        " ON CONFLICT(actor) DO UPDATE SET chunk = excluded.chunk, state = excluded.state",

    [PMP_SQL_CHUNK_ADD] = "INSERT INTO chunk(id, actor, epoch, seq, rows, labelled, shape, source, "
                          "version_min, bytes,"
                          " stored, encoding, hash, wall_ns) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                          "?8, ?9, ?10, ?11, ?12,"
                          " ?13, ?14)",
    [PMP_SQL_CHUNK_GET] = "SELECT rows, labelled, span FROM chunk WHERE id = ?1",
    [PMP_SQL_CHUNK_JUDGED] =
        "UPDATE chunk SET verdicts = verdicts + 1, covered = covered + ?2, span = max(span, ?3)"
        " WHERE id = ?1",
    [PMP_SQL_CHUNK_OLDEST] = "SELECT id, rows, labelled, stored,"
                             " verdicts + EXISTS(SELECT 1 FROM gold WHERE gold.chunk = chunk.id)"
                             " FROM chunk WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 1",
    [PMP_SQL_CHUNK_DROP] = "DELETE FROM chunk WHERE id = ?1",
    [PMP_SQL_DATA_ADD] = "INSERT INTO chunk_data(id, data) VALUES(?1, ?2)",
    [PMP_SQL_DATA_GET] = "SELECT " PMP_CHUNK_ROW_COLUMNS " FROM chunk c"
                         " LEFT JOIN chunk_data d ON d.id = c.id WHERE c.id = ?1",
    [PMP_SQL_DATA_DROP] = "DELETE FROM chunk_data WHERE id = ?1",
    [PMP_SQL_COUNTER_SET] = "INSERT INTO counter(key, value) VALUES(?1, ?2)"
                            " ON CONFLICT(key) DO UPDATE SET value = excluded.value",

    [PMP_SQL_VERDICT_OF_REQUEST] =
        "SELECT id, chunk, row, rows, judgement, confidence, note, replaces IS NOT NULL, state = 2,"
        " first FROM verdict WHERE principal = ?1 AND request_id = ?2",
    [PMP_SQL_VERDICT_MINE] =
        "SELECT id, judgement, confidence, state FROM verdict"
        " WHERE chunk = ?1 AND row = ?2 AND rows = ?3 AND principal = ?4 AND state <= 2"
        " ORDER BY state, id DESC LIMIT 1",
    [PMP_SQL_VERDICT_OTHERS] =
        "SELECT count(*) FROM verdict WHERE chunk = ?1 AND row = ?2 AND rows = ?3 AND state = 1"
        " AND judgement <= 2 AND principal != ?4",
    [PMP_SQL_VERDICT_JUDGES] =
        "SELECT DISTINCT principal FROM verdict"
        " WHERE chunk = ?1 AND row = ?2 AND rows = ?3 AND state <= 2 ORDER BY principal",
    [PMP_SQL_VERDICT_ANY] =
        "SELECT 1 FROM verdict WHERE chunk = ?1 AND row = ?2 AND rows = ?3 LIMIT 1",
    [PMP_SQL_VERDICT_RETIRE] =
        "UPDATE verdict SET state = ?5"
        " WHERE chunk = ?1 AND row = ?2 AND rows = ?3 AND principal = ?4 AND state <= 2",
    [PMP_SQL_VERDICT_ADD] =
        "INSERT INTO verdict(id, principal, request_id, chunk, row, rows, judgement, confidence, "
        "note,"
        " state, replaces, first, wall_ns) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
        " nullif(?11, 0), ?12, ?13)",
    [PMP_SQL_VERDICT_LABELS] = "UPDATE verdict SET labels = ?2 WHERE id = ?1",
    /* Items that overlap [?2, ?3): none starts more than the chunk's longest item before it. */
    [PMP_SQL_VERDICT_TALLY] = "SELECT row, rows, judgement, confidence FROM verdict"
                              " WHERE chunk = ?1 AND row > ?2 - ?4 AND row < ?3 AND row + rows > ?2"
                              " AND state = 1 ORDER BY row, rows, id",

    [PMP_SQL_GOLD_OVER] = "SELECT 1 FROM gold WHERE chunk = ?1 AND row < ?2 + ?3"
                          " AND row + rows > ?2 LIMIT 1",
    [PMP_SQL_GOLD_GET] = "SELECT judgement FROM gold WHERE chunk = ?1 AND row = ?2 AND rows = ?3",
    [PMP_SQL_GOLD_SET] =
        "INSERT INTO gold(chunk, row, rows, judgement, who, wall_ns) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
        " ON CONFLICT(chunk, row, rows) DO UPDATE SET judgement = excluded.judgement,"
        " who = excluded.who, wall_ns = excluded.wall_ns",
    [PMP_SQL_GOLD_DROP] = "DELETE FROM gold WHERE chunk = ?1 AND row = ?2 AND rows = ?3",
    [PMP_SQL_GOLD_DETAIL] = "SELECT json_object('item', ?1, 'judgement', ?2, 'before', ?3)",

    [PMP_SQL_SETTING_ADD] = "INSERT INTO setting(id, key, value, old_value, who, wall_ns)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [PMP_SQL_METRIC_NAME_FIND] = "SELECT id FROM metric_name WHERE name = ?1",
    [PMP_SQL_METRIC_NAME_ADD] = "INSERT INTO metric_name(name) VALUES(?1)",
    [PMP_SQL_METRIC_ADD] =
        "INSERT INTO metric(name, step, n, env_steps, wall_ns, value) VALUES(?1, ?2,"
        " coalesce((SELECT max(n) FROM metric WHERE name = ?1 AND step = ?2), -1) + 1, ?3, ?4, ?5)",
    [PMP_SQL_JSON_OBJECT] =
        "SELECT CASE WHEN json_valid(?1) THEN json_type(?1) = 'object' ELSE 0 END",
    [PMP_SQL_EVENT_ADD] = "INSERT INTO event(id, wall_ns, who, kind, detail, hash)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [PMP_SQL_SETTING_DETAIL] = "SELECT json_object('commit', ?1, 'key', ?2, 'old', ?3, 'new', ?4)",
    [PMP_SQL_VERDICT_DETAIL] =
        "SELECT json_object('commit', ?1, 'item', ?2, 'judgement', ?3, 'confidence', round(?4, 6),"
        " 'request', ?5, 'state', ?6, 'replaces', nullif(?7, 0))",
    [PMP_SQL_CHECKPOINT_CLEAR] = "DELETE FROM checkpoint",
    [PMP_SQL_CHECKPOINT_ADD] =
        "INSERT INTO checkpoint(n, step, commit_id, first_commit, path, hash)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [PMP_SQL_META_ADD] = "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO NOTHING",
    [PMP_SQL_META_GET] = "SELECT value FROM meta WHERE key = ?1",
};
