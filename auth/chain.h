/* The hash chain of the audit log: each event's hash covers the one before it, so that an event
 * that was changed, left out or put in later shows.
 *
 *   hash_n = BLAKE2b-256(hash_{n-1} || le64 id || le64 wall_ns || f(who) || f(kind) || f(detail))
 *   f(x) = le32 length of x in bytes || x;   hash_0 = 32 bytes of 0
 *
 * Pure. The writer of the store computes it, whoever verifies computes it again. */
#ifndef PMP_AUTH_CHAIN_H
#define PMP_AUTH_CHAIN_H

#include <stdint.h>

#define PMP_CHAIN_BYTES 32

/* hash[PMP_CHAIN_BYTES]: of the event before, then of this one. */
void pmp_chain_next(uint8_t *hash, uint64_t id, int64_t wall_ns, const char *who, const char *kind,
                    const char *detail);

#endif
