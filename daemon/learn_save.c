/* The learner's start and its checkpoints. The daemon's own part of a checkpoint ("context") is a
 * small JSON object. */
#include "daemon/learn_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT_FORMAT 1

static char *context_write(struct pmp_learn *l, const struct pmp_replay_stats *ring) {
  struct pmp_limiter_state lim;
  pmp_limiter_get(l->config.limiter, &lim);
  struct pmp_trainer_live live;
  pmp_trainer_live_get(l->trainer, &live);
  const struct pmp_config *config = l->config.config;
  if (isnan(config->objective.beta) && isnan(config->objective.beta_mean))
    live.beta[0] = live.beta[1] = -1; /* auto: nobody's choice */
  json_t *root =
      json_pack("{s:i, s:I, s:I, s:I, s:f, s:f, s:I, s:{s:f, s:f, s:f, s:f, s:f, s:I}}", "format",
                CONTEXT_FORMAT, "commit", (json_int_t)l->commit, "first_commit",
                (json_int_t)(ring->first_commit ? ring->first_commit : l->commit + 1), "env_steps",
                (json_int_t)l->env_steps, "debt", lim.d, "samples_per_insert", lim.spi, "arrived",
                (json_int_t)lim.arrived, "live", "lr", (double)live.lr, "critic_lr",
                (double)live.critic_lr, "alpha", live.alpha, "beta_0", live.beta[0], "beta_1",
                live.beta[1], "refresh_period", (json_int_t)live.refresh_period);
  json_t *jumps = json_array();
  for (uint32_t i = 0; i < l->jumps; i++) {
    json_array_append_new(
        jumps, json_pack("[I, I]", (json_int_t)l->jump[i].from, (json_int_t)l->jump[i].by));
  }
  if (root) json_object_set_new(root, "jumps", jumps);
  char *text =
      root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(root);
  return text;
}

struct context {
  uint64_t commit, first_commit, env_steps, arrived;
  double debt, spi;
  struct pmp_trainer_live live;
  struct pmp_version_jump jump[PMP_JUMPS_MAX];
  uint32_t jumps;
};

static enum pmp_err context_read(const char *text, struct context *c, struct pmp_errmsg *msg) {
  json_error_t je;
  json_t *root = json_loads(text, 0, &je);
  if (!root) return pmp_fail(msg, PMP_ECORRUPT, "checkpoint's context: %s", je.text);
  json_int_t format = 0, commit = 0, first = 0, env = 0, arrived = 0, refresh = 0;
  double lr = 0, critic_lr = 0, alpha = 0, beta0 = 0, beta1 = 0;
  const int rc = json_unpack_ex(
      root, &je, 0, "{s:I, s:I, s:I, s:I, s:F, s:F, s:I, s:{s:F, s:F, s:F, s:F, s:F, s:I}}",
      "format", &format, "commit", &commit, "first_commit", &first, "env_steps", &env, "debt",
      &c->debt, "samples_per_insert", &c->spi, "arrived", &arrived, "live", "lr", &lr, "critic_lr",
      &critic_lr, "alpha", &alpha, "beta_0", &beta0, "beta_1", &beta1, "refresh_period", &refresh);
  const json_t *jumps = json_object_get(root, "jumps"), *jump = NULL;
  size_t i = 0;
  c->jumps = 0;
  json_array_foreach(jumps, i, jump) {
    if (c->jumps == PMP_JUMPS_MAX) break;
    c->jump[c->jumps++] =
        (struct pmp_version_jump){.from = (uint64_t)json_integer_value(json_array_get(jump, 0)),
                                  .by = (uint64_t)json_integer_value(json_array_get(jump, 1))};
  }
  json_decref(root);
  if (rc != 0) return pmp_fail(msg, PMP_ECORRUPT, "checkpoint's context: %s", je.text);
  if (format != CONTEXT_FORMAT) {
    return pmp_fail(msg, PMP_EUNAVAILABLE,
                    "checkpoint's context has format %d, this program reads %d", (int)format,
                    CONTEXT_FORMAT);
  }
  c->commit = (uint64_t)commit;
  c->first_commit = (uint64_t)first;
  c->env_steps = (uint64_t)env;
  c->arrived = (uint64_t)arrived;
  c->live = (struct pmp_trainer_live){.lr = (float)lr,
                                      .critic_lr = (float)critic_lr,
                                      .alpha = alpha,
                                      .beta = {beta0, beta1},
                                      .refresh_period = (uint32_t)refresh};
  return PMP_OK;
}

