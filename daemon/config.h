/* The configuration: one table of keys (daemon/config_keys.c) drives the YAML schema, defaults,
 * ranges, the commented listing of --print-defaults, the reference in docs/ and the settings that
 * may change while running.
 *
 * Plain data once loaded; the loop owns it. Knows YAML only through libcyaml. */
#ifndef PMP_DAEMON_CONFIG_H
#define PMP_DAEMON_CONFIG_H

#include "base/err.h"
#include "learner/trainer.h"
#include "proto/chunk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PMP_CONFIG_TEXT_MAX 256
#define PMP_CONFIG_LIST_MAX 8

struct pmp_config_list {
  uint64_t item[PMP_CONFIG_LIST_MAX];
  uint64_t count;
};

struct pmp_config {
  struct {
    char name[PMP_CONFIG_TEXT_MAX];
    uint64_t seed;
    bool lockstep;
    uint64_t max_steps;
  } run;
  struct {
    char desk[PMP_CONFIG_TEXT_MAX], data[PMP_CONFIG_TEXT_MAX];
    uint64_t desk_contexts, data_contexts;
    char http[PMP_CONFIG_TEXT_MAX], http_hosts[PMP_CONFIG_TEXT_MAX];
    char tls_cert[PMP_CONFIG_TEXT_MAX], tls_key[PMP_CONFIG_TEXT_MAX];
  } listen;
  struct {
    uint64_t message_bytes, chunk_rows, actor_state_bytes, string_bytes, tensor_rank,
        tensor_elements, repeated;
    uint64_t connections, sessions, requests_per_second, failed_hellos, hello_timeout_ms,
        session_idle_s;
    uint64_t append_hold_ms, weights_keep_s, weights_keep_bytes, poll_ms, open_items, reader_queue;
  } limits;
  struct {
    uint64_t labels_wanted, lease_s, leases, quota;
    double gold_share;
    int64_t order; /* enum pmp_items_order */
    char render[PMP_CONFIG_TEXT_MAX];
  } desk;
  struct {
    uint64_t capacity_rows, capacity_bytes, compress_level, queue, group_ops, group_bytes;
  } store;
  struct {
    char task[PMP_CONFIG_TEXT_MAX];
    int64_t shape; /* enum pmp_shape */
    struct pmp_config_list observation;
    int64_t action; /* enum pmp_action_kind */
    uint64_t action_dim, action_bins;
    double action_low, action_high;
  } spec;
  struct {
    struct pmp_config_list hidden;
    bool layer_norm, layer_norm_all, squash_mean;
    double init_std, init_mean_range, std_min;
    int64_t covariance;
  } policy;
  struct {
    struct pmp_config_list hidden;
    uint64_t atoms, value_samples, target_period, count;
    double v_min, v_max, lr;
  } critic;
  struct {
    char name[PMP_CONFIG_TEXT_MAX];
    /* beta NaN: auto, -1: the papers' (replaced by check); beta_mean NaN: joint */
    double alpha, beta, beta_mean, beta_std, kl_max;
    double eta, tau, eps, eps_mean, eps_std, eps_penalty, dual_lr, eigen_min, eigen_max;
    uint64_t pairs;
    int64_t averaging, guard, kl, kl_weight, temperature, improvement, improvement_rule;
  } objective;
  struct {
    int64_t judge, rule;
    uint64_t samples, k, k_rejected;
  } label;
  struct {
    int64_t source; /* PMP_REWARD_ACTOR, PMP_REWARD_PEOPLE */
    struct pmp_config_list hidden;
    uint64_t nets, clips, clip_rows, batch, steps_per_verdict, min_verdicts;
    double lr, weight_decay, memory;
  } reward;
  struct {
    double lr, beta1, beta2, eps, weight_decay, clip_norm, decay_to;
    uint64_t decay_steps;
  } optim;
  struct {
    uint64_t batch, kl_rows, capacity, n_step, min_size, refresh_period, max_staleness, streams,
        threads;
    double discount, samples_per_insert, tolerance, samples_per_verdict;
    int64_t sampler, precision;
    bool normalize_observations;
    uint64_t metrics_ms, core;
  } learner;
  struct {
    uint64_t period_steps, period_s, keep;
  } checkpoint;
  struct {
    int64_t level;
  } log;
};

