#include "clients/pmpoctl/campaign_ledger.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELDS 16
#define LINE_MAX_BYTES 1024
#define FILE_MAX ((size_t)1 << 30)

/* ---- one line ---- */

static bool take_text(char *out, size_t size, const char *field) {
  const size_t n = strlen(field);
  if (n >= size) return false;
  memcpy(out, field, n + 1);
  return true;
}

static bool take_u64(uint64_t *out, const char *field) {
  char *end;
  errno = 0;
  *out = strtoull(field, &end, 10);
  return field[0] >= '0' && field[0] <= '9' && *end == '\0' && errno == 0;
}

/* An empty field is NAN, where one may be empty. */
static bool take_real(double *out, const char *field, bool may_be_empty) {
  char *end;
  *out = NAN;
  if (field[0] == '\0') return may_be_empty;
  *out = strtod(field, &end);
  return *end == '\0' && isfinite(*out);
}

enum pmp_err pmp_ledger_parse(const char *text, struct pmp_ledger_line *out,
                              struct pmp_errmsg *msg) {
  char copy[LINE_MAX_BYTES], *field[FIELDS + 1], *rest = copy;
  uint32_t n = 0;
  uint64_t episodes = 0, final = 0;
  memset(out, 0, sizeof *out);
  if (strlen(text) >= sizeof copy) return pmp_fail(msg, PMP_EINVALID, "it is too long");
  strcpy(copy, text);
  while (n <= FIELDS && (field[n] = strsep(&rest, ",")) != NULL) n++;
  if (n != FIELDS) return pmp_fail(msg, PMP_EINVALID, "it has not %d fields", FIELDS);
  const bool good =
      take_text(out->campaign, sizeof out->campaign, field[0]) &&
      take_text(out->task, sizeof out->task, field[1]) &&
      take_text(out->variant, sizeof out->variant, field[2]) && take_u64(&out->seed, field[3]) &&
      take_u64(&out->env_steps, field[4]) && take_u64(&out->learner_steps, field[5]) &&
      take_real(&out->wall_s, field[6], false) && take_u64(&episodes, field[7]) &&
      take_real(&out->eval_return, field[8], true) && take_real(&out->eval_min, field[9], true) &&
      take_real(&out->eval_max, field[10], true) && take_real(&out->eval_sem, field[11], true) &&
      take_u64(&final, field[12]) && take_text(out->status, sizeof out->status, field[13]) &&
      take_text(out->version, sizeof out->version, field[14]) &&
      take_text(out->hash, sizeof out->hash, field[15]);
  out->episodes = (uint32_t)episodes;
  out->final = final == 1;
  const bool evaluation = strcmp(out->status, PMP_LEDGER_OK) == 0;
  const bool known = evaluation || strcmp(out->status, PMP_LEDGER_RESTARTED) == 0 ||
                     strncmp(out->status, PMP_LEDGER_FAILED, strlen(PMP_LEDGER_FAILED)) == 0;
  if (good && known && episodes <= UINT32_MAX && final <= 1 && out->task[0] != '\0' &&
      (!evaluation || isfinite(out->eval_return)) && strlen(out->hash) == sizeof out->hash - 1)
    return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "a field is wrong");
}

static void real(char *out, size_t size, double v) {
  if (isfinite(v))
    snprintf(out, size, "%.9g", v);
  else
    out[0] = '\0';
}

