/* control: pause, resume, checkpoint, refresh, stop, set. Every change is an event with who, when,
 * old and new. A setting is an entry of the store like a chunk, so that a reproducible run
 * reproduces it. */
#include "daemon/server.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct change { /* a setting on its way to the disk */
  char who[PMP_STORE_NAME_MAX], key[PMP_STORE_NAME_MAX];
  char value[PMP_CONFIG_TEXT_MAX], old[PMP_CONFIG_TEXT_MAX];
};

static void detail_event(struct pmp_server *s, const char *who, const char *kind, json_t *detail) {
  char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
  pmp_server_event(s, who, kind, text ? text : "{}");
  free(text);
  json_decref(detail);
}

static void answer_detail(struct pmp_server *s, struct pmp_call *call, json_t *detail) {
  char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_CONTROL};
  reply.u.control.detail = text ? text : "{}";
  pmp_answer(s, call, &reply);
  free(text);
  json_decref(detail);
}

static void setting_done(struct pmp_server *s, struct pmp_pending *p) {
  struct change *c = p->extra;
  struct pmp_learn_in *in = NULL;
  if (p->op.err != PMP_OK) {
    if (p->call) pmp_refuse(s, p->call, PMP_EUNAVAILABLE, 1000, "%s", p->op.msg.text);
    goto out;
  }
  const bool refresh = c->key[0] == '@';
  if (!refresh && pmp_config_set(&s->config, c->key, c->value, NULL) != PMP_OK) {
    pmp_server_fatal(s, "a checked setting was refused"); /* checked before it was stored */
  }
  in = calloc(1, sizeof *in);
  if (!in) {
    pmp_server_fatal(s, "out of memory with a committed setting in hand");
    goto out;
  }
  in->kind = PMP_LEARN_SETTING;
  in->commit = p->op.u.setting.commit;
  strcpy(in->key, c->key);
  strcpy(in->value, c->value);
  s->learn_inflight++;
  if (pmp_learn_post(s->learn, in) != PMP_OK) {
    free(in);
    pmp_server_fatal(s, "the learner's queue is full, which its size rules out");
    goto out;
  }
  /* Its event is in the store already: written in the setting's own transaction. */
  pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-SETTING", "who=%s key=%s old=\"%s\" new=\"%s\"", c->who,
                c->key, c->old, c->value);
  if (p->call) {
    answer_detail(
        s, p->call,
        refresh ? json_pack("{s:s}", "refresh", "asked for")
                : json_pack("{s:s, s:s, s:s}", "key", c->key, "old", c->old, "new", c->value));
  }
out:
  free(c);
  free(p);
}

static enum pmp_err check_setting(const struct pmp_server *s, const char *key, const char *value,
                                  struct change *c, struct pmp_errmsg *msg) {
  if (key[0] == '@') return PMP_OK;
  const struct pmp_config_key *k = pmp_config_find(key);
  struct pmp_config next = s->config;
  PMP_TRY(pmp_config_set(&next, key, value, msg)); /* names an unknown key, a wrong type, a range */
  if (!k || !k->live) {
    return pmp_fail(
        msg, PMP_EINVALID,
        "%s cannot change while the run goes on; live are: optim.lr critic.lr objective.alpha "
        "objective.beta objective.beta_mean objective.beta_std learner.samples_per_insert "
        "learner.refresh_period",
        key);
  }
  const bool split = !isnan(s->config.objective.beta_mean),
             was_auto = isnan(s->config.objective.beta);
  if ((strcmp(key, "objective.beta") == 0 && (split || was_auto || isnan(next.objective.beta))) ||
      (strcmp(key, "objective.beta_mean") == 0 && (!split || isnan(next.objective.beta_mean))) ||
      (strcmp(key, "objective.beta_std") == 0 && (!split || isnan(next.objective.beta_std)))) {
    return pmp_fail(msg, PMP_EINVALID,
                    "%s cannot switch between the joint loss, the split one and beta: auto while "
                    "the run goes on",
                    key);
  }
  if (strcmp(key, "critic.lr") == 0 && s->config.label.judge != PMP_JUDGE_CRITIC) {
    return pmp_fail(msg, PMP_EINVALID, "this run has no critic");
  }
  /* What holds between keys, the tolerance above all; a word ("papers") becomes its number here. */
  PMP_TRY(pmp_config_check(&next, msg));
  pmp_config_get(&s->config, k, c->old, sizeof c->old);
  pmp_config_get(&next, k, c->value, sizeof c->value);
  return PMP_OK;
}

