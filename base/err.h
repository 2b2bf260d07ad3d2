/* Error codes and messages, shared by every part of pmpod.
 *
 * Belongs to no thread. Knows nothing of the domain. A function that can fail returns
 * `enum pmp_err`, gives its results by out-parameter and, where a person will read the
 * reason, takes a `struct pmp_errmsg *` (may be NULL) that it fills on failure only. */
#ifndef PMP_BASE_ERR_H
#define PMP_BASE_ERR_H

#include <stddef.h>

/* The first ten are also the codes of a reply on the wire (proto/pmpo.proto, Code): keep the order.
 */
enum pmp_err {
  PMP_OK = 0,
  PMP_EINVALID = 1,     /* the caller's input is wrong: shape, range, not finite, malformed */
  PMP_EUNAUTHENTICATED, /* no valid session or token */
  PMP_EFORBIDDEN,       /* the role does not allow the verb */
  PMP_ENOTFOUND,        /* the named thing does not exist (any more) */
  PMP_ECONFLICT,        /* sequence gap, wrong spec, other content, fenced instance */
  PMP_EBUSY,            /* come back later: a queue, the rate limiter or a lock */
  PMP_ETOOLARGE,        /* over a configured limit */
  PMP_EUNAVAILABLE,     /* not now, or not in this build or configuration */
  PMP_EINTERNAL,        /* our bug */
  /* below: never on the wire */
  PMP_ENOMEM,     /* memory or an allocator's cap is used up */
  PMP_EIO,        /* a read, write or sync failed */
  PMP_ENOSPC,     /* the disk is full */
  PMP_ECORRUPT,   /* stored bytes fail their check */
  PMP_ETIMEOUT,   /* no answer in time */
  PMP_ECLOSED,    /* the thing was closed or is shutting down */
  PMP_ENONFINITE, /* a number in a computation became NaN or infinite */
  PMP_ERR_COUNT
};

/* Room for one sentence for a person: what, where, what would be right. Always NUL-terminated. */
struct pmp_errmsg {
  char text[512];
};

#define PMP_MUST_CHECK __attribute__((warn_unused_result))
#define PMP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Short lower-case name of a code ("conflict"); "unknown" when out of range. Never NULL. */
const char *pmp_err_name(enum pmp_err err);

/* Writes the formatted sentence to msg (cut to fit; msg may be NULL) and returns err: `return
 * pmp_fail(msg, PMP_EINVALID, "row %u: ...", r);` */
enum pmp_err pmp_fail(struct pmp_errmsg *msg, enum pmp_err err, const char *fmt, ...)
    PMP_PRINTF(3, 4);

/* The code for an errno value: ENOSPC, EDQUOT -> PMP_ENOSPC, ENOMEM -> PMP_ENOMEM, ENOENT ->
 * PMP_ENOTFOUND, else PMP_EIO. */
enum pmp_err pmp_err_from_errno(int err);

/* `return` on failure of an expression of type enum pmp_err. */
#define PMP_TRY(expr)                                                                              \
  do {                                                                                             \
    enum pmp_err pmp_try_ = (expr);                                                                \
    if (pmp_try_ != PMP_OK) return pmp_try_;                                                       \
  } while (0)

#endif
