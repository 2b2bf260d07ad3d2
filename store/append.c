/* Who sends, and what they sent: hello and append, with the high-water mark that recognises
 * repetition. */
#include "store/writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum pmp_err actor_find(struct pmp_writer *w, const char *name, int64_t *actor,
                               struct pmp_errmsg *msg) {
  sqlite3_stmt *find = w->stmt[PMP_SQL_ACTOR_FIND];
  bool found;
  *actor = 0;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_ACTOR_FIND, pmp_db_bind(find, "t", name), &found,
                         "look up the actor", msg));
  if (found) *actor = sqlite3_column_int64(find, 0);
  pmp_db_done(find);
  return PMP_OK;
}

/* The next epoch of a name, for an instance that was not seen before. */
static enum pmp_err instance_add(struct pmp_writer *w, struct pmp_store_hello *h, int64_t *actor,
                                 struct pmp_errmsg *msg) {
  if (*actor == 0) {
    PMP_TRY(pmp_writer_run(w, PMP_SQL_ACTOR_ADD,
                           pmp_db_bind(w->stmt[PMP_SQL_ACTOR_ADD], "t", h->name), "add the actor",
                           msg));
    *actor = sqlite3_last_insert_rowid(w->db);
  }
  sqlite3_stmt *add = w->stmt[PMP_SQL_MARK_ADD];
  bool found;
  int bound = pmp_db_bind(add, "IbI", *actor, h->instance, sizeof h->instance,
                          pmp_clock_wall(&w->config->clock));
  PMP_TRY(pmp_writer_row(w, PMP_SQL_MARK_ADD, bound, &found, "begin an epoch", msg));
  if (found) h->epoch = pmp_db_u32(add, 0);
  h->last_seq = 0;
  pmp_db_done(add);
  return PMP_OK;
}

/* What the name has stored so far, in all epochs. */
static enum pmp_err actor_history(struct pmp_writer *w, struct pmp_store_hello *h, int64_t actor,
                                  struct pmp_errmsg *msg) {
  sqlite3_stmt *sum = w->stmt[PMP_SQL_MARK_SUM], *get = w->stmt[PMP_SQL_STATE_GET];
  bool found;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_MARK_SUM, pmp_db_bind(sum, "I", actor), &found,
                         "count the actor's rows", msg));
  h->rows = pmp_db_u64(sum, 0);
  h->last_chunk = h->last_commit = pmp_db_u64(sum, 1);
  pmp_db_done(sum);
  PMP_TRY(pmp_writer_row(w, PMP_SQL_STATE_GET, pmp_db_bind(get, "I", actor), &found,
                         "read the actor's state", msg));
  enum pmp_err err = PMP_OK;
  if (found) {
    size_t bytes = (size_t)sqlite3_column_bytes(get, 0);
    h->state = malloc(bytes + 1);
    if (h->state == NULL) {
      err = pmp_fail(msg, PMP_ENOMEM, "no memory for the %zu bytes of the actor's state", bytes);
    } else if (bytes > 0) {
      memcpy(h->state, sqlite3_column_blob(get, 0), bytes);
    }
    h->state_bytes = err == PMP_OK ? bytes : 0;
  }
  pmp_db_done(get);
  return err;
}

enum pmp_err pmp_op_hello(struct pmp_writer *w, struct pmp_store_hello *h, struct pmp_errmsg *msg) {
  int64_t actor;
  h->state = NULL;
  h->state_bytes = 0;
  PMP_TRY(pmp_writer_name(h->name, "an actor's name", msg));
  PMP_TRY(actor_find(w, h->name, &actor, msg));
  bool found = false;
  if (actor != 0) {
    sqlite3_stmt *seen = w->stmt[PMP_SQL_MARK_OF_INSTANCE];
    PMP_TRY(pmp_writer_row(w, PMP_SQL_MARK_OF_INSTANCE,
                           pmp_db_bind(seen, "Ib", actor, h->instance, sizeof h->instance), &found,
                           "look up the instance", msg));
    uint32_t newest = 0;
    if (found) {
      h->epoch = pmp_db_u32(seen, 0);
      h->last_seq = pmp_db_u64(seen, 1);
      newest = pmp_db_u32(seen, 2);
    }
    pmp_db_done(seen);
    if (found && h->epoch != newest)
      return pmp_fail(msg, PMP_ECONFLICT,
                      "actor %s: this instance (epoch %u) was replaced by a newer one (epoch %u)",
                      h->name, h->epoch, newest);
  }
  if (!found) PMP_TRY(instance_add(w, h, &actor, msg));
  return actor_history(w, h, actor, msg);
}

