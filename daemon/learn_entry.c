/* Entries: chunks, verdicts and settings, as the loop hands them over and as the store gives them
 * back. Both ways end in the same functions, so that a refilled ring is the ring that was. */
#include "daemon/learn_internal.h"
#include "daemon/stored.h"
#include "proto/wire.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A stream is an actor's name: its next instance, given its state, goes on in the middle of an
 * episode. */
static uint64_t stream_of(const char *actor) {
  static const unsigned char key[crypto_shorthash_KEYBYTES] = {0}; /* the same in every process */
  unsigned char out[crypto_shorthash_BYTES];
  crypto_shorthash(out, (const unsigned char *)actor, strlen(actor), key);
  uint64_t id;
  memcpy(&id, out, sizeof id);
  return id;
}

void pmp_learn_count_trainable(struct pmp_learn *l) {
  struct pmp_replay_stats s;
  pmp_replay_stats(pmp_trainer_replay(l->trainer), &s);
  /* Before the first verdicts nothing can be trained on, and whatever comes is welcome. */
  if (atomic_load(&l->wants_verdicts)) s.trainable = 0;
  pmp_limiter_trainable(l->config.limiter, s.trainable);
}

static enum pmp_err arena_for(struct pmp_learn *l, size_t bytes) {
  if (l->arena.capacity >= bytes) {
    pmp_arena_release(&l->arena, 0);
    return PMP_OK;
  }
  pmp_arena_fini(&l->arena);
  return pmp_arena_init(&l->arena, bytes);
}

/* Rows into the ring. filling: they are history that a checkpoint has counted already. */
static enum pmp_err add_rows(struct pmp_learn *l, const struct pmp_replay_rows *rows, double each,
                             bool filling, struct pmp_errmsg *msg) {
  uint32_t trainable = 0;
  PMP_TRY(pmp_replay_add(pmp_trainer_replay(l->trainer), rows, &trainable, msg));
  if (atomic_load(&l->wants_verdicts)) each = 0; /* owes no steps */
  if (!filling) pmp_limiter_arrive(l->config.limiter, trainable, each);
  return PMP_OK;
}

/* A version as the run counts them now. Every number below from + by was out before the jump; those
 * above `from` are of weights that were lost with the process: their rows are as much younger as
 * they were, but they are no rows of the version that gets that number anew, so that the sampler of
 * one version must not take them for such. */
static uint64_t renumbered(const struct pmp_learn *l, uint64_t version) {
  const bool exact = l->config.config->learner.sampler == PMP_SAMPLER_VERSION;
  uint32_t i = 0;
  while (i < l->jumps && version > l->jump[i].from &&
         (exact || version >= l->jump[i].from + l->jump[i].by))
    i++;
  for (; i < l->jumps; i++) version += l->jump[i].by;
  return version;
}

static enum pmp_err renumber(struct pmp_learn *l, struct pmp_replay_rows *rows) {
  if (l->jumps == 0 || !rows->ref_version) return PMP_OK;
  uint64_t *version = pmp_arena_array(&l->arena, rows->rows, sizeof *version);
  if (!version) return PMP_ENOMEM;
  for (uint32_t r = 0; r < rows->rows; r++) {
    version[r] = rows->ref_version[r] == 0 ? 0 : renumbered(l, rows->ref_version[r]);
  }
  rows->ref_version = version;
  return PMP_OK;
}

static enum pmp_err apply_chunk(struct pmp_learn *l, const struct pmp_chunk *chunk,
                                const char *actor, uint64_t id, uint64_t commit, bool filling,
                                struct pmp_errmsg *msg) {
  struct pmp_replay_rows rows;
  PMP_TRY(pmp_rows_from_chunk(l->config.spec, chunk, &l->arena, &rows));
  rows.chunk = id;
  rows.commit = commit;
  rows.stream = stream_of(actor);
  PMP_TRY(renumber(l, &rows));
  const bool people = l->config.config->label.judge == PMP_JUDGE_PEOPLE;
  if (people && chunk->source != PMP_SOURCE_ACTOR) rows.ref_version = NULL; /* never grow stale */
  return add_rows(l, &rows, NAN, filling, msg);
}

