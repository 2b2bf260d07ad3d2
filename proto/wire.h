/* Protobuf to plain structs and back. Generated types stop here.
 *
 * Decoding trusts nothing: sizes, ranks, element counts, strings and repeated fields are held
 * against `struct pmp_wire_limits` before memory is committed, everything unpacked comes out of one
 * capped arena, every float is checked finite, every shape against the run's spec. Pure functions,
 * any thread, nothing blocks. */
#ifndef PMP_PROTO_WIRE_H
#define PMP_PROTO_WIRE_H

#include "base/arena.h"
#include "base/err.h"
#include "proto/chunk.h"

#include <stdbool.h>

#define PMP_WIRE_VERSION_MIN 1
#define PMP_WIRE_VERSION_MAX 1
#define PMP_SESSION_BYTES 16
#define PMP_INSTANCE_BYTES 16
#define PMP_EVENT_HASH_BYTES 32
#define PMP_ITEM_MEDIA_MAX 64 /* that one item is shown with */

struct pmp_wire_limits {
  size_t message_bytes;
  size_t arena_bytes; /* what one decoded message may take; 0: 3 * message_bytes + 64 KiB */
  uint32_t tensor_rank;
  uint64_t tensor_elements;
  uint32_t string_bytes;
  uint32_t repeated; /* entries of any repeated message field */
  uint32_t chunk_rows;
  uint32_t actor_state_bytes;
};
/* 16 MiB messages, rank 8, 2^26 elements, 4 KiB strings, 4096 repeated, 65536 rows, 64 KiB of actor
 * state. */
struct pmp_wire_limits pmp_wire_limits_default(void);

enum pmp_role {
  PMP_ROLE_NONE,
  PMP_ROLE_ACTOR,
  PMP_ROLE_LABELER,
  PMP_ROLE_OBSERVER,
  PMP_ROLE_OPERATOR
};
enum pmp_verb {
  PMP_VERB_NONE = 0,
  PMP_VERB_HELLO = 10,
  PMP_VERB_APPEND,
  PMP_VERB_WEIGHTS,
  PMP_VERB_REPORT,
  PMP_VERB_STATUS,
  PMP_VERB_HISTORY,
  PMP_VERB_EVENTS,
  PMP_VERB_CONTROL,
  PMP_VERB_EXPORT,
  PMP_VERB_VERDICTS,
  PMP_VERB_LEASE,
  PMP_VERB_REVIEW
};
enum pmp_subject {
  PMP_SUBJECT_NONE,
  PMP_SUBJECT_ITEMS,
  PMP_SUBJECT_VERDICTS,
  PMP_SUBJECT_LABELERS,
  PMP_SUBJECT_AGREEMENT,
  PMP_SUBJECT_GOLD /* verdict records: items whose truth is known */
};
enum pmp_which { PMP_WHICH_REFERENCE, PMP_WHICH_POLICY };
enum pmp_judgement { PMP_JUDGEMENT_NONE, PMP_ACCEPT, PMP_REJECT, PMP_SKIP, PMP_WITHDRAW };
enum pmp_control_action {
  PMP_CONTROL_NONE,
  PMP_CONTROL_PAUSE,
  PMP_CONTROL_RESUME,
  PMP_CONTROL_CHECKPOINT,
  PMP_CONTROL_REFRESH,
  PMP_CONTROL_STOP,
  PMP_CONTROL_SET,
  PMP_CONTROL_GOLD
};

struct pmp_bytes {
  const void *data;
  size_t size;
};
struct pmp_number {
  const char *name;
  double value;
};
struct pmp_text {
  const char *name, *value;
};