/* What the folder holds, with the commit ids that each needs, oldest first. */
static enum pmp_err list_kept(struct pmp_learn *l, struct pmp_errmsg *msg) {
  struct pmp_checkpoint_info *info = NULL;
  size_t count = 0;
  PMP_TRY(pmp_checkpoint_list(l->config.fs, l->config.checkpoint_dir, &info, &count, msg));
  struct pmp_store_checkpoint_row *rows = calloc(count + 1, sizeof *rows);
  uint32_t n = 0;
  for (size_t i = 0; rows && i < count; i++) {
    const struct pmp_store_checkpoint_row *old = NULL;
    for (uint32_t k = 0; k < l->kept_count; k++) {
      if (l->kept[k].step == info[i].step && strcmp(l->kept[k].hash, info[i].hash) == 0)
        old = &l->kept[k];
    }
    if (old) {
      rows[n++] = *old;
      continue;
    }
    char *text = NULL;
    struct context c;
    struct pmp_checkpoint_info read; /* the path is borrowed while it is filled */
    if (pmp_checkpoint_verify(l->config.fs, info[i].path, &read, &text, NULL) == PMP_OK &&
        context_read(text, &c, NULL) == PMP_OK) {
      struct pmp_store_checkpoint_row *row = &rows[n++];
      row->step = info[i].step;
      row->commit = c.commit;
      row->first_commit = c.first_commit;
      snprintf(row->path, sizeof row->path, "%s", info[i].path);
      snprintf(row->hash, sizeof row->hash, "%s", info[i].hash);
    }
    free(text);
  }
  free(info);
  if (!rows) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  free(l->kept);
  l->kept = rows;
  l->kept_count = n;
  return PMP_OK;
}

static void tell_checkpoint(struct pmp_learn *l) {
  struct pmp_replay_stats ring;
  pmp_replay_stats(pmp_trainer_replay(l->trainer), &ring);
  struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_CHECKPOINT);
  o->step = pmp_trainer_steps(l->trainer);
  o->commit = l->commit;
  o->window_commit = ring.first_commit ? ring.first_commit : l->commit + 1;
  o->row = calloc(l->kept_count + 1, sizeof *o->row);
  if (o->row) {
    memcpy(o->row, l->kept, l->kept_count * sizeof *o->row);
    o->rows = l->kept_count;
  }
  pmp_learn_send(l, o);
}

enum pmp_err pmp_learn_save(struct pmp_learn *l, struct pmp_errmsg *msg) {
  struct pmp_replay_stats ring;
  pmp_replay_stats(pmp_trainer_replay(l->trainer), &ring);
  char *context = context_write(l, &ring);
  if (!context) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  struct pmp_checkpoint_info info;
  enum pmp_err err =
      pmp_checkpoint_save(l->config.fs, l->config.checkpoint_dir, l->trainer, context, &info, msg);
  free(context);
  l->save_ns = pmp_clock_mono(&l->config.clock);
  l->save_step = pmp_trainer_steps(l->trainer);
  if (err == PMP_OK) {
    err = pmp_checkpoint_prune(l->config.fs, l->config.checkpoint_dir,
                               (uint32_t)l->config.config->checkpoint.keep, msg);
  }
  if (err == PMP_OK) err = list_kept(l, msg);
  pthread_mutex_lock(&l->lock);
  if (err == PMP_OK) {
    l->shown.checkpoints++;
    l->shown.checkpoint_step = l->save_step;
  } else {
    l->shown.checkpoint_failures++;
  }
  pthread_mutex_unlock(&l->lock);
  if (err != PMP_OK) return err;
  tell_checkpoint(l);
  return PMP_OK;
}

void pmp_learn_save_if_due(struct pmp_learn *l) {
  const uint64_t step = pmp_trainer_steps(l->trainer);
  const uint64_t every = l->config.config->checkpoint.period_steps;
  const uint64_t seconds = l->config.config->checkpoint.period_s;
  if (l->faulted || step == l->save_step) return; /* a guard that fired keeps the last good one */
  const bool by_step = every > 0 && step >= l->save_step + every;
  const bool by_time = seconds > 0 && pmp_clock_mono(&l->config.clock) - l->save_ns >=
                                          (int64_t)(seconds * 1000000000u);
  if (!by_step && !by_time) return;
  struct pmp_errmsg msg = {{0}};
  if (pmp_learn_save(l, &msg) != PMP_OK) {
    pmp_log_write(l->config.log, PMP_LOG_ERROR, "PMP-LEARN-SAVE", "step=%" PRIu64 " reason=\"%s\"",
                  step, msg.text);
  }
}