static enum pmp_err apply_labels(struct pmp_learn *l, const struct pmp_chunk *chunk, uint64_t id,
                                 uint64_t commit, const struct pmp_store_label *label,
                                 uint32_t labels, bool filling, struct pmp_errmsg *msg) {
  struct pmp_replay *ring = pmp_trainer_replay(l->trainer);
  struct pmp_replay_rows all, one;
  PMP_TRY(pmp_rows_from_chunk(l->config.spec, chunk, &l->arena, &all));
  all.chunk = id;
  all.commit = commit;
  if (l->reward) return pmp_learn_reward_judged(l, &all, label, labels, msg);
  if (l->config.spec->shape == PMP_SHAPE_TRAJECTORIES) return PMP_OK; /* a critic judges */
  all.ref_version = NULL; /* people's verdicts do not grow stale */
  const uint32_t obs = (uint32_t)pmp_spec_obs_size(l->config.spec);
  uint32_t open = 0;
  for (uint32_t i = 0; i < labels; i++) {
    bool known = false;
    /* A row that brought its own label is not open: the verdict changes nothing. */
    if (label[i].row < chunk->rows && chunk->verdict && chunk->verdict[label[i].row] != 0) continue;
    open++;
    const struct pmp_row_id row = {.chunk = id, .row = label[i].row};
    PMP_TRY(pmp_replay_relabel(ring, row, label[i].label, label[i].weight, &known));
    /* Whether a row enters now is a matter of its history alone, not of what happens to be in
     * memory. */
    if (label[i].before != 0 || label[i].label == 0 || label[i].row >= chunk->rows) continue;
    if (known) continue;
    const size_t mark = pmp_arena_mark(&l->arena);
    PMP_TRY(pmp_rows_one(&all, obs, l->config.spec->action.dim, label[i].row, label[i].label,
                         label[i].weight, &l->arena, &one));
    PMP_TRY(add_rows(l, &one, 0, filling, msg));
    pmp_arena_release(&l->arena, mark);
  }
  if (open > 0 && !filling) {
    pmp_limiter_pay(l->config.limiter, l->config.config->learner.samples_per_verdict);
  }
  return PMP_OK;
}

static enum pmp_err apply_setting(struct pmp_learn *l, const char *key, const char *value,
                                  struct pmp_errmsg *msg) {
  if (strcmp(key, "@refresh") == 0) {
    pmp_trainer_refresh(l->trainer);
    pmp_learn_count_trainable(l);
    pmp_learn_publish(l);
    return PMP_OK;
  }
  char *end = NULL;
  const double v = strtod(value, &end);
  if (end == value || *end != '\0')
    return pmp_fail(msg, PMP_EINVALID, "%s: \"%s\" is not a number", key, value);
  if (strcmp(key, "learner.samples_per_insert") == 0) {
    pmp_limiter_set_spi(l->config.limiter, v, pmp_config_tolerance(l->config.config, v));
    return PMP_OK;
  }
  struct pmp_trainer_live live;
  pmp_trainer_live_get(l->trainer, &live);
  if (strcmp(key, "optim.lr") == 0) {
    live.lr = (float)v;
  } else if (strcmp(key, "critic.lr") == 0) {
    live.critic_lr = (float)v;
  } else if (strcmp(key, "objective.alpha") == 0) {
    live.alpha = v;
  } else if (strcmp(key, "objective.beta") == 0) {
    live.beta[0] = live.beta[1] = v;
  } else if (strcmp(key, "objective.beta_mean") == 0) {
    live.beta[0] = v;
  } else if (strcmp(key, "objective.beta_std") == 0) {
    live.beta[1] = v;
  } else if (strcmp(key, "learner.refresh_period") == 0) {
    live.refresh_period = (uint32_t)v;
  } else {
    return pmp_fail(msg, PMP_EINVALID, "%s is not a live setting", key);
  }
  return pmp_trainer_live_set(l->trainer, &live, msg);
}