static size_t write_line(const struct pmp_ledger_line *line, char *out, size_t size) {
  char status[PMP_LEDGER_STATUS_MAX], value[4][32];
  const double v[4] = {line->eval_return, line->eval_min, line->eval_max, line->eval_sem};
  for (int i = 0; i < 4; i++) real(value[i], sizeof value[i], v[i]);
  snprintf(status, sizeof status, "%s", line->status);
  for (char *p = status; *p; p++) {
    if (*p == ',') *p = ';';
    if (*p == '"') *p = '\'';
    if ((unsigned char)*p < ' ') *p = ' ';
  }
  const int n = snprintf(
      out, size, "%s,%s,%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.3f,%u,%s,%s,%s,%s,%d,%s,%s,%s\n",
      line->campaign, line->task, line->variant, line->seed, line->env_steps, line->learner_steps,
      line->wall_s, line->episodes, value[0], value[1], value[2], value[3], line->final, status,
      line->version, line->hash);
  return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* ---- the file ---- */

static enum pmp_err keep(struct pmp_ledger *l, const struct pmp_ledger_line *line,
                         struct pmp_errmsg *msg) {
  if (l->lines == PMP_LEDGER_LINES_MAX)
    return pmp_fail(msg, PMP_ETOOLARGE, "%s has more than %d lines", l->path, PMP_LEDGER_LINES_MAX);
  if (l->lines == l->capacity) {
    const uint32_t more = l->capacity ? 2 * l->capacity : 256;
    struct pmp_ledger_line *grown = realloc(l->line, more * sizeof *grown);
    if (grown == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
    l->line = grown;
    l->capacity = more;
  }
  l->line[l->lines++] = *line;
  return PMP_OK;
}

/* text: NUL-terminated. l->bytes ends behind the last good line. */
static enum pmp_err read_lines(struct pmp_ledger *l, char *text, size_t size,
                               struct pmp_errmsg *msg) {
  uint32_t number = 0;
  for (char *at = text, *end; (end = memchr(at, '\n', size - (size_t)(at - text))) != NULL;
       at = end + 1) {
    struct pmp_ledger_line line;
    struct pmp_errmsg why;
    *end = '\0';
    number++;
    if (number == 1) {
      if (strcmp(at, PMP_LEDGER_HEADER) != 0)
        return pmp_fail(msg, PMP_EINVALID,
                        "%s is not a campaign's ledger: its first line is not %s", l->path,
                        PMP_LEDGER_HEADER);
    } else if (pmp_ledger_parse(at, &line, &why) == PMP_OK) {
      PMP_TRY(keep(l, &line, msg));
    } else if (end + 1 == text + size) {
      break; /* the last one: torn, whatever ends it */
    } else {
      return pmp_fail(msg, PMP_ECORRUPT, "%s: line %u: %s", l->path, number, why.text);
    }
    l->bytes = (uint64_t)(end + 1 - text);
  }
  l->cut = size - l->bytes;
  return PMP_OK;
}

static enum pmp_err load(struct pmp_ledger *l, struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  void *data = NULL;
  size_t size = 0;
  const enum pmp_err err = fs->read_all(fs->self, l->path, FILE_MAX, &data, &size, msg);
  if (err == PMP_ENOTFOUND) return PMP_OK;
  PMP_TRY(err);
  char *text = realloc(data, size + 1);
  if (text == NULL) {
    free(data);
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  }
  text[size] = '\0';
  const enum pmp_err read = read_lines(l, text, size, msg);
  free(text);
  return read;
}

static enum pmp_err put(struct pmp_ledger *l, const char *text, size_t size,
                        struct pmp_errmsg *msg) {
  size_t done = 0;
  int code = 0;
  while (done < size && code == 0) {
    const ssize_t n = write(l->fd, text + done, size - done);
    if (n > 0) done += (size_t)n;
    if (n < 0 && errno != EINTR) code = errno;
  }
  if (code == 0 && fdatasync(l->fd) != 0) code = errno;
  if (code == 0) {
    l->bytes += size;
    return PMP_OK;
  }
  if (ftruncate(l->fd, (off_t)l->bytes) != 0) errno = 0; /* else it is cut at the next start */
  return pmp_fail(msg, pmp_err_from_errno(code), "%s: %s", l->path, strerror(code));
}

static enum pmp_err sync_folder(const char *path, struct pmp_errmsg *msg) {
  char copy[PMP_CAMPAIGN_PATH_MAX];
  const struct pmp_fs *fs = pmp_fs_real();
  snprintf(copy, sizeof copy, "%s", path);
  return fs->sync_dir(fs->self, dirname(copy), msg);
}

enum pmp_err pmp_ledger_open(struct pmp_ledger *l, const char *path, bool writable,
                             struct pmp_errmsg *msg) {
  *l = (struct pmp_ledger){.fd = -1};
  if (snprintf(l->path, sizeof l->path, "%s", path) >= (int)sizeof l->path)
    return pmp_fail(msg, PMP_EINVALID, "the ledger's path is too long");
  enum pmp_err err = load(l, msg);
  if (err != PMP_OK || !writable) goto out;
  l->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (l->fd < 0 || ftruncate(l->fd, (off_t)l->bytes) != 0)
    err = pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", path, strerror(errno));
  else if (l->bytes == 0)
    err = put(l, PMP_LEDGER_HEADER "\n", strlen(PMP_LEDGER_HEADER) + 1, msg);
  else if (fsync(l->fd) != 0)
    err = pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", path, strerror(errno));
  if (err == PMP_OK) err = sync_folder(path, msg);
out:
  if (err != PMP_OK) pmp_ledger_close(l);
  return err;
}

void pmp_ledger_close(struct pmp_ledger *l) {
  if (l->fd > 0) close(l->fd);
  free(l->line);
  l->line = NULL;
  l->lines = l->capacity = 0;
  l->fd = -1;
}

enum pmp_err pmp_ledger_append(struct pmp_ledger *l, const struct pmp_ledger_line *line,
                               struct pmp_errmsg *msg) {
  char text[LINE_MAX_BYTES];
  struct pmp_ledger_line back;
  const size_t n = write_line(line, text, sizeof text);
  if (n == 0) return pmp_fail(msg, PMP_EINTERNAL, "a line of the ledger is too long");
  text[n - 1] = '\0';
  PMP_TRY(pmp_ledger_parse(text, &back, msg)); /* never a line that cannot be read again */
  text[n - 1] = '\n';
  PMP_TRY(put(l, text, n, msg));
  return keep(l, &back, msg);
}

/* ---- what it says ---- */

bool pmp_ledger_is_evaluation(const struct pmp_ledger_line *line) {
  return strcmp(line->status, PMP_LEDGER_OK) == 0;
}

static bool is_of(const struct pmp_ledger_line *line, const struct pmp_campaign *c,
                  struct pmp_campaign_run_id id) {
  return line->seed == c->seed[id.seed] && strcmp(line->task, c->task[id.task].name) == 0 &&
         strcmp(line->variant, c->variant[id.variant].name) == 0;
}

/* The mark that an evaluation is of. Only the final one is of the last mark. */
static uint32_t mark_of(const struct pmp_ledger_line *line, const struct pmp_campaign *c) {
  const uint32_t mark = pmp_campaign_mark_reached(c, line->env_steps);
  const uint32_t last = pmp_campaign_marks(c);
  return line->final ? last : mark < last ? mark : last - 1;
}

void pmp_ledger_run_of(const struct pmp_ledger *l, const struct pmp_campaign *c,
                       struct pmp_campaign_run_id id, struct pmp_ledger_run *out) {
  *out = (struct pmp_ledger_run){0};
  for (uint32_t i = 0; i < l->lines; i++) {
    const struct pmp_ledger_line *line = &l->line[i];
    if (!is_of(line, c, id)) continue;
    if (strcmp(line->status, PMP_LEDGER_RESTARTED) == 0)
      *out = (struct pmp_ledger_run){.began = true};
    out->began = true;
    if (pmp_ledger_is_evaluation(line)) {
      const uint32_t mark = mark_of(line, c);
      if (mark > out->mark) out->mark = mark;
      out->done |= line->final;
      out->failed = false;
      out->last_failure = NULL;
      out->last = line;
    } else if (strcmp(line->status, PMP_LEDGER_RESTARTED) != 0) {
      out->failed = true;
      out->last_failure = line;
    } else {
      continue;
    }
    out->wall_s = line->wall_s;
    out->env_steps = line->env_steps;
    out->learner_steps = line->learner_steps;
  }
}

const struct pmp_ledger_line *pmp_ledger_at(const struct pmp_ledger *l,
                                            const struct pmp_campaign *c,
                                            struct pmp_campaign_run_id id, uint32_t k) {
  const struct pmp_ledger_line *found = NULL;
  for (uint32_t i = 0; i < l->lines; i++) {
    const struct pmp_ledger_line *line = &l->line[i];
    if (!is_of(line, c, id)) continue;
    if (strcmp(line->status, PMP_LEDGER_RESTARTED) == 0) found = NULL;
    if (pmp_ledger_is_evaluation(line) && mark_of(line, c) == k) found = line;
  }
  return found;
}
