/* A peer that speaks nng's REQ by hand over TCP, for what no well-behaved client does: it may ask
 * without reading, and ask on before it is answered. */
#ifndef PMP_TESTS_RAW_PEER_H
#define PMP_TESTS_RAW_PEER_H

#include "tests/support/rpc.h"

enum { RAW_PEER_FRAME_MAX = 2048 };

/* A non-blocking connection to tcp://127.0.0.1:PORT, shaken hands; -1: refused. room: bytes of
 * answers that the kernel keeps for us (SO_RCVBUF), 0: as usual. Asserts nothing: any thread. */
int raw_peer_dial(const char *url, int room);
/* The request in r's session as it is on the wire; its size. The main thread's. */
size_t raw_peer_frame(struct test_rpc *r, const struct pmp_request *request,
                      uint8_t out[RAW_PEER_FRAME_MAX]);
/* Writes frames until the daemon takes no more for quiet_ms: all that it could work on them with
 * waits for us to read. false: it took `most` of them. The main thread's. */
bool raw_peer_flood(int fd, const uint8_t *frame, size_t size, size_t most, int quiet_ms);

#endif