static enum pmp_err decode_stored(struct pmp_learn *l, const void *data, size_t bytes,
                                  struct pmp_chunk *chunk, struct pmp_errmsg *msg) {
  /* How much room its rows take is known once it is decoded. */
  const struct pmp_spec *spec = l->config.spec;
  PMP_TRY(pmp_stored_decode(spec, data, bytes, 65536, &l->arena, chunk, msg));
  const size_t room = pmp_rows_scratch(spec, chunk->rows) + 65536;
  if (l->arena.capacity - l->arena.used >= room) return PMP_OK;
  return pmp_stored_decode(spec, data, bytes, room, &l->arena, chunk, msg);
}

/* The chunk of a committed verdict. Several verdicts in a row are often on one. */
static enum pmp_err read_judged(struct pmp_learn *l, uint64_t id, struct pmp_chunk *chunk,
                                struct pmp_errmsg *msg) {
  struct pmp_entry *e = &l->judged_chunk;
  if (!l->judged) PMP_TRY(pmp_reader_open(&l->judged, l->store_path, NULL, msg));
  if (e->chunk != id) {
    e->chunk = 0;
    PMP_TRY(pmp_reader_chunk(l->judged, id, e, msg));
    e->chunk = id;
  }
  return decode_stored(l, e->data, e->bytes, chunk, msg);
}

enum pmp_err pmp_learn_entry(struct pmp_learn *l, struct pmp_learn_in *in, struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_OK;
  const int64_t from = pmp_clock_mono(&l->config.clock);
  if (in->kind == PMP_LEARN_CHUNK) {
    err = arena_for(l, pmp_rows_scratch(l->config.spec, in->job->chunk.rows) + 65536);
    if (err == PMP_OK) {
      err = apply_chunk(l, &in->job->chunk, in->job->actor, in->job->id, in->commit, false, msg);
    }
    pmp_limiter_release(l->config.limiter, in->job->reserved);
    l->env_steps += in->job->env_steps;
    l->rows += in->job->chunk.rows;
  } else if (in->kind == PMP_LEARN_VERDICT) {
    struct pmp_chunk chunk;
    err = read_judged(l, in->chunk, &chunk, msg);
    if (err == PMP_OK)
      err = apply_labels(l, &chunk, in->chunk, in->commit, in->label, in->labels, false, msg);
  } else {
    err = apply_setting(l, in->key, in->value, msg);
  }
  l->commit = in->commit;
  pmp_learn_count_trainable(l);
  pthread_mutex_lock(&l->lock);
  l->shown.entry_s += (double)(pmp_clock_mono(&l->config.clock) - from) / 1e9;
  pthread_mutex_unlock(&l->lock);
  return err;
}

enum pmp_err pmp_learn_stored(struct pmp_learn *l, const struct pmp_entry *e, bool filling,
                              struct pmp_errmsg *msg) {
  l->starved = false;
  enum pmp_err err = PMP_OK;
  struct pmp_chunk chunk;
  switch (e->kind) {
  case PMP_ENTRY_CHUNK:
    PMP_TRY(decode_stored(l, e->data, e->bytes, &chunk, msg));
    err = apply_chunk(l, &chunk, e->actor, e->chunk, e->commit, filling, msg);
    if (!filling) l->env_steps += pmp_rows_count(&chunk, false).env_steps;
    break;
  case PMP_ENTRY_VERDICT:
    if (e->labels == 0) break;
    PMP_TRY(decode_stored(l, e->data, e->bytes, &chunk, msg));
    err = apply_labels(l, &chunk, e->chunk, e->commit, e->label, e->labels, filling, msg);
    break;
  case PMP_ENTRY_SETTING: /* while filling: the checkpoint has it */
    if (!filling) err = apply_setting(l, e->key, e->value, msg);
    break;
  }
  if (!filling) l->commit = e->commit;
  return err;
}
