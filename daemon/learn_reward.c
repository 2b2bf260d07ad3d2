/* Rewards from people: verdicts on clips become a model of the reward, which the critic learns from
 * in place of what rows bring. The model is no part of a checkpoint: it is fitted anew, after a
 * resume, to the verdicts that the store holds. */
#include "daemon/learn_internal.h"

#include <math.h>
#include <string.h>

#define FIT_AT_ONCE                                                                                \
  20 /* steps of the fit between two steps of the trainer: entries wait meanwhile */
#define FIT_FIRST 200 /* before the first step: also after a resume, which begins anew */
#define FIT_OWED_MAX 4000

static enum pmp_err look_up(void *ctx, size_t n, const float *obs, const float *act, float *out) {
  struct pmp_learn *l = ctx;
  return pmp_reward_values(l->reward, pmp_trainer_compute(l->trainer), n, obs, act, out);
}

enum pmp_err pmp_learn_reward_open(struct pmp_learn *l, struct pmp_errmsg *msg) {
  const struct pmp_config *c = l->config.config;
  struct pmp_reward_config r = {.obs = (uint32_t)pmp_spec_obs_size(l->config.spec),
                                .act = l->config.spec->action.dim,
                                .hidden_count = (uint32_t)c->reward.hidden.count,
                                .nets = (uint32_t)c->reward.nets,
                                .clips_max = (uint32_t)c->reward.clips,
                                .clip_rows = (uint32_t)c->reward.clip_rows,
                                .batch = (uint32_t)c->reward.batch,
                                .lr = (float)c->reward.lr,
                                .weight_decay = (float)c->reward.weight_decay,
                                .memory = c->reward.memory,
                                .seed = c->run.seed};
  for (uint32_t i = 0; i < r.hidden_count; i++) r.hidden[i] = (uint32_t)c->reward.hidden.item[i];
  PMP_TRY(pmp_reward_open(&l->reward, &r, msg));
  pmp_trainer_set_reward(l->trainer, look_up, l);
  atomic_store(&l->wants_verdicts, true);
  return PMP_OK;
}

enum pmp_err pmp_learn_reward_judged(struct pmp_learn *l, const struct pmp_replay_rows *rows,
                                     const struct pmp_store_label *label, uint32_t labels,
                                     struct pmp_errmsg *msg) {
  const uint32_t obs = (uint32_t)pmp_spec_obs_size(l->config.spec);
  const uint32_t act = l->config.spec->action.dim;
  const struct pmp_dist *dist = &l->policy->spec.dist;
  for (uint32_t i = 0, n; i < labels; i += n) {
    const struct pmp_store_label *first = &label[i];
    for (n = 1; i + n < labels && label[i + n].row == first->row + n &&
                label[i + n].label == first->label && label[i + n].weight == first->weight;)
      n++;
    if ((uint64_t)first->row + n > rows->rows)
      return pmp_fail(msg, PMP_EINVALID, "a verdict on rows %u to %u of a chunk of %u", first->row,
                      first->row + n - 1, rows->rows);
    if (n > l->config.config->reward.clip_rows) { /* kept by the store, and no clip of ours */
      pmp_log_write(l->config.log, PMP_LOG_WARN, "PMP-LEARN-CLIP",
                    "chunk=%llu row=%u rows=%u reason=\"longer than reward.clip_rows\"",
                    (unsigned long long)rows->chunk, first->row, n);
      continue;
    }
    const size_t mark = pmp_arena_mark(&l->arena);
    float *action = pmp_arena_array(&l->arena, (size_t)n * act, sizeof *action);
    if (!action) return PMP_ENOMEM;
    pmp_dist_action(dist, n, rows->act + (size_t)first->row * act, action);
    const struct pmp_reward_clip id = {.chunk = rows->chunk, .row = first->row};
    const enum pmp_err err = pmp_reward_judge(
        l->reward, pmp_trainer_compute(l->trainer), id, n, rows->obs + (size_t)first->row * obs,
        action, first->label, first->label == 0 ? 1 : first->weight, msg);
    pmp_arena_release(&l->arena, mark);
    if (err != PMP_OK) return err;
    l->reward_owed += l->config.config->reward.steps_per_verdict;
  }
  if (l->reward_owed > FIT_OWED_MAX) l->reward_owed = FIT_OWED_MAX;
  atomic_store(&l->wants_verdicts, !pmp_learn_reward_ready(l, NULL, 0));
  return PMP_OK;
}

void pmp_learn_reward_score(struct pmp_learn *l, struct pmp_score_work *work) {
  if (!l->reward || !pmp_reward_known(l->reward)) return;
  const uint32_t obs = (uint32_t)pmp_spec_obs_size(l->config.spec);
  const uint32_t act = l->config.spec->action.dim;
  pmp_dist_action(&l->policy->spec.dist, work->rows, work->act, work->act);
  for (uint32_t i = 0; i < work->clips; i++) {
    struct pmp_score_clip *c = &work->clip[i];
    double accept, spread;
    if (!c->found || c->ref.rows > l->config.config->reward.clip_rows) continue;
    if (pmp_reward_foretell(l->reward, pmp_trainer_compute(l->trainer), c->ref.rows,
                            work->obs + c->first * obs, work->act + c->first * act, &accept,
                            &spread) != PMP_OK)
      continue; /* it keeps the score that it has */
    c->score = (float)(spread + 1 - fabs(2 * accept - 1));
    c->scored = isfinite(c->score);
  }
}

void pmp_learn_reward_fit(struct pmp_learn *l) {
  if (l->reward_owed == 0) return;
  const uint32_t most = pmp_reward_known(l->reward) ? FIT_AT_ONCE : FIT_FIRST;
  const uint32_t steps = l->reward_owed < most ? (uint32_t)l->reward_owed : most;
  struct pmp_errmsg msg = {{0}};
  l->reward_owed -= steps;
  const enum pmp_err err = pmp_reward_fit(l->reward, pmp_trainer_compute(l->trainer), steps, &msg);
  struct pmp_reward_stats stats;
  pmp_reward_stats(l->reward, &stats);
  atomic_store(&l->reward_fits, stats.steps);
  if (err != PMP_OK)
    pmp_log_write(l->config.log, PMP_LOG_ERROR, "PMP-LEARN-REWARD", "code=%s reason=\"%s\"",
                  pmp_err_name(err), msg.text);
}

uint64_t pmp_learn_reward_wanted(const struct pmp_learn *l) {
  if (!l->reward || pmp_learn_reward_ready(l, NULL, 0)) return 0;
  const uint64_t want = l->config.config->reward.min_verdicts;
  struct pmp_reward_stats r;
  pmp_reward_stats(l->reward, &r);
  const uint64_t kinds = (r.accepted == 0 ? 1u : 0u) + (r.rejected == 0 ? 1u : 0u);
  const uint64_t lack = r.clips < want ? want - r.clips : 0;
  return lack > kinds ? lack : kinds;
}

uint64_t pmp_learn_reward_fits(const struct pmp_learn *l) {
  return atomic_load(&l->reward_fits);
}

bool pmp_learn_reward_ready(const struct pmp_learn *l, char *text, size_t size) {
  const uint64_t want = l->config.config->reward.min_verdicts;
  struct pmp_reward_stats r;
  if (pmp_reward_known(l->reward)) return true;
  pmp_reward_stats(l->reward, &r);
  if (r.clips >= want && r.accepted > 0 && r.rejected > 0) return true;
  if (text)
    snprintf(text, size, "waiting for people: %u of %llu clips judged, %u accepted, %u rejected",
             r.clips, (unsigned long long)want, r.accepted, r.rejected);
  return false;
}
