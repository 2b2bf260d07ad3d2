/* Settings, metrics, events, reserved versions, the list of checkpoints, and the store's own keys.
 */
#include "store/writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum pmp_err pmp_writer_event(struct pmp_writer *w, const char *who, const char *kind,
                              const char *detail, struct pmp_errmsg *msg) {
  struct pmp_totals *t = &w->totals;
  uint8_t hash[PMP_CHAIN_BYTES];
  const uint64_t id = t->last_event + 1;
  const int64_t now = pmp_clock_wall(&w->config->clock);
  memcpy(hash, t->event_hash, sizeof hash);
  pmp_chain_next(hash, id, now, who, kind, detail);
  const int bound = pmp_db_bind(w->stmt[PMP_SQL_EVENT_ADD], "UItttb", id, now, who, kind, detail,
                                hash, sizeof hash);
  PMP_TRY(pmp_writer_run(w, PMP_SQL_EVENT_ADD, bound, "keep an event", msg));
  t->last_event = id;
  memcpy(t->event_hash, hash, sizeof hash);
  return PMP_OK;
}

enum pmp_err pmp_writer_event_of(struct pmp_writer *w, const char *who, const char *kind,
                                 enum pmp_sql sql, int bound, struct pmp_errmsg *msg) {
  bool found;
  PMP_TRY(pmp_writer_row(w, sql, bound, &found, "put an event into words", msg));
  const char *detail = found ? (const char *)sqlite3_column_text(w->stmt[sql], 0) : NULL;
  const enum pmp_err err = detail != NULL
                               ? pmp_writer_event(w, who, kind, detail, msg)
                               : pmp_writer_fail(w, SQLITE_NOMEM, "put an event into words", msg);
  pmp_db_done(w->stmt[sql]);
  return err;
}

enum pmp_err pmp_op_setting(struct pmp_writer *w, struct pmp_store_setting *s,
                            struct pmp_errmsg *msg) {
  s->commit = 0;
  PMP_TRY(pmp_writer_name(s->key, "a setting's key", msg));
  if (s->value == NULL) return pmp_fail(msg, PMP_EINVALID, "setting %s has no value", s->key);
  s->commit = w->totals.last_commit + 1;
  int64_t now = pmp_clock_wall(&w->config->clock);
  int bound = pmp_db_bind(w->stmt[PMP_SQL_SETTING_ADD], "UttttI", s->commit, s->key, s->value,
                          s->old_value, s->who, now);
  PMP_TRY(pmp_writer_run(w, PMP_SQL_SETTING_ADD, bound, "keep a setting", msg));
  bound = pmp_db_bind(w->stmt[PMP_SQL_SETTING_DETAIL], "Uttt", s->commit, s->key, s->old_value,
                      s->value);
  PMP_TRY(pmp_writer_event_of(w, s->who != NULL ? s->who : "", "setting", PMP_SQL_SETTING_DETAIL,
                              bound, msg));
  w->totals.last_commit = s->commit;
  return PMP_OK;
}

static enum pmp_err metric_id(struct pmp_writer *w, const char *name, int64_t *id,
                              struct pmp_errmsg *msg) {
  sqlite3_stmt *find = w->stmt[PMP_SQL_METRIC_NAME_FIND];
  bool found;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_METRIC_NAME_FIND, pmp_db_bind(find, "t", name), &found,
                         "look up a metric", msg));
  if (found) *id = sqlite3_column_int64(find, 0);
  pmp_db_done(find);
  if (found) return PMP_OK;
  PMP_TRY(pmp_writer_run(w, PMP_SQL_METRIC_NAME_ADD,
                         pmp_db_bind(w->stmt[PMP_SQL_METRIC_NAME_ADD], "t", name), "add a metric",
                         msg));
  *id = sqlite3_last_insert_rowid(w->db);
  return PMP_OK;
}

enum pmp_err pmp_op_metrics(struct pmp_writer *w, const struct pmp_store_metrics *m,
                            struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < m->count; i++) {
    PMP_TRY(pmp_writer_name(m->point[i].name, "a metric's name", msg));
    if (!isfinite(m->point[i].value))
      return pmp_fail(msg, PMP_EINVALID, "metric %s at step %" PRIu64 " is not finite",
                      m->point[i].name, m->point[i].step);
  }
  for (uint32_t i = 0; i < m->count; i++) {
    const struct pmp_store_point *p = &m->point[i];
    int64_t id = 0;
    PMP_TRY(metric_id(w, p->name, &id, msg));
    int bound = pmp_db_bind(w->stmt[PMP_SQL_METRIC_ADD], "IUUId", id, p->step, p->env_steps,
                            p->wall_ns, p->value);
    PMP_TRY(pmp_writer_run(w, PMP_SQL_METRIC_ADD, bound, "add a metric's point", msg));
  }
  return PMP_OK;
}

