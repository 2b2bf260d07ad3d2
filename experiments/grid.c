#include "experiments/grid.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 256, LINE_FLAGS = JSON_COMPACT | JSON_SORT_KEYS };

struct work {
  const struct pmp_grid *grid;
  json_t **settings; /* (jobs), owned */
  json_t **result;   /* (jobs), the caller's */
  int file;          /* -1: none */
  int64_t start;
  /* under the lock */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  size_t next, done, known; /* known: taken over from the file */
  uint32_t working;
  enum pmp_err err;
  struct pmp_errmsg msg;
};

bool pmp_grid_stopped(const volatile int *stop) {
  return stop != NULL && __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}

uint32_t pmp_grid_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? (uint32_t)count : 1;
}

static int64_t now(void) {
  struct pmp_clock clock = pmp_clock_real();
  return pmp_clock_mono(&clock);
}

/* ---------------------------------------------------------------- the file */

/* Lines of the file as one object, settings -> result. A last line that was cut off is left out. */
static json_t *read_lines(FILE *in) {
  json_t *found = json_object();
  char *line = NULL;
  size_t room = 0;
  while (found != NULL && getline(&line, &room, in) > 0) {
    json_t *row = json_loads(line, 0, NULL);
    char *key = json_dumps(json_object_get(row, "settings"), LINE_FLAGS);
    if (key != NULL) json_object_set(found, key, json_object_get(row, "result"));
    free(key);
    json_decref(row);
  }
  free(line);
  return found;
}

