/* The table of configuration keys. */
#include "daemon/config.h"

#include "base/log.h"
#include "daemon/items.h"

#include <string.h>

#define AT(sec, field) offsetof(struct pmp_config, sec.field)
#define B(sec, k, def, doc)                                                                        \
  { #sec, #k, PMP_CONFIG_BOOL, AT(sec, k), def, 0, 1, NULL, 0, false, NULL, doc }
#define U(sec, k, def, lo, hi, doc)                                                                \
  { #sec, #k, PMP_CONFIG_UINT, AT(sec, k), def, lo, hi, NULL, 0, false, NULL, doc }
#define F(sec, k, def, lo, hi, doc)                                                                \
  { #sec, #k, PMP_CONFIG_FLOAT, AT(sec, k), def, lo, hi, NULL, 0, false, NULL, doc }
#define UL(sec, k, def, lo, hi, doc)                                                               \
  { #sec, #k, PMP_CONFIG_UINT, AT(sec, k), def, lo, hi, NULL, 0, true, NULL, doc }
#define FL(sec, k, def, lo, hi, doc)                                                               \
  { #sec, #k, PMP_CONFIG_FLOAT, AT(sec, k), def, lo, hi, NULL, 0, true, NULL, doc }
#define FN(sec, k, def, lo, hi, nan, live, doc)                                                    \
  { #sec, #k, PMP_CONFIG_FLOAT, AT(sec, k), def, lo, hi, NULL, 0, live, nan, doc }
#define T(sec, k, def, doc)                                                                        \
  { #sec, #k, PMP_CONFIG_TEXT, AT(sec, k), def, 0, 0, NULL, 0, false, NULL, doc }
#define E(sec, k, def, choices, base, doc)                                                         \
  { #sec, #k, PMP_CONFIG_ENUM, AT(sec, k), def, 0, 0, choices, base, false, NULL, doc }
#define L(sec, k, def, lo, hi, doc)                                                                \
  { #sec, #k, PMP_CONFIG_LIST, AT(sec, k), def, lo, hi, NULL, 0, false, NULL, doc }

static const struct pmp_config_key keys[] = {
    T(run, name, "run", "Name of the run, for people and exports."),
    U(run, seed, "1", 0, 9e15, "Seed of everything random in the learner."),
    B(run, lockstep, "false",
      "Reproducible mode: one actor, each chunk's learner steps are done before its "
      "acknowledgement."),
    U(run, max_steps, "0", 0, 1e15,
      "Learner steps after which the run is complete and takes no more rows of actors; 0: no end."),

    T(listen, desk, "tcp://127.0.0.1:7447",
      "Address of everything but append and weights. Port 0 takes a free one (written to "
      "DIR/endpoints.json)."),
    T(listen, data, "tcp://127.0.0.1:7448", "Address of append and weights."),
    U(listen, desk_contexts, "32", 4, 1024, "Requests the desk works on at once."),
    U(listen, data_contexts, "64", 4, 1024,
      "Requests the data address works on at once; half may be appends, a quarter long polls."),
    T(listen, http, "127.0.0.1:0",
      "HOST:PORT of the web page, its JSON interface and /metrics; port 0 takes a free one "
      "(printed "
      "at start, and in DIR/endpoints.json). off: none."),
    T(listen, http_hosts, "",
      "Names, separated by blanks, by which browsers may call the page beside its address (of a "
      "proxy, say)."),
    T(listen, tls_cert, "",
      "Certificate chain in PEM: with it desk, data and http speak TLS alone. Wanted beyond "
      "loopback."),
    T(listen, tls_key, "", "Its key in PEM."),

    U(limits, message_bytes, "16777216", 65536, 1073741824, "Largest message."),
    U(limits, chunk_rows, "1024", 1, 1048576, "Most rows in a chunk."),
    U(limits, actor_state_bytes, "65536", 0, 65536, "Largest actor state."),
    U(limits, string_bytes, "4096", 64, 1048576, "Longest string in a message."),
    U(limits, tensor_rank, "8", 1, 8, "Highest rank of a tensor."),
    U(limits, tensor_elements, "67108864", 1, 1e12, "Most elements of a tensor."),
    U(limits, repeated, "4096", 16, 1048576, "Most entries of a list in a message."),
    U(limits, connections, "1024", 8, 65536, "Connections on each address."),
    U(limits, sessions, "1024", 1, 65536, "Sessions at once."),
    U(limits, requests_per_second, "100000", 1, 1e9, "Requests a second of one session."),
    U(limits, failed_hellos, "20", 1, 1e6,
      "Hellos a second without a good token that are told so; more are answered busy."),
    U(limits, hello_timeout_ms, "5000", 100, 3600000,
      "A connection that sends nothing for this long is closed."),
    U(limits, session_idle_s, "3600", 10, 1e7, "A session unused for this long is forgotten."),
    U(limits, append_hold_ms, "200", 0, 10000,
      "How long an append may wait for the rate limiter before it is answered busy."),
    U(limits, weights_keep_s, "30", 1, 86400,
      "How long a version stays fetchable after a newer one is out."),
    U(limits, weights_keep_bytes, "1073741824", 1048576, 1e13,
      "Most memory for kept versions; beyond it the oldest goes early."),
    U(limits, poll_ms, "30000", 100, 600000, "Longest long poll."),
    U(limits, open_items, "10000", 1, 1e9,
      "Items that may wait for people; beyond it unlabelled rows are answered busy."),
    U(limits, reader_queue, "256", 8, 65536, "Questions to the history that may wait."),

    U(desk, labels_wanted, "1", 1, 64,
      "Accepts and rejects that an item takes, of different people; later ones count for agreement "
      "alone."),
    U(desk, lease_s, "120", 1, 86400,
      "How long an item is leased to a labeler who names no time; "
      "also the longest."),
    U(desk, leases, "64", 1, 4096, "Live leases of one labeler."),
    U(desk, quota, "0", 0, 1e12, "Verdicts that one labeler may give in this run; 0: any number."),
    F(desk, gold_share, "0", 0, 0.5,
      "Share of leased items whose truth is known (pmpoctl gold), to measure labelers."),
    E(desk, order, "oldest", "oldest|random|least_labelled|most_uncertain", PMP_ITEMS_OLDEST,
      "Which items come first when a labeler names no order."),
    T(desk, render, "numbers",
      "How items without media are shown: numbers, or color (three numbers "
      "are red, green and blue)."),

    U(store, capacity_rows, "10000000", 1000, 1e15, "Rows kept on disk."),
    U(store, capacity_bytes, "100000000000", 1048576, 1e18, "Bytes of samples kept on disk."),
    U(store, compress_level, "1", 0, 19,
      "zstd level for chunks; 0: never. Only what pays is kept compressed."),
    U(store, queue, "1024", 16, 65536, "Operations that may wait for the disk."),
    U(store, group_ops, "256", 1, 65536, "Most operations in one commit."),
    U(store, group_bytes, "8388608", 65536, 1073741824, "Most bytes in one commit."),

    T(spec, task, "", "What the actors do; compared when both sides name it."),
    E(spec, shape, "outcomes", "outcomes|trajectories", PMP_SHAPE_OUTCOMES,
      "Samples judged by themselves, or episodes that a critic judges."),
    L(spec, observation, "[]", 1, 16777216,
      "Shape of an observation (float32); [] for none (a bandit)."),
    E(spec, action, "box", "box|bins", PMP_ACTION_BOX, "Numbers in a box, or one bin a dimension."),
    U(spec, action_dim, "2", 1, 4096, "Dimensions of an outcome."),
    U(spec, action_bins, "11", 2, 1048576, "Bins a dimension, for action: bins."),
    F(spec, action_low, "-1", -1e9, 1e9, "Lower end of what the environment takes."),
    F(spec, action_high, "1", -1e9, 1e9, "Upper end."),

    L(policy, hidden, "[256, 256, 256]", 1, 65536,
      "Widths of the hidden layers. Without an observation there is no network: the head itself is "
      "learned."),
    E(policy, covariance, "diagonal", "diagonal|full", PMP_COVARIANCE_DIAGONAL,
      "The gaussian's: a spread a dimension, or a Cholesky factor (up to 256 dimensions)."),
    B(policy, layer_norm, "true",
      "LayerNorm and tanh after the first layer (ELU elsewhere), here and in the critic."),
    B(policy, layer_norm_all, "false",
      "LayerNorm before the ELU of the other layers too, here and in the critic."),
    B(policy, squash_mean, "true", "The gaussian's mean goes through tanh."),
    F(policy, init_std, "0.5", 1e-6, 1e6, "The gaussian's spread at the start."),
    F(policy, init_mean_range, "3", 0, 1e9, "Free parameters: the mean starts uniform in [-r, r]."),
    F(policy, std_min, "0.01", 1e-8, 1e6, "Added to the spread."),

    L(critic, hidden, "[512, 512, 256]", 1, 65536, "Widths of the hidden layers."),
    U(critic, count, "1", 1, 2,
      "2: two critics learn beside each other, and targets and verdicts take the lower value. "
      "optim.clip_norm bounds the norm of both together."),
    U(critic, atoms, "51", 1, 4096, "Atoms of the value's distribution; 1: a scalar."),
    F(critic, v_min, "0", -1e12, 1e12, "Value of the first atom."),
    F(critic, v_max, "100", -1e12, 1e12, "Value of the last atom."),
    U(critic, value_samples, "20", 1, 1024,
      "Actions of the reference that the bootstrap averages over."),
    U(critic, target_period, "100", 1, 1e9, "Steps between updates of the target network."),
    FL(critic, lr, "3e-4", 1e-12, 10, "Learning rate of the critic."),

    T(objective, name, "pmpo", "pmpo, boltzmann, mpo, dpo, ipo or bc (docs/objectives.md)."),
    E(objective, improvement, "gradient", "gradient|exact", PMP_IMPROVEMENT_GRADIENT,
      "exact: PMPO's closed form at each refresh, without a network "
      "(docs/exact-improvement.md)."),
    E(objective, improvement_rule, "paths", "plain|paths", PMP_IMPROVE_PLAIN,
      "exact: the closed form alone, or with the memory that makes it fast."),
    FL(objective, alpha, "0.5", 0, 1, "1: accepted only; 0: rejected only; 0.5: both."),
    FN(objective, beta, "papers", 0, 1e9, "auto|papers", true,
       "Weight of KL(ref||pi). papers: 0.5, or 0 with alpha 1, or 2 with alpha 0; auto: 1.1 (1 - "
       "alpha) / share of rejected."),
    FN(objective, beta_mean, "joint", 0, 1e9, "joint", true,
       "Weight of the mean's KL; with beta_std selects the split loss of a gaussian."),
    FN(objective, beta_std, "joint", 0, 1e9, "joint", true, "Weight of the spread's KL."),
    E(objective, averaging, "sets", "sets|pool", PMP_AVERAGING_SETS,
      "Means over accepted and rejected apart, or one mean over all labelled samples."),
    E(objective, kl, "exact", "exact|bc", PMP_KL_EXACT,
      "KL(ref||pi) in closed form, or - mean log pi over all outcomes in its place (outcomes whose "
      "reference nobody has)."),
    E(objective, kl_weight, "uniform", "uniform|state", PMP_KL_WEIGHT_UNIFORM,
      "state: conditions with more accepted outcomes weigh more in the KL."),
    F(objective, eta, "1", 1e-12, 1e12, "boltzmann: temperature of the weights exp(+-f/eta)."),
    F(objective, tau, "0.1", 1e-9, 1e9, "dpo, ipo: strength of the pull to the reference."),
    U(objective, pairs, "1", 1, 2048,
      "dpo, ipo: pairs a condition: best with worst, second best with second worst, ..."),
    F(objective, eps, "0.1", 1e-12, 1e6, "mpo: bound on the KL of its weights."),
    F(objective, eps_mean, "2.5e-3", 1e-12, 1e6, "mpo: bound on the mean's KL, a dimension."),
    F(objective, eps_std, "1e-6", 1e-15, 1e6, "mpo: bound on the spread's KL, a dimension."),
    F(objective, eps_penalty, "0", 0, 1e6,
      "mpo: bound for the weights that keep actions in their box; 0: no such weights."),
    E(objective, temperature, "adam", "adam|exact", PMP_TEMPERATURE_ADAM,
      "mpo: the temperature by steps on its dual, or solved on each batch."),
    F(objective, dual_lr, "1e-2", 1e-12, 10, "mpo: learning rate of temperature and multipliers."),
    F(objective, eigen_min, "0.1", 1e-6, 1,
      "exact: the covariance shrinks by no more than this factor at a refresh."),
    F(objective, eigen_max, "4", 1, 1e6, "exact: and grows by no more than this."),
    E(objective, guard, "skip", "off|skip|pause", PMP_GUARD_OFF,
      "What happens when the KL passes kl_max or a number is not finite."),
    F(objective, kl_max, "10", 1e-6, 1e9, "Mean KL(ref||pi) in nats beyond which the guard fires."),

    E(label, judge, "actor", "actor|critic|people", PMP_JUDGE_ACTOR, "Who accepts and rejects."),
    E(label, rule, "top_k", "top_k|mean|median|value", PMP_LABEL_TOP_K,
      "From evaluations to verdicts. value: against a learned V(x)."),
    U(label, samples, "4", 1, 4096,
      "Actions of the reference that the critic judges at each state."),
    U(label, k, "2", 1, 2048, "top_k: the best k of a group are accepted."),
    U(label, k_rejected, "0", 0, 2048, "top_k: how many of the worst are rejected; 0: as many."),

    E(reward, source, "actor", "actor|people", PMP_REWARD_ACTOR,
      "Whose rewards the critic learns from: those that rows bring, or a model of them fitted to "
      "people's verdicts on clips (judge critic, learner.n_step 1)."),
    L(reward, hidden, "[64, 64]", 1, 65536, "Hidden layers of the model."),
    U(reward, nets, "3", 1, 8, "Models that are averaged; their disagreement is the uncertainty."),
    U(reward, clips, "2000", 2, 1000000, "Judged clips it remembers."),
    U(reward, clip_rows, "100", 1, 65536, "Most rows of a clip."),
    U(reward, batch, "16", 1, 4096, "Clips of a step of its fit."),
    U(reward, steps_per_verdict, "20", 1, 10000, "Steps of its fit for each verdict."),
    U(reward, min_verdicts, "10", 2, 1000000,
      "Clips with a verdict, of both kinds, before the learner begins."),
    F(reward, lr, "1e-3", 1e-12, 10, "Learning rate of the model."),
    F(reward, weight_decay, "1e-2", 0, 10, "Its decoupled decay."),
    F(reward, memory, "0", 0, 1e9,
      "Verdicts after which a clip is drawn half as often; 0: all alike."),

    FL(optim, lr, "3e-4", 1e-12, 10, "Learning rate of the policy."),
    F(optim, beta1, "0.9", 0, 0.999999, "Adam's first decay."),
    F(optim, beta2, "0.999", 0, 0.99999999, "Adam's second decay."),
    F(optim, eps, "1e-8", 1e-20, 1, "Adam's epsilon."),
    F(optim, weight_decay, "0", 0, 10, "Decoupled weight decay (AdamW); 0: Adam."),
    F(optim, clip_norm, "0", 0, 1e9, "Largest norm of a gradient; 0: no clipping."),
    U(optim, decay_steps, "0", 0, 1e15,
      "Learner steps over which the learning rates of policy and critic fall, in a straight line; "
      "0: "
      "they do not."),
    F(optim, decay_to, "0.1", 1e-6, 1,
      "The share of the learning rates that is left after decay_steps."),

    U(learner, batch, "256", 1, 1048576, "Rows of a step."),
    U(learner, kl_rows, "0", 0, 1048576, "Further unlabelled rows for the KL only."),
    U(learner, capacity, "1000000", 16, 1e10, "Trainable rows in memory."),
    E(learner, sampler, "uniform", "uniform|once|version", PMP_SAMPLER_UNIFORM,
      "How batches are drawn."),
    U(learner, n_step, "5", 1, 1000, "Steps of a return before the bootstrap."),
    F(learner, discount, "0.99", 0, 1, "Discount of a step."),
    FL(learner, samples_per_insert, "32", 0, 1e6, "Rows trained on for each row that came in."),
    FN(learner, tolerance, "0", 0, 1e15, "unlimited", false,
       "How far the two may drift apart, in rows; 0: chosen; unlimited: no tie between them "
       "(offline "
       "data)."),
    F(learner, samples_per_verdict, "32", 0, 1e6,
      "With judge people: rows trained on for each verdict."),
    U(learner, min_size, "1000", 1, 1e10, "Trainable rows before the first step."),
    UL(learner, refresh_period, "100", 0, 4294967295,
       "Steps between refreshes of the reference; 0: only when asked."),
    U(learner, max_staleness, "0", 0, 1e9,
      "Outcomes judged by actors: refreshes after which a row is not trained on; 0: never."),
    U(learner, streams, "4096", 1, 1e7, "Environments followed at once."),
    U(learner, threads, "1", 1, 256, "Threads of the products."),
    E(learner, precision, "float32", "float32|bf16", PMP_PRECISION_FLOAT32,
      "What products multiply, but for the values that actions are ranked by, which stay float32; "
      "bf16 needs a processor that does (AVX512-BF16 or AMX). All else is "
      "float32."),
    U(learner, core, "0", 0, 4096,
      "Processor core that the learner's thread keeps to, counted from 1; 0: any."),
    B(learner, normalize_observations, "false",
      "Networks see (observation - mean) / deviation of all batches so far, within -10 to 10; both "
      "change at refreshes only, and travel with the weights."),
    U(learner, metrics_ms, "1000", 10, 3600000, "Time between points of the history."),

    U(checkpoint, period_steps, "0", 0, 1e12, "Steps between checkpoints; 0: by time only."),
    U(checkpoint, period_s, "60", 0, 1e7, "Seconds between checkpoints; 0: by steps only."),
    U(checkpoint, keep, "3", 1, 1000, "Checkpoints kept."),

    E(log, level, "info", "debug|info|warn|error", PMP_LOG_DEBUG,
      "Lines below it are not written."),
};

const struct pmp_config_key *pmp_config_keys(size_t *count) {
  *count = sizeof keys / sizeof keys[0];
  return keys;
}

const struct pmp_config_key *pmp_config_find(const char *path) {
  const char *dot = strchr(path, '.');
  if (!dot) return NULL;
  const size_t n = (size_t)(dot - path);
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    if (strlen(keys[i].section) == n && strncmp(keys[i].section, path, n) == 0 &&
        strcmp(keys[i].key, dot + 1) == 0) {
      return &keys[i];
    }
  }
  return NULL;
}