static void bad_checkpoint(void *ctx, const char *path, const char *why) {
  struct pmp_learn *l = ctx;
  pmp_log_write(l->config.log, PMP_LOG_WARN, "PMP-CHECKPOINT-BAD", "path=%s reason=\"%s\"", path,
                why);
  pmp_learn_event(l, "checkpoint_bad", "path", path, why);
}

struct fill {
  struct pmp_learn *l;
  bool filling;
};

static enum pmp_err on_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct fill *f = ctx;
  if (pmp_learn_ending(f->l)) return pmp_fail(msg, PMP_ECLOSED, "stopped while loading");
  const enum pmp_err err = pmp_learn_stored(f->l, e, f->filling, msg);
  if (err == PMP_EINVALID || err == PMP_ETOOLARGE) { /* as when it came, and the run went on */
    pmp_log_write(f->l->config.log, PMP_LOG_ERROR, "PMP-LEARN-ENTRY",
                  "commit=%" PRIu64 " reason=\"%s\"", e->commit, msg->text);
    if (!f->filling) f->l->commit = e->commit;
  } else if (err != PMP_OK) {
    return err;
  }
  if (f->filling) return PMP_OK;
  pmp_learn_count_trainable(f->l);
  return f->l->config.config->run.lockstep ? pmp_learn_catch_up(f->l, msg) : PMP_OK;
}

/* Outside lockstep a number that may have been published is never used again for other weights. */
static void add_jump(struct pmp_learn *l, uint64_t from, uint64_t by) {
  if (l->jumps == PMP_JUMPS_MAX) {
    l->jumps--;
    memmove(l->jump, l->jump + 1, l->jumps * sizeof l->jump[0]);
  }
  l->jump[l->jumps++] = (struct pmp_version_jump){.from = from, .by = by};
}

static void next_version(struct pmp_learn *l, bool resumed) {
  if (l->config.config->run.lockstep && resumed) return;
  const uint64_t old = pmp_trainer_version(l->trainer);
  const uint64_t used = l->config.reserved_version;
  const uint64_t next = (resumed && old > used ? old : used) + 1;
  if (resumed) add_jump(l, old, next - old);
  pmp_trainer_set_version(l->trainer, next);
}

static enum pmp_err check_fingerprint(struct pmp_learn *l, const struct pmp_checkpoint_info *info,
                                      struct pmp_errmsg *msg) {
  char mine[65];
  pmp_trainer_fingerprint(l->trainer, mine);
  if (strcmp(mine, info->fingerprint) == 0) return PMP_OK;
  if (!l->config.config->run.lockstep) {
    pmp_log_write(l->config.log, PMP_LOG_INFO, "PMP-LEARN-FINGERPRINT",
                  "note=\"another machine, thread count or library\"");
    return PMP_OK;
  }
  return pmp_fail(msg, PMP_ECONFLICT,
                  "lockstep: %s was made on another processor model, thread count or library "
                  "version; this run could not "
                  "go on bit for bit (set run.lockstep: false to resume all the same)",
                  info->path);
}

static enum pmp_err load_checkpoint(struct pmp_learn *l, struct context *c, bool *found,
                                    struct pmp_errmsg *msg) {
  struct pmp_checkpoint_info info;
  char *text = NULL;
  enum pmp_err err = pmp_checkpoint_load(l->config.fs, l->config.checkpoint_dir, l->trainer, &text,
                                         &info, bad_checkpoint, l, msg);
  *found = err == PMP_OK;
  if (err == PMP_ENOTFOUND) return PMP_OK;
  if (err == PMP_OK) err = context_read(text, c, msg);
  if (err == PMP_OK) err = check_fingerprint(l, &info, msg);
  struct pmp_trainer_live own;
  pmp_trainer_live_get(l->trainer, &own);
  for (int i = 0; i < 2; i++)
    if (c->live.beta[i] < 0) c->live.beta[i] = own.beta[i]; /* it was auto: the configured one */
  if (err == PMP_OK) err = pmp_trainer_live_set(l->trainer, &c->live, msg);
  free(text);
  if (err != PMP_OK) return err;
  pmp_limiter_restore(l->config.limiter, c->debt, c->spi,
                      pmp_config_tolerance(l->config.config, c->spi), c->arrived);
  memcpy(l->jump, c->jump, sizeof l->jump);
  l->jumps = c->jumps;
  l->commit = c->commit;
  l->env_steps = c->env_steps;
  l->save_step = info.step;
  pthread_mutex_lock(&l->lock);
  l->shown.checkpoint_step = info.step;
  pthread_mutex_unlock(&l->lock);
  pmp_log_write(l->config.log, PMP_LOG_INFO, "PMP-LEARN-RESUME",
                "checkpoint=%s step=%" PRIu64 " commit=%" PRIu64, info.path, info.step, c->commit);
  return PMP_OK;
}

