#include "tests/support/raw_peer.h"

#include "tests/support/pmpod_process.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int raw_peer_dial(const char *url, int room) {
  static const uint8_t ours[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0}; /* REQ */
  uint8_t theirs[8] = {0};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1))};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool good = room == 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0;
  good = good && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
  good = good && send(fd, ours, sizeof ours, MSG_NOSIGNAL) == sizeof ours;
  good = good && recv(fd, theirs, sizeof theirs, MSG_WAITALL) == sizeof theirs;
  good = good && theirs[5] == 0x31 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0; /* REP */
  if (good) return fd;
  close(fd);
  return -1;
}

static void put_big(uint8_t *out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

size_t raw_peer_frame(struct test_rpc *r, const struct pmp_request *request,
                      uint8_t out[RAW_PEER_FRAME_MAX]) {
  const void *data = NULL;
  size_t size = 0;
  struct pmp_request q = *request;
  q.version = PMP_WIRE_VERSION_MAX;
  q.request_id = 1;
  q.session = (struct pmp_bytes){r->session, sizeof r->session};
  pmp_arena_release(&r->out, 0);
  assert_int_equal(pmp_wire_encode_request(&q, &r->out, &data, &size, NULL), PMP_OK);
  assert_true(12 + size <= RAW_PEER_FRAME_MAX);
  put_big(out, 4 + size, 8);        /* of the message: */
  put_big(out + 8, 0x80000001u, 4); /* nng's request id */
  memcpy(out + 12, data, size);
  return 12 + size;
}

bool raw_peer_flood(int fd, const uint8_t *frame, size_t size, size_t most, int quiet_ms) {
  size_t sent = 0;
  for (int stuck_ms = 0; stuck_ms < quiet_ms;) {
    const size_t at = sent % size;
    const ssize_t n = send(fd, frame + at, size - at, MSG_NOSIGNAL);
    if (n < 0) {
      assert_int_equal(errno, EAGAIN);
      test_sleep_ms(10);
      stuck_ms += 10;
      continue;
    }
    stuck_ms = 0;
    sent += (size_t)n;
    if (sent / size > most) return false;
  }
  return true;
}
