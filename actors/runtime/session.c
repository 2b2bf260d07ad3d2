#include "actors/runtime/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- random streams ---- */

uint64_t pmp_session_stream(const char *name, uint64_t salt, uint32_t purpose, uint32_t index) {
  uint32_t key[2] = {purpose, index};
  uint32_t out[4] = {(uint32_t)salt, (uint32_t)(salt >> 32), 0, 0};
  size_t size = strlen(name);
  pmp_rng_philox(out, key, out);
  for (size_t at = 0; at < size; at += 8) {
    uint32_t word[2] = {0, 0};
    memcpy(word, name + at, size - at < 8 ? size - at : 8);
    uint32_t counter[4] = {out[0] ^ word[0], out[1] ^ word[1], out[2], out[3]};
    pmp_rng_philox(counter, key, out);
  }
  return (uint64_t)out[1] << 32 | out[0];
}

void pmp_session_rng(const char *name, uint64_t seed, uint64_t salt, uint32_t purpose,
                     uint32_t index, struct pmp_rng *rng) {
  pmp_rng_init(rng, seed, pmp_session_stream(name, salt, purpose, index));
}

/* ---- open and close ---- */

static enum pmp_err connect_client(struct pmp_actor_session *s,
                                   const struct pmp_session_config *config,
                                   struct pmp_errmsg *msg) {
  const struct pmp_actor_options *o = config->options;
  const struct pmpo_options options = {.url = o->url,
                                       .token_file = o->token_file,
                                       .ca = o->ca,
                                       .role = PMP_ROLE_ACTOR,
                                       .name = o->name,
                                       .client = config->kind,
                                       .queue_chunks = o->queue,
                                       .connect_ms = o->connect_ms,
                                       .stop = &s->stop.requested};
  PMP_TRY(pmpo_open(&s->client, &options, msg));
  const struct pmp_hello_reply *run = pmpo_run(s->client);
  s->lockstep = run->lockstep;
  s->seed = o->has_seed ? o->seed : run->seed;
  return config->fits != NULL ? config->fits(config->ctx, &run->spec, msg) : PMP_OK;
}

enum pmp_err pmp_session_open(struct pmp_actor_session *s, const struct pmp_session_config *config,
                              struct pmp_errmsg *msg) {
  memset(s, 0, sizeof *s);
  s->log = (struct pmp_log){.fd = STDERR_FILENO,
                            .level = config->options->quiet ? PMP_LOG_WARN : PMP_LOG_INFO,
                            .clock = pmp_clock_real()};
  PMP_TRY(pmp_stop_start(&s->stop));
  enum pmp_err err = connect_client(s, config, msg);
  if (err == PMP_OK) {
    const struct pmpo_policy_options mirror = {
        .which = config->which, .rows_max = config->rows_max, .follow = config->follow};
    err = pmpo_policy_open(&s->policy, s->client, &mirror, msg);
  }
  if (err == PMP_OK) {
    const struct pmp_hello_reply *run = pmpo_run(s->client);
    pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-ACTOR-START",
                  "kind=%s name=%s run=%s epoch=%u lockstep=%d seed=%llu", config->kind,
                  config->options->name, run->run_id, run->epoch, run->lockstep,
                  (unsigned long long)s->seed);
  } else {
    pmp_session_close(s);
  }
  return err;
}

void pmp_session_close(struct pmp_actor_session *s) {
  pmpo_policy_close(s->policy);
  pmpo_close(s->client);
  pmp_stop_end(&s->stop);
  s->policy = NULL;
  s->client = NULL;
}

enum pmp_err pmp_session_outcome(struct pmp_actor_session *s, const char *kind, enum pmp_err err,
                                 const struct pmp_errmsg *msg) {
  if (err == PMP_ECLOSED && pmp_stop_requested(&s->stop)) return PMP_OK;
  if (err != PMP_EUNAVAILABLE || s->client == NULL || !pmpo_complete(s->client)) return err;
  fprintf(stderr, "pmpo-actor %s: %s\n", kind, msg->text);
  return PMP_OK;
}

/* ---- acting ---- */

enum pmp_err pmp_session_begin(struct pmp_actor_session *s, struct pmp_errmsg *msg) {
  if (s->lockstep) {
    PMP_TRY(pmpo_flush(s->client, -1, msg));
    return pmpo_policy_wait(s->policy, pmpo_ref_version(s->client), true, -1, msg);
  }
  if (pmpo_policy_version(s->policy, NULL) == 0)
    return pmpo_policy_wait(s->policy, 1, false, -1, msg);
  return PMP_OK;
}

void pmp_session_report(struct pmp_actor_session *s, const struct pmp_number *value, uint32_t count,
                        uint64_t env_steps) {
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err =
      pmpo_report(s->client, value, count, pmpo_policy_version(s->policy, NULL), env_steps, &msg);
  if (err != PMP_OK && err != PMP_ECLOSED)
    pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-ACTOR-REPORT", "error=\"%s\" reason=\"%s\"",
                  pmp_err_name(err), msg.text);
}