/* Verdicts from before the ring's window: the reward remembers further back than the ring. */
static enum pmp_err on_verdict(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  return e->kind == PMP_ENTRY_VERDICT ? on_entry(ctx, e, msg) : PMP_OK;
}

static enum pmp_err fill_reward(struct pmp_learn *l, struct pmp_reader *reader, uint64_t before,
                                struct pmp_errmsg *msg) {
  struct fill f = {.l = l, .filling = true};
  if (!l->reward || before <= 1) return PMP_OK;
  return pmp_reader_entries(reader, 1, before - 1, on_verdict, &f, msg);
}

static enum pmp_err fill_ring(struct pmp_learn *l, const struct context *c, bool resumed,
                              struct pmp_errmsg *msg) {
  struct pmp_reader *reader = NULL;
  PMP_TRY(pmp_reader_open(&reader, l->config.store_path, NULL, msg));
  enum pmp_err err = PMP_OK;
  struct fill f = {.l = l, .filling = true};
  uint64_t from = 1;
  if (resumed) {
    if (c->commit > l->config.last_commit) {
      err = pmp_fail(msg, PMP_ECONFLICT,
                     "the checkpoint is ahead of the store (commit %" PRIu64 " of %" PRIu64
                     "): the store was replaced or lost data",
                     c->commit, l->config.last_commit);
      goto out;
    }
    err = fill_reward(l, reader, c->first_commit, msg);
    if (err == PMP_OK)
      err = pmp_reader_entries(reader, c->first_commit, c->commit, on_entry, &f, msg);
    if (err != PMP_OK) goto out;
    pmp_learn_count_trainable(l);
    if (l->config.config->run.lockstep)
      err = pmp_learn_catch_up(l, msg); /* what entry `commit` still owes */
    from = c->commit + 1;
  } else if (!l->config.config->run.lockstep) {
    err = pmp_reader_window(reader, l->config.config->learner.capacity, &from, msg);
    if (err == PMP_OK) err = fill_reward(l, reader, from, msg);
  }
  if (err != PMP_OK) goto out;
  f.filling = false;
  if (from > 0 && from <= l->config.last_commit) {
    err = pmp_reader_entries(reader, from, l->config.last_commit, on_entry, &f, msg);
  }
out:
  pmp_reader_close(reader);
  return err;
}

enum pmp_err pmp_learn_load(struct pmp_learn *l, struct pmp_errmsg *msg) {
  pmp_learn_state_set(l, PMP_LEARN_LOADING, "reading checkpoint and store");
  char above[sizeof l->checkpoint_dir + 4];
  snprintf(above, sizeof above, "%s/..", l->config.checkpoint_dir);
  PMP_TRY(l->config.fs->make_dir(l->config.fs->self, l->config.checkpoint_dir, msg));
  PMP_TRY(l->config.fs->sync_dir(l->config.fs->self, above, msg));
  struct context c = {0};
  bool resumed = false;
  PMP_TRY(load_checkpoint(l, &c, &resumed, msg));
  pmp_learn_mark_complete(l);
  next_version(l, resumed);
  if (!resumed) {
    /* Step 0 is kept too: from then on there always is a checkpoint to go back to. */
    PMP_TRY(pmp_learn_save(l, msg));
  } else {
    PMP_TRY(list_kept(l, msg));
    tell_checkpoint(l);
  }
  PMP_TRY(fill_ring(l, &c, resumed, msg));
  pmp_learn_count_trainable(l);
  return PMP_OK;
}