static enum pmp_err take_over(struct work *w, struct pmp_errmsg *msg) {
  FILE *in = fopen(w->grid->path, "r");
  if (in == NULL)
    return errno == ENOENT ? PMP_OK
                           : pmp_fail(msg, PMP_EIO, "%s: %s", w->grid->path, strerror(errno));
  json_t *found = read_lines(in);
  fclose(in);
  if (found == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  for (size_t i = 0; i < w->grid->jobs; i++) {
    char *key = json_dumps(w->settings[i], LINE_FLAGS);
    json_t *result = key != NULL ? json_object_get(found, key) : NULL;
    free(key);
    if (!json_is_object(result)) continue;
    w->result[i] = json_incref(result);
    w->known++;
  }
  w->done = w->known;
  json_decref(found);
  return PMP_OK;
}

static enum pmp_err open_file(struct work *w, struct pmp_errmsg *msg) {
  const char *path = w->grid->path;
  char last = '\n';
  w->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (w->file < 0) return pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", path, strerror(errno));
  const off_t end = lseek(w->file, 0, SEEK_END);
  /* A line that was cut off ends here. */
  if (end > 0 && pread(w->file, &last, 1, end - 1) == 1 && last != '\n' &&
      write(w->file, "\n", 1) != 1)
    return pmp_fail(msg, PMP_EIO, "%s: %s", path, strerror(errno));
  return PMP_OK;
}

/* One line in one write. */
static enum pmp_err append(struct work *w, size_t job, json_t *result, struct pmp_errmsg *msg) {
  if (w->file < 0) return PMP_OK;
  json_t *row = json_pack("{s:O, s:O}", "settings", w->settings[job], "result", result);
  char *text = json_dumps(row, LINE_FLAGS | JSON_REAL_PRECISION(17));
  json_decref(row);
  if (text == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  const size_t size = strlen(text);
  text[size] = '\n';
  const ssize_t wrote = write(w->file, text, size + 1);
  free(text);
  if (wrote == (ssize_t)(size + 1)) return PMP_OK;
  return pmp_fail(msg, wrote < 0 ? pmp_err_from_errno(errno) : PMP_EIO, "%s: %s", w->grid->path,
                  wrote < 0 ? strerror(errno) : "the disk took a part of a line");
}

/* ---------------------------------------------------------------- threads */

/* The next job that is not done; false: none, or the grid ends. */
static bool take_job(struct work *w, size_t *job) {
  if (w->err != PMP_OK || pmp_grid_stopped(w->grid->stop)) return false;
  while (w->next < w->grid->jobs && w->result[w->next] != NULL) w->next++;
  *job = w->next;
  return w->next++ < w->grid->jobs;
}

static void keep(struct work *w, size_t job, enum pmp_err err, json_t *result,
                 const struct pmp_errmsg *why) {
  struct pmp_errmsg msg = *why;
  if (err == PMP_OK) err = append(w, job, result, &msg);
  if (err == PMP_OK) {
    w->result[job] = result;
    w->done++;
  } else {
    json_decref(result);
    if (w->err == PMP_OK) {
      w->err = err;
      w->msg = msg;
    }
  }
}

static void *worker(void *arg) {
  struct work *w = arg;
  size_t job;
  pthread_mutex_lock(&w->lock);
  while (take_job(w, &job)) {
    struct pmp_errmsg msg = {{0}};
    json_t *result = NULL;
    pthread_mutex_unlock(&w->lock);
    const enum pmp_err err = w->grid->run(w->grid->ctx, job, w->grid->stop, &result, &msg);
    pthread_mutex_lock(&w->lock);
    keep(w, job, err, result, &msg);
    pthread_cond_signal(&w->changed);
  }
  w->working--;
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

/* ---------------------------------------------------------------- progress */

static void show(const struct work *w, bool terminal, bool last) {
  const struct pmp_grid *g = w->grid;
  const double seconds = (double)(now() - w->start) / 1e9;
  const size_t fresh = w->done - w->known, left = g->jobs - w->done;
  fprintf(stderr, "%s%s: %zu of %zu runs, %.0f s", terminal ? "\r\033[K" : "", g->name, w->done,
          g->jobs, seconds);
  if (left > 0 && fresh > 0)
    fprintf(stderr, ", about %.0f s left", seconds / (double)fresh * (double)left);
  if (w->known > 0) fprintf(stderr, " (%zu were there)", w->known);
  if (!terminal || last) fputc('\n', stderr);
  fflush(stderr);
}

/* Until all threads are through. On a terminal a line that is written over twice a second, else a
 * line every ten. */
static void watch(struct work *w) {
  const bool terminal = isatty(2) != 0;
  const int64_t every = terminal ? 500000000 : 10000000000;
  int64_t shown = w->start;
  pthread_mutex_lock(&w->lock);
  while (w->working > 0) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 250000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&w->changed, &w->lock, &until);
    if (w->grid->quiet || now() - shown < every) continue;
    shown = now();
    show(w, terminal, false);
  }
  if (!w->grid->quiet) show(w, terminal, true);
  pthread_mutex_unlock(&w->lock);
}

static enum pmp_err run_threads(struct work *w, struct pmp_errmsg *msg) {
  pthread_t thread[THREADS_MAX];
  uint32_t started = 0;
  size_t left = w->grid->jobs - w->done;
  const uint32_t wanted = w->grid->threads < THREADS_MAX ? w->grid->threads : THREADS_MAX;
  w->working = wanted < left ? wanted : (uint32_t)left;
  const uint32_t count = w->working;
  for (; started < count; started++) {
    if (pthread_create(&thread[started], NULL, worker, w) != 0) break;
  }
  pthread_mutex_lock(&w->lock);
  w->working -= count - started;
  pthread_mutex_unlock(&w->lock);
  if (started == 0 && left > 0) return pmp_fail(msg, PMP_ENOMEM, "no thread could be started");
  watch(w);
  for (uint32_t i = 0; i < started; i++) pthread_join(thread[i], NULL);
  if (w->err != PMP_OK && w->err != PMP_ECLOSED) {
    if (msg != NULL) *msg = w->msg;
    return w->err;
  }
  return w->done == w->grid->jobs ? PMP_OK : pmp_fail(msg, PMP_ECLOSED, "stopped");
}

enum pmp_err pmp_grid_run(const struct pmp_grid *grid, json_t **result, struct pmp_errmsg *msg) {
  struct work w = {.grid = grid, .result = result, .file = -1, .start = now()};
  enum pmp_err err = PMP_OK;
  w.settings = calloc(grid->jobs > 0 ? grid->jobs : 1, sizeof *w.settings);
  if (w.settings == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  pthread_mutex_init(&w.lock, NULL);
  pthread_cond_init(&w.changed, NULL);
  json_object_seed(0); /* before there are threads */
  for (size_t i = 0; i < grid->jobs && err == PMP_OK; i++) {
    w.settings[i] = grid->settings(grid->ctx, i);
    if (w.settings[i] == NULL) err = pmp_fail(msg, PMP_ENOMEM, "out of memory");
  }
  if (err == PMP_OK && grid->path != NULL) err = take_over(&w, msg);
  if (err == PMP_OK && grid->path != NULL) err = open_file(&w, msg);
  if (err == PMP_OK) err = run_threads(&w, msg);
  if (w.file >= 0) close(w.file);
  for (size_t i = 0; i < grid->jobs; i++) json_decref(w.settings[i]);
  free(w.settings);
  pthread_cond_destroy(&w.changed);
  pthread_mutex_destroy(&w.lock);
  return err;
}
