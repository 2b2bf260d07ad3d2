#include "auth/chain.h"

#include <sodium.h>
#include <string.h>

static void put_le(uint8_t *out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * i));
}

static void add_number(crypto_generichash_state *h, uint64_t value) {
  uint8_t bytes[8];
  put_le(bytes, value, 8);
  crypto_generichash_update(h, bytes, sizeof bytes);
}

static void add_text(crypto_generichash_state *h, const char *text) {
  uint8_t bytes[4];
  const size_t length = strlen(text);
  put_le(bytes, length, 4);
  crypto_generichash_update(h, bytes, sizeof bytes);
  crypto_generichash_update(h, (const unsigned char *)text, length);
}

void pmp_chain_next(uint8_t *hash, uint64_t id, int64_t wall_ns, const char *who, const char *kind,
                    const char *detail) {
  crypto_generichash_state h;
  crypto_generichash_init(&h, NULL, 0, PMP_CHAIN_BYTES);
  crypto_generichash_update(&h, hash, PMP_CHAIN_BYTES);
  add_number(&h, id);
  add_number(&h, (uint64_t)wall_ns);
  add_text(&h, who);
  add_text(&h, kind);
  add_text(&h, detail);
  crypto_generichash_final(&h, hash, PMP_CHAIN_BYTES);
}
