/* safetensors files. An input that begins with '{' is a header without length and padding, up to
 * its last '}', and the tensors' bytes: so that changes of the text need not guess the length. */
#include "policy/safetensors.h"
#include "tests/fuzz/fuzz.h"

static size_t element_bytes(enum pmp_st_dtype dtype) {
  static const uint8_t bytes[] = {
      [PMP_ST_F32] = 4, [PMP_ST_F64] = 8, [PMP_ST_U8] = 1, [PMP_ST_I64] = 8, [PMP_ST_U64] = 8};
  FUZZ_CHECK((size_t)dtype < sizeof bytes, "dtype %d", (int)dtype);
  return bytes[dtype];
}

static void walk(const struct pmp_st_file *f, const unsigned char *data, size_t size) {
  const unsigned char *end = NULL;
  for (size_t i = 0; i < f->tensors; i++) {
    const struct pmp_st_tensor *t = &f->tensor[i];
    const unsigned char *at = t->data;
    uint64_t bytes = element_bytes(t->dtype);
    FUZZ_CHECK(t->rank <= PMP_ST_RANK_MAX, "rank %u", t->rank);
    for (uint32_t d = 0; d < t->rank; d++) bytes *= t->shape[d];
    FUZZ_CHECK(bytes == t->bytes, "%zu bytes", t->bytes);
    FUZZ_CHECK(at >= data && at <= data + size && t->bytes <= (size_t)(data + size - at),
               "\"%s\" is outside", t->name);
    FUZZ_CHECK((uintptr_t)at % element_bytes(t->dtype) == 0, "\"%s\" is not aligned", t->name);
    FUZZ_CHECK(end == NULL || at == end, "\"%s\" does not follow its neighbour", t->name);
    FUZZ_CHECK(pmp_st_find(f, t->name) == t, "\"%s\" is there twice", t->name);
    fuzz_touch(at, t->bytes);
    end = at + t->bytes;
  }
  FUZZ_CHECK(end == NULL || end == data + size, "the tensors end before the file");
}

/* Written again, the same tensors come back. */
static void there_and_back(const struct pmp_st_file *first) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_st_file second;
  void *header = NULL;
  size_t size = 0, body = 0;
  FUZZ_OK(pmp_st_header(first->tensor, first->tensors, NULL, 0, &header, &size, &msg), &msg);
  for (size_t i = 0; i < first->tensors; i++) body += first->tensor[i].bytes;
  unsigned char *file = malloc(size + body);
  FUZZ_CHECK(file != NULL, "no memory");
  memcpy(file, header, size);
  if (body > 0) memcpy(file + size, first->tensor[0].data, body);
  FUZZ_OK(pmp_st_parse(&second, file, size + body, &msg), &msg);
  FUZZ_CHECK(second.tensors == first->tensors, "%zu tensors", second.tensors);
  for (size_t i = 0; i < first->tensors; i++) {
    const struct pmp_st_tensor *want = &first->tensor[i];
    const struct pmp_st_tensor *have = pmp_st_find(&second, want->name);
    FUZZ_CHECK(have != NULL && have->dtype == want->dtype && have->rank == want->rank &&
                   memcmp(have->shape, want->shape, want->rank * sizeof *want->shape) == 0 &&
                   have->bytes == want->bytes && memcmp(have->data, want->data, have->bytes) == 0,
               "\"%s\" has changed", want->name);
  }
  pmp_st_fini(&second);
  free(file);
  free(header);
}

static void feed(const unsigned char *data, size_t size) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_st_file file;
  memset(&file, 0x99, sizeof file);
  enum pmp_err err = pmp_st_parse(&file, data, size, &msg);
  if (err != PMP_OK) {
    FUZZ_CHECK(err == PMP_ECORRUPT, "%s", pmp_err_name(err));
    FUZZ_REFUSED(err, &msg);
    return;
  }
  walk(&file, data, size);
  there_and_back(&file);
  (void)pmp_st_meta_get(&file, "format");
  (void)pmp_st_find(&file, "no such tensor");
  pmp_st_fini(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  feed(data, size);
  if (size == 0 || data[0] != '{') return 0;
  size_t text = size;
  while (data[text - 1] != '}' && text > 1) text--;
  const uint64_t length = (text + 7) / 8 * 8;
  unsigned char *file = malloc(sizeof length + (size_t)length + size - text);
  FUZZ_CHECK(file != NULL, "no memory");
  memcpy(file, &length, sizeof length);
  memset(file + sizeof length, ' ', (size_t)length);
  memcpy(file + sizeof length, data, text);
  memcpy(file + sizeof length + length, data + text, size - text);
  feed(file, sizeof length + (size_t)length + size - text);
  free(file);
  return 0;
}