/* Strings are NUL-terminated, never NULL ("" when absent), UTF-8. */
struct pmp_hello {
  enum pmp_role role;
  const char *name, *token, *client;
  struct pmp_bytes instance;
  bool has_spec;
  struct pmp_spec spec;
};
struct pmp_hello_reply {
  uint8_t session[PMP_SESSION_BYTES];
  const char *run_id, *policy, *data_url;
  struct pmp_spec spec;
  uint64_t ref_version, last_seq, seed, actor_rows;
  uint32_t epoch;
  struct pmp_bytes actor_state;
  struct pmp_wire_limits limits; /* the fields of Limits */
  bool lockstep;
};
struct pmp_append {
  uint64_t seq;
  struct pmp_bytes chunk, actor_state;
};
struct pmp_append_reply {
  uint64_t chunk, ref_version;
  uint32_t rows;
  bool duplicate;
};
struct pmp_weights {
  enum pmp_which which;
  uint64_t version, newer_than, offset, length;
  uint32_t wait_ms;
};
struct pmp_wire_view {
  const char *name;
  uint64_t shape[PMP_TENSOR_RANK_MAX];
  uint32_t rank;
  uint64_t offset; /* floats */
};
struct pmp_weights_reply {
  uint64_t version, bytes, offset, learner_step;
  const char *hash, *base_hash, *policy;
  const struct pmp_wire_view *view;
  uint32_t views;
  struct pmp_bytes data;
};
struct pmp_verdict {
  const char *request_id, *note;
  uint64_t chunk;
  uint32_t row, rows; /* rows >= 1 after decoding */
  enum pmp_judgement judgement;
  float confidence; /* (0,1] after decoding */
};
struct pmp_verdicts {
  const struct pmp_verdict *verdict;
  uint32_t count;
};
struct pmp_verdict_result {
  enum pmp_err code;
  const char *message;
  bool surplus, duplicate, replaced;
};
struct pmp_verdicts_reply {
  const struct pmp_verdict_result *result;
  uint32_t count;
};
struct pmp_item_ref {
  uint64_t chunk;
  uint32_t row, rows; /* rows >= 1 after decoding */
};
struct pmp_lease {
  uint32_t count, seconds;
  const char *order;
  const struct pmp_item_ref *held, *release;
  uint32_t helds, releases;
};
struct pmp_leased_item {
  struct pmp_item_ref item;
  uint32_t labels, lease_ms;
  float score;
  const struct pmp_media *media;
  uint32_t medias;
  struct pmp_tensor condition[PMP_PARTS_MAX];
  uint32_t conditions;
  struct pmp_tensor outcome;
  const char *actor;
  uint64_t ref_version;
};
struct pmp_lease_reply {
  const struct pmp_leased_item *item;
  uint32_t items;
  uint64_t waiting, judged, quota;
  const struct pmp_item_ref *lost;
  uint32_t losts;
  const char *render;
};
struct pmp_review {
  enum pmp_subject subject;
  uint64_t after;
  uint32_t count;
  const char *who;
};
struct pmp_item_record {
  struct pmp_item_ref item;
  uint32_t labels, leases;
  float score;
};
struct pmp_verdict_record {
  uint64_t id;
  const char *who, *note, *request_id;
  struct pmp_item_ref item;
  enum pmp_judgement judgement;
  float confidence; /* 0: of a skip or withdrawal */
  int state;        /* as in store/store.h: 1 active, 2 surplus, 3 replaced, 4 withdrawn */
  int64_t wall_ns;
  const struct pmp_media *media;
  uint32_t medias;
};
struct pmp_labeler_record {
  const char *who;
  uint64_t accepts, rejects, skips, surplus, withdrawn, gold, gold_right, pairs;
  int64_t first_ns, last_ns;
  double agreement; /* 0 when pairs is 0 */
};
struct pmp_pair_record {
  const char *a, *b;
  uint64_t items;
  double raw, kappa;
  bool kappa_known;
};
struct pmp_review_reply {
  const struct pmp_item_record *item;
  const struct pmp_verdict_record *verdict;
  const struct pmp_labeler_record *labeler;
  const struct pmp_pair_record *pair;
  const struct pmp_number *number;
  uint32_t items, verdicts, labelers, pairs, numbers;
};
struct pmp_report {
  const struct pmp_number *value;
  uint32_t count;
  uint64_t ref_version, env_steps;
};
struct pmp_status {
  bool actors;
};
struct pmp_actor_status {
  const char *name;
  uint32_t epoch;
  uint64_t last_seq, rows, ref_version, env_steps;
  int64_t idle_ms;
  const struct pmp_number *value;
  uint32_t values;
  const struct pmp_number *number;
  uint32_t numbers;
};
struct pmp_status_reply {
  const struct pmp_text *text;
  uint32_t texts;
  const struct pmp_number *number;
  uint32_t numbers;
  const struct pmp_actor_status *actor;
  uint32_t actors;
};
struct pmp_history {
  const char *const *name;
  uint32_t names;
  uint64_t step_from, step_to;
  uint32_t points_max;
};
struct pmp_series {
  const char *name;
  const uint64_t *step, *env_steps;
  const int64_t *wall_ns;
  const double *value;
  uint32_t points;
};
struct pmp_history_reply {
  const struct pmp_series *series;
  uint32_t count;
};
struct pmp_events {
  uint64_t after;
  uint32_t count;
  bool all; /* verdicts too */
};
struct pmp_event {
  uint64_t id;
  int64_t wall_ns;
  const char *who, *kind, *detail;
  struct pmp_bytes hash; /* 32 bytes, or none */
};
struct pmp_events_reply {
  const struct pmp_event *event;
  uint32_t count;
};
struct pmp_control {
  enum pmp_control_action action;
  const char *key, *value;
};
struct pmp_control_reply {
  const char *detail;
};
struct pmp_export {
  enum pmp_which which;
  uint64_t version, offset, length;
};
struct pmp_export_reply {
  uint64_t version, bytes, offset;
  struct pmp_bytes data;
};