void pmp_control_set(struct pmp_server *s, struct pmp_call *call, const char *who, const char *key,
                     const char *value) {
  struct pmp_errmsg msg = {{0}};
  struct change *c = calloc(1, sizeof *c);
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_SETTING);
  enum pmp_err err = c && p ? PMP_OK : pmp_fail(&msg, PMP_EUNAVAILABLE, "out of memory");
  if (err == PMP_OK && !s->learner_ready) {
    err = pmp_fail(&msg, PMP_EBUSY, "the learner is loading");
  }
  if (err == PMP_OK && s->learn_inflight + s->store_inflight >= PMP_LEARN_INFLIGHT_MAX) {
    err = pmp_fail(&msg, PMP_EBUSY, "the learner has not taken the settings before");
  }
  if (err == PMP_OK) err = check_setting(s, key, value, c, &msg);
  if (err == PMP_OK) {
    snprintf(c->who, sizeof c->who, "%.64s", who);
    snprintf(c->key, sizeof c->key, "%.64s", key);
    p->op.u.setting.value = c->value;
    p->op.u.setting.old_value = c->old;
    p->op.u.setting.who = c->who;
    strcpy(p->op.u.setting.key, c->key);
    p->extra = c;
    p->call = call;
    p->finish = setting_done;
    if (pmp_server_submit(s, p) == PMP_OK) return;
    err = pmp_fail(&msg, PMP_EBUSY, "the store's queue is full");
  }
  free(c);
  free(p);
  if (call) {
    pmp_refuse(s, call, err, 0, "%s", msg.text);
  } else {
    pmp_log_write(&s->log, PMP_LOG_ERROR, "PMP-CONFIG-RELOAD", "key=%s reason=\"%s\"", key,
                  msg.text);
  }
}

static bool post(struct pmp_server *s, enum pmp_learn_kind kind, struct pmp_call *call,
                 const char *who) {
  struct pmp_learn_in *in = calloc(1, sizeof *in);
  if (!in) return false;
  in->kind = kind;
  in->owner = call;
  snprintf(in->key, sizeof in->key, "%.64s", who);
  if (pmp_learn_post(s->learn, in) == PMP_OK) return true;
  free(in);
  return false;
}

void pmp_control_command(struct pmp_server *s, enum pmp_learn_kind kind) {
  if (!post(s, kind, NULL, "daemon"))
    pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-LEARN-FULL", "command=%d", (int)kind);
}

static void command(struct pmp_server *s, struct pmp_call *call, enum pmp_learn_kind kind,
                    const char *who) {
  if (!post(s, kind, call, who)) pmp_refuse(s, call, PMP_EBUSY, 100, "the learner's queue is full");
}

void pmp_control_learned(struct pmp_server *s, struct pmp_learn_in *in, struct pmp_learn_out *out) {
  static const char *const kind[] = {[PMP_LEARN_PAUSE] = "pause",
                                     [PMP_LEARN_RESUME] = "resume",
                                     [PMP_LEARN_CHECKPOINT] = "checkpoint"};
  struct pmp_call *call = in->owner;
  if (!call) return;
  if (out->err != PMP_OK) {
    pmp_refuse(s, call, out->err, 0, "%s", out->msg.text);
    return;
  }
  json_t *detail = json_pack("{s:s, s:I, s:I}", "done", kind[in->kind], "step",
                             (json_int_t)out->step, "version", (json_int_t)out->version);
  detail_event(s, in->key, kind[in->kind], json_incref(detail));
  answer_detail(s, call, detail);
}