struct mark {
  int64_t actor;
  uint32_t epoch;
  uint64_t seq, chunk, ack_version;
  uint8_t hash[PMP_CODEC_HASH_BYTES];
};

/* The mark of the name's newest epoch; actor 0: the name never said hello. */
static enum pmp_err mark_last(struct pmp_writer *w, const char *name, struct mark *m,
                              struct pmp_errmsg *msg) {
  sqlite3_stmt *last = w->stmt[PMP_SQL_MARK_LAST];
  bool found;
  memset(m, 0, sizeof *m);
  PMP_TRY(pmp_writer_row(w, PMP_SQL_MARK_LAST, pmp_db_bind(last, "t", name), &found,
                         "read the actor's mark", msg));
  if (found) {
    m->actor = sqlite3_column_int64(last, 0);
    m->epoch = pmp_db_u32(last, 1);
    m->seq = pmp_db_u64(last, 2);
    if (sqlite3_column_bytes(last, 3) == (int)sizeof m->hash)
      memcpy(m->hash, sqlite3_column_blob(last, 3), sizeof m->hash);
    m->chunk = pmp_db_u64(last, 4);
    m->ack_version = pmp_db_u64(last, 5);
  }
  pmp_db_done(last);
  return PMP_OK;
}

/* Epoch and sequence against the mark. PMP_OK with a->duplicate, or for the next chunk. */
static enum pmp_err check_sequence(struct pmp_store_append *a, const struct mark *m,
                                   const uint8_t hash[PMP_CODEC_HASH_BYTES],
                                   struct pmp_errmsg *msg) {
  if (m->actor == 0)
    return pmp_fail(msg, PMP_ECONFLICT, "actor %s has no epoch yet: say hello first", a->name);
  if (a->epoch < m->epoch)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "actor %s: epoch %u is fenced, a newer instance has epoch %u", a->name,
                    a->epoch, m->epoch);
  if (a->epoch > m->epoch)
    return pmp_fail(msg, PMP_ECONFLICT, "actor %s: epoch %u was never given out, the newest is %u",
                    a->name, a->epoch, m->epoch);
  if (a->seq == m->seq) {
    if (memcmp(hash, m->hash, PMP_CODEC_HASH_BYTES) != 0)
      return pmp_fail(msg, PMP_ECONFLICT,
                      "actor %s: seq %" PRIu64 " was committed with other content", a->name,
                      a->seq);
    a->duplicate = true;
    a->chunk = a->commit = m->chunk;
    a->ack_version = m->ack_version;
    return PMP_OK;
  }
  if (a->seq < m->seq)
    return pmp_fail(msg, PMP_ECONFLICT, "actor %s: seq %" PRIu64 " is stale, the last is %" PRIu64,
                    a->name, a->seq, m->seq);
  if (a->seq != m->seq + 1) {
    a->expected_seq = m->seq + 1;
    return pmp_fail(msg, PMP_ECONFLICT,
                    "actor %s: seq %" PRIu64 " leaves a gap, %" PRIu64 " is expected", a->name,
                    a->seq, a->expected_seq);
  }
  return PMP_OK;
}