struct pmp_request {
  uint32_t version;
  struct pmp_bytes session;
  uint64_t request_id;
  enum pmp_verb verb;
  union {
    struct pmp_hello hello;
    struct pmp_append append;
    struct pmp_weights weights;
    struct pmp_report report;
    struct pmp_status status;
    struct pmp_history history;
    struct pmp_events events;
    struct pmp_control control;
    struct pmp_export export_;
    struct pmp_verdicts verdicts;
    struct pmp_lease lease;
    struct pmp_review review;
  } u;
};

struct pmp_reply {
  uint64_t request_id;
  enum pmp_err code;
  const char *message;
  uint32_t retry_after_ms;
  uint64_t expected_seq;             /* append: with a CONFLICT for a gap, what would be right */
  uint32_t version_min, version_max; /* set by encode when 0 and the code is INVALID */
  enum pmp_verb verb;                /* PMP_VERB_NONE: no body */
  union {
    struct pmp_hello_reply hello;
    struct pmp_append_reply append;
    struct pmp_weights_reply weights;
    struct pmp_status_reply status;
    struct pmp_history_reply history;
    struct pmp_events_reply events;
    struct pmp_control_reply control;
    struct pmp_export_reply export_;
    struct pmp_verdicts_reply verdicts;
    struct pmp_lease_reply lease;
    struct pmp_review_reply review;
  } u;
};

/* Bytes to struct; everything that `out` points to lies in `arena` (which must outlive it) or in
 * `data`. Also fills request_id and version as far as they could be read when it fails (else 0), so
 * that the refusal can name them. PMP_EINVALID (malformed, not finite, unknown version),
 * PMP_ETOOLARGE (a limit). */
PMP_MUST_CHECK enum pmp_err
pmp_wire_decode_request(const void *data, size_t size, const struct pmp_wire_limits *limits,
                        struct pmp_arena *arena, struct pmp_request *out, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_wire_decode_reply(const void *data, size_t size,
                                                  const struct pmp_wire_limits *limits,
                                                  struct pmp_arena *arena, struct pmp_reply *out,
                                                  struct pmp_errmsg *msg);
/* Chunk bytes to columns, checked against the spec (NULL: only against itself): shapes, dtypes,
 * bins and tokens in range, finite, weights >= 0, discounts in [0,1], groups 0,0,1,.., and for each
 * environment of trajectories t in order, FIRST where and only where t is 0, a new episode only
 * after LAST, TRUNCATED only with LAST. Items are in order of rows without overlap, their scores
 * finite, their media of the types in pmpo.proto (texts UTF-8), none of their rows with a label of
 * its own. Numbers of unjudged or absent fields are not invented. */
PMP_MUST_CHECK enum pmp_err pmp_wire_decode_chunk(const void *data, size_t size,
                                                  const struct pmp_spec *spec,
                                                  const struct pmp_wire_limits *limits,
                                                  struct pmp_arena *arena, struct pmp_chunk *out,
                                                  struct pmp_errmsg *msg);

/* Bytes of arena in which a chunk of `bytes` bytes can be decoded whatever it holds within the
 * limits. */
size_t pmp_wire_chunk_arena(size_t bytes, const struct pmp_wire_limits *limits);

/* Struct to bytes: *data is in the arena. PMP_ENOMEM when the arena is too small, PMP_EINVALID for
 * what could not be decoded again. */
PMP_MUST_CHECK enum pmp_err pmp_wire_encode_request(const struct pmp_request *r,
                                                    struct pmp_arena *arena, const void **data,
                                                    size_t *size, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_wire_encode_reply(const struct pmp_reply *r,
                                                  struct pmp_arena *arena, const void **data,
                                                  size_t *size, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_wire_encode_chunk(const struct pmp_chunk *c,
                                                  struct pmp_arena *arena, const void **data,
                                                  size_t *size, struct pmp_errmsg *msg);
/* Does what an actor makes (have) fit what the run takes (want)? PMP_ECONFLICT with the difference.
 */
PMP_MUST_CHECK enum pmp_err pmp_spec_match(const struct pmp_spec *want, const struct pmp_spec *have,
                                           struct pmp_errmsg *msg);
/* 1..64 of letters, digits, '-', '_', '.', '@'. */
bool pmp_name_valid(const char *name);

#endif
