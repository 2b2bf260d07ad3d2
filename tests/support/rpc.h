/* A plain client for tests: one request, one reply, over nng and proto/wire.h alone, so that what
 * the daemon does is seen as it is: nothing is resent, no code is hidden. */
#ifndef PMP_TESTS_RPC_H
#define PMP_TESTS_RPC_H

#include "proto/wire.h"

#include <nng/nng.h>

struct test_rpc {
  nng_socket socket;
  struct pmp_arena in, out;
  uint8_t session[PMP_SESSION_BYTES];
  bool greeted;
  uint64_t request_id;
  uint32_t wait_ms;       /* for a reply; 10000 */
  struct pmp_reply reply; /* the last one; pointers live until the next request */
  struct pmp_errmsg msg;
};

void test_rpc_open(struct test_rpc *r, const char *url);
void test_rpc_close(struct test_rpc *r);
/* Sends bytes; the answer's code, PMP_ETIMEOUT or PMP_ECLOSED. */
enum pmp_err test_rpc_bytes(struct test_rpc *r, const void *data, size_t size);
/* Fills in version (unless set), session and request id, sends, waits, checks the echoed id. */
enum pmp_err test_rpc_call(struct test_rpc *r, struct pmp_request *request);

/* hello as actor takes its instance from the byte that all 16 are. */
enum pmp_err test_rpc_hello(struct test_rpc *r, enum pmp_role role, const char *name,
                            uint8_t instance);
/* The same with a token. */
enum pmp_err test_rpc_hello_with(struct test_rpc *r, enum pmp_role role, const char *name,
                                 uint8_t instance, const char *token);
/* Uses the session of another connection. */
void test_rpc_share(struct test_rpc *r, const struct test_rpc *from);
enum pmp_err test_rpc_status(struct test_rpc *r);
/* A number of the last status; fails the test when it is not there. */
double test_rpc_number(const struct test_rpc *r, const char *name);
const char *test_rpc_text(const struct test_rpc *r, const char *name);
/* Asks for status until the number is at least `least`, at most ms; returns the number. */
double test_rpc_wait_number(struct test_rpc *r, const char *name, double least, int ms);
enum pmp_err test_rpc_control(struct test_rpc *r, enum pmp_control_action action, const char *key,
                              const char *value);
/* Encodes the chunk and appends it. */
enum pmp_err test_rpc_append(struct test_rpc *r, uint64_t seq, const struct pmp_chunk *chunk,
                             const void *state, size_t state_bytes);
/* The same, again while the answer is busy, at most ms. */
enum pmp_err test_rpc_append_wait(struct test_rpc *r, uint64_t seq, const struct pmp_chunk *chunk,
                                  const void *state, size_t state_bytes, int ms);

/* Two-dimensional outcomes without a condition, groups of 4, with evaluations (and verdicts) when
 * given. */
struct test_outcomes {
  uint32_t rows;
  float y[256][2], f[256];
  int8_t verdict[256];
  uint32_t group[256];
  uint64_t version;
};
/* Random outcomes of this seed with f = -|y|^2; rows a multiple of 4. */
void test_outcomes_draw(struct test_outcomes *o, uint64_t seed, uint32_t rows);
/* Borrowed columns of o. */
struct pmp_chunk test_outcomes_chunk(const struct test_outcomes *o, bool with_f, bool with_verdict);

#endif