static enum pmp_err check_append(const struct pmp_store_append *a, struct pmp_errmsg *msg) {
  PMP_TRY(pmp_writer_name(a->name, "an actor's name", msg));
  if (a->seq == 0) return pmp_fail(msg, PMP_EINVALID, "seq starts at 1 in each epoch");
  if (a->rows == 0) return pmp_fail(msg, PMP_EINVALID, "a chunk has at least one row");
  if (a->labelled > a->rows)
    return pmp_fail(msg, PMP_EINVALID, "a chunk of %u rows cannot have %u labels", a->rows,
                    a->labelled);
  if (a->data == NULL || a->bytes == 0) return pmp_fail(msg, PMP_EINVALID, "the chunk is empty");
  /* SQLite's own limit is 1e9 bytes a row; the edge refuses far smaller ones. */
  if (a->bytes > 500000000 || a->state_bytes > 500000000)
    return pmp_fail(msg, PMP_ETOOLARGE, "a chunk of %zu bytes is too large", a->bytes);
  return PMP_OK;
}

static enum pmp_err write_chunk(struct pmp_writer *w, const struct pmp_store_append *a,
                                const struct mark *m, const uint8_t hash[PMP_CODEC_HASH_BYTES],
                                size_t *stored_bytes, struct pmp_errmsg *msg) {
  const void *stored;
  int encoding = (int)pmp_codec_pack(&w->codec, a->data, a->bytes, &stored, stored_bytes);
  int bound = pmp_db_bind(w->stmt[PMP_SQL_CHUNK_ADD], "UIuUuuiiUUUibI", a->commit, m->actor,
                          a->epoch, a->seq, a->rows, a->labelled, a->shape, a->source,
                          a->version_min, (uint64_t)a->bytes, (uint64_t)*stored_bytes, encoding,
                          hash, (size_t)PMP_CODEC_HASH_BYTES, pmp_clock_wall(&w->config->clock));
  PMP_TRY(pmp_writer_run(w, PMP_SQL_CHUNK_ADD, bound, "add a chunk", msg));
  bound = pmp_db_bind(w->stmt[PMP_SQL_DATA_ADD], "Ub", a->commit, stored, *stored_bytes);
  PMP_TRY(pmp_writer_run(w, PMP_SQL_DATA_ADD, bound, "add a chunk's bytes", msg));
  bound = pmp_db_bind(w->stmt[PMP_SQL_MARK_SET], "IuUbUUu", m->actor, a->epoch, a->seq, hash,
                      (size_t)PMP_CODEC_HASH_BYTES, a->commit, a->ack_version, a->rows);
  PMP_TRY(pmp_writer_run(w, PMP_SQL_MARK_SET, bound, "move the actor's mark", msg));
  if (a->state == NULL) return PMP_OK;
  bound =
      pmp_db_bind(w->stmt[PMP_SQL_STATE_SET], "IUb", m->actor, a->commit, a->state, a->state_bytes);
  return pmp_writer_run(w, PMP_SQL_STATE_SET, bound, "keep the actor's state", msg);
}

enum pmp_err pmp_op_append(struct pmp_writer *w, struct pmp_store_append *a,
                           struct pmp_errmsg *msg) {
  struct mark m;
  uint8_t hash[PMP_CODEC_HASH_BYTES];
  size_t stored_bytes;
  a->duplicate = false;
  a->chunk = a->commit = a->expected_seq = 0;
  PMP_TRY(check_append(a, msg));
  pmp_codec_hash(a->data, a->bytes, hash);
  PMP_TRY(mark_last(w, a->name, &m, msg));
  PMP_TRY(check_sequence(a, &m, hash, msg));
  if (a->duplicate) return PMP_OK;
  PMP_TRY(pmp_retain_admit(w, msg));

  a->chunk = a->commit = w->totals.last_commit + 1;
  PMP_TRY(write_chunk(w, a, &m, hash, &stored_bytes, msg));
  w->totals.last_commit = a->commit;
  w->totals.rows += a->rows;
  w->totals.labelled += a->labelled;
  w->totals.chunks++;
  w->totals.bytes += stored_bytes;
  return PMP_OK;
}