/* Values of the choices that only the configuration names. */
enum { PMP_COVARIANCE_DIAGONAL, PMP_COVARIANCE_FULL };
enum { PMP_REWARD_ACTOR, PMP_REWARD_PEOPLE };
enum { PMP_KL_WEIGHT_UNIFORM, PMP_KL_WEIGHT_STATE };
enum { PMP_TEMPERATURE_ADAM, PMP_TEMPERATURE_EXACT };

enum pmp_config_type {
  PMP_CONFIG_BOOL,
  PMP_CONFIG_UINT,
  PMP_CONFIG_FLOAT,
  PMP_CONFIG_TEXT,
  PMP_CONFIG_ENUM,
  PMP_CONFIG_LIST
};

struct pmp_config_key {
  const char *section, *key;
  enum pmp_config_type type;
  size_t offset;        /* in struct pmp_config */
  const char *fallback; /* default, as one would write it */
  double min, max;      /* UINT, FLOAT, LIST's items */
  const char *choices;  /* ENUM: "a|b|c", the values being base, base + 1, ... */
  int64_t base;
  bool live;       /* may change while running */
  const char *nan; /* FLOAT: the word that stands for NaN ("joint"), or two, the second for -1
                      ("auto|papers"); NULL: none */
  const char *doc;
};
/* The table, ordered by section; *count keys. */
const struct pmp_config_key *pmp_config_keys(size_t *count);
/* "section.key"; NULL when there is none. */
const struct pmp_config_key *pmp_config_find(const char *path);

/* All defaults. */
void pmp_config_defaults(struct pmp_config *c);
/* Reads a YAML file over what is in c. An unknown key or a wrong type names file, line, column and
 * what is allowed; a value out of range names the key and its range. PMP_EINVALID, PMP_ENOTFOUND.
 * Blocks on the disk. */
PMP_MUST_CHECK enum pmp_err pmp_config_load(struct pmp_config *c, const char *path,
                                            struct pmp_errmsg *msg);
/* One key from text: "learner.batch", "256". */
PMP_MUST_CHECK enum pmp_err pmp_config_set(struct pmp_config *c, const char *path,
                                           const char *value, struct pmp_errmsg *msg);
/* The same from "KEY=VALUE". */
PMP_MUST_CHECK enum pmp_err pmp_config_assign(struct pmp_config *c, const char *assignment,
                                              struct pmp_errmsg *msg);
/* A key's value as text into out[size]; the text reads back equal. */
void pmp_config_get(const struct pmp_config *c, const struct pmp_config_key *key, char *out,
                    size_t size);
/* What a key takes, for a person: "1 to 100", "actor|critic|people". */
void pmp_config_range(const struct pmp_config_key *key, char *out, size_t size);
/* What holds between keys (tolerance, shapes, capacities), and everything that the trainer checks.
 */
PMP_MUST_CHECK enum pmp_err pmp_config_check(struct pmp_config *c, struct pmp_errmsg *msg);
/* learner.tolerance, or what 0 stands for under this ratio: the least that is allowed; INFINITY:
 * unlimited. */
double pmp_config_tolerance(const struct pmp_config *c, double samples_per_insert);
/* Do people's verdicts matter to this run: as labels, or through rewards? */
bool pmp_config_people(const struct pmp_config *c);

/* The papers' beta by kind of feedback (v2 Sec. 5). */
double pmp_config_beta_of(double alpha);
/* What a person should know of a checked configuration at the start: settings other than the
 * defaults that this run does not read, a beta below any bound. */
void pmp_config_remarks(const struct pmp_config *c,
                        void (*say)(void *ctx, const char *key, const char *remark), void *ctx);

/* A commented YAML file of c's values; markdown: the reference page of docs/. */
void pmp_config_print(const struct pmp_config *c, FILE *out);
void pmp_config_print_markdown(FILE *out);

/* What parts of the daemon want, out of a checked configuration. */
void pmp_config_spec(const struct pmp_config *c, struct pmp_spec *spec);
void pmp_config_trainer(const struct pmp_config *c, struct pmp_trainer_config *t);

#endif