enum pmp_err pmp_op_event(struct pmp_writer *w, struct pmp_store_event *e, struct pmp_errmsg *msg) {
  sqlite3_stmt *object = w->stmt[PMP_SQL_JSON_OBJECT];
  bool found, fits = false;
  e->id = 0;
  if (e->who == NULL || e->kind == NULL || e->detail == NULL)
    return pmp_fail(msg, PMP_EINVALID, "an event has who, kind and detail");
  PMP_TRY(pmp_writer_row(w, PMP_SQL_JSON_OBJECT, pmp_db_bind(object, "t", e->detail), &found,
                         "check an event's detail", msg));
  if (found) fits = sqlite3_column_int(object, 0) != 0;
  pmp_db_done(object);
  if (!fits)
    return pmp_fail(msg, PMP_EINVALID, "the detail of event %.64s is no JSON object", e->kind);
  PMP_TRY(pmp_writer_event(w, e->who, e->kind, e->detail, msg));
  e->id = w->totals.last_event;
  return PMP_OK;
}

enum pmp_err pmp_op_version(struct pmp_writer *w, struct pmp_store_version *v,
                            struct pmp_errmsg *msg) {
  v->reserved = w->totals.reserved_version;
  if (v->up_to <= v->reserved) return PMP_OK;
  if (v->up_to > INT64_MAX)
    return pmp_fail(msg, PMP_EINVALID, "version %" PRIu64 " is out of range", v->up_to);
  int bound = pmp_db_bind(w->stmt[PMP_SQL_COUNTER_SET], "tU", "reserved_version", v->up_to);
  PMP_TRY(pmp_writer_run(w, PMP_SQL_COUNTER_SET, bound, "reserve versions", msg));
  w->totals.reserved_version = v->reserved = v->up_to;
  return PMP_OK;
}

enum pmp_err pmp_op_checkpoint(struct pmp_writer *w, const struct pmp_store_checkpoint *c,
                               struct pmp_errmsg *msg) {
  uint64_t first = UINT64_MAX;
  for (uint32_t i = 0; i < c->count; i++) {
    if (memchr(c->row[i].path, '\0', sizeof c->row[i].path) == NULL ||
        memchr(c->row[i].hash, '\0', sizeof c->row[i].hash) == NULL)
      return pmp_fail(msg, PMP_EINVALID, "checkpoint %u: path or hash does not end", i);
  }
  PMP_TRY(pmp_writer_run(w, PMP_SQL_CHECKPOINT_CLEAR, SQLITE_OK, "clear the checkpoints", msg));
  for (uint32_t i = 0; i < c->count; i++) {
    const struct pmp_store_checkpoint_row *r = &c->row[i];
    int bound = pmp_db_bind(w->stmt[PMP_SQL_CHECKPOINT_ADD], "uUUUtt", i, r->step, r->commit,
                            r->first_commit, r->path, r->hash);
    PMP_TRY(pmp_writer_run(w, PMP_SQL_CHECKPOINT_ADD, bound, "keep a checkpoint", msg));
    if (r->first_commit < first) first = r->first_commit;
  }
  pmp_retain_floor(&w->totals, c->window_commit, first);
  return PMP_OK;
}

enum pmp_err pmp_op_meta(struct pmp_writer *w, struct pmp_store_meta_op *m,
                         struct pmp_errmsg *msg) {
  PMP_TRY(pmp_writer_name(m->key, "a key", msg));
  int bound = pmp_db_bind(w->stmt[PMP_SQL_META_ADD], "tt", m->key, m->value);
  PMP_TRY(pmp_writer_run(w, PMP_SQL_META_ADD, bound, "keep a key", msg));
  sqlite3_stmt *get = w->stmt[PMP_SQL_META_GET];
  bool found;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_META_GET, pmp_db_bind(get, "t", m->key), &found, "read a key",
                         msg));
  enum pmp_err err = PMP_OK;
  size_t length = found ? (size_t)sqlite3_column_bytes(get, 0) : 0;
  if (length >= m->size)
    err = pmp_fail(msg, PMP_ETOOLARGE, "the value of key %s has %zu bytes", m->key, length);
  else
    pmp_db_text(get, 0, m->value, m->size);
  pmp_db_done(get);
  return err;
}