void pmp_serve_control(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                       const struct pmp_control *c) {
  char who[PMP_STORE_NAME_MAX];
  snprintf(who, sizeof who, "%s", session->principal);
  switch (c->action) {
  case PMP_CONTROL_PAUSE:
    command(s, call, PMP_LEARN_PAUSE, who);
    return;
  case PMP_CONTROL_RESUME:
    command(s, call, PMP_LEARN_RESUME, who);
    return;
  case PMP_CONTROL_CHECKPOINT:
    command(s, call, PMP_LEARN_CHECKPOINT, who);
    return;
  case PMP_CONTROL_REFRESH:
    pmp_control_set(s, call, who, "@refresh", "");
    return;
  case PMP_CONTROL_SET:
    if (c->key[0] == '@') { /* our own entries have no place in what a client may set */
      pmp_refuse(s, call, PMP_EINVALID, 0, "there is no key \"%.64s\"", c->key);
      return;
    }
    pmp_control_set(s, call, who, c->key, c->value);
    return;
  case PMP_CONTROL_GOLD:
    pmp_desk_gold(s, call, c);
    return;
  case PMP_CONTROL_STOP:
    answer_detail(s, call, json_pack("{s:s}", "stopping", s->config.run.name));
    detail_event(s, who, "stop", json_object());
    pmp_server_stop(s, "asked by an operator");
    return;
  default:
    pmp_refuse(s, call, PMP_EINVALID, 0, "control.action is missing");
    return;
  }
}

static void adopt(struct pmp_server *s, const char *path, double configured, double live) {
  if (isnan(configured) || (float)configured == (float)live) return;
  char value[40];
  snprintf(value, sizeof value, "%.9g", live);
  pmp_log_write(
      &s->log, PMP_LOG_WARN, "PMP-CONFIG-LIVE",
      "key=%s run=%s file=%.9g note=\"the run goes on with its own; pmpoctl set changes it\"", path,
      value, configured);
  struct pmp_errmsg msg = {{0}};
  if (pmp_config_set(&s->config, path, value, &msg) != PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_ERROR, "PMP-CONFIG-LIVE", "key=%s reason=\"%s\"", path,
                  msg.text);
  }
}

void pmp_control_adopt(struct pmp_server *s) {
  struct pmp_learn_status ls;
  struct pmp_limiter_state lim;
  pmp_learn_status(s->learn, &ls);
  pmp_limiter_get(&s->limiter, &lim);
  const bool split = !isnan(s->config.objective.beta_mean);
  adopt(s, "optim.lr", s->config.optim.lr, ls.live.lr);
  if (s->config.label.judge == PMP_JUDGE_CRITIC)
    adopt(s, "critic.lr", s->config.critic.lr, ls.live.critic_lr);
  adopt(s, "objective.alpha", s->config.objective.alpha, ls.live.alpha);
  if (split) {
    adopt(s, "objective.beta_mean", s->config.objective.beta_mean, ls.live.beta[0]);
    adopt(s, "objective.beta_std", s->config.objective.beta_std, ls.live.beta[1]);
  } else {
    adopt(s, "objective.beta", s->config.objective.beta, ls.live.beta[0]);
  }
  adopt(s, "learner.refresh_period", (double)s->config.learner.refresh_period,
        ls.live.refresh_period);
  adopt(s, "learner.samples_per_insert", s->config.learner.samples_per_insert, lim.spi);
}

void pmp_control_reload(struct pmp_server *s) {
  if (!s->config_path) {
    pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-CONFIG-RELOAD", "reason=\"started without a file\"");
    return;
  }
  struct pmp_errmsg msg = {{0}};
  struct pmp_config next;
  pmp_config_defaults(&next);
  enum pmp_err err = pmp_config_load(&next, s->config_path, &msg);
  for (int i = 0; err == PMP_OK && i < s->sets; i++)
    err = pmp_config_assign(&next, s->set[i], &msg);
  if (err == PMP_OK) err = pmp_config_check(&next, &msg);
  if (err != PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_ERROR, "PMP-CONFIG-RELOAD", "reason=\"%s\"", msg.text);
    return;
  }
  size_t count = 0;
  uint32_t changed = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  for (size_t i = 0; i < count; i++) {
    char now[PMP_CONFIG_TEXT_MAX], then[PMP_CONFIG_TEXT_MAX], path[PMP_STORE_NAME_MAX];
    pmp_config_get(&s->config, &keys[i], now, sizeof now);
    pmp_config_get(&next, &keys[i], then, sizeof then);
    if (strcmp(now, then) == 0) continue;
    snprintf(path, sizeof path, "%s.%s", keys[i].section, keys[i].key);
    if (keys[i].live) {
      pmp_control_set(s, NULL, "config", path, then);
      changed++;
    } else {
      pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-CONFIG-RELOAD",
                    "key=%s note=\"needs a restart\" now=\"%s\" file=\"%s\"", path, now, then);
    }
  }
  pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-CONFIG-RELOAD", "changed=%u", changed);
}
