#include "clients/pmpoctl/label_show.h"

#include "clients/pmpoctl/judgement.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBERS_SHOWN 16

extern char **environ;

static bool is_text(const struct pmp_media *m) {
  return strcmp(m->type, "text/plain") == 0;
}

static const char *suffix_of(const char *type) {
  const char *slash = strrchr(type, '/');
  return slash ? slash + 1 : "bin";
}

/* Into a file of its own; NULL: it could not be written. */
static const char *save(struct pmp_label_show *s, const struct pmp_media *m) {
  const char *base = getenv("TMPDIR");
  if (s->folder[0] == '\0') {
    snprintf(s->folder, sizeof s->folder, "%.90s/pmpo-label-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(s->folder)) s->folder[0] = '\0';
  }
  if (s->folder[0] == '\0' || s->files == sizeof s->file / sizeof s->file[0]) return NULL;
  char *path = s->file[s->files];
  snprintf(path, sizeof s->file[0], "%s/%u.%s", s->folder, s->files, suffix_of(m->type));
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return NULL;
  s->files++;
  bool whole = true;
  for (size_t at = 0; whole && at < m->bytes;) {
    const ssize_t n = write(fd, (const char *)m->data + at, m->bytes - at);
    whole = n > 0;
    if (whole) at += (size_t)n;
  }
  return close(fd) == 0 && whole ? path : NULL;
}

/* Runs a program on the file and waits for it; false: there is none, or it failed. */
static bool view(const char *program, const char *path) {
  char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)path, NULL};
  pid_t pid;
  int status;
  fflush(stdout);
  if (posix_spawnp(&pid, program, NULL, NULL, argv, environ) != 0) return false;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void show_file(struct pmp_label_show *s, const struct pmp_media *m) {
  const char *path = save(s, m), *viewer = getenv("PMPO_VIEWER");
  if (!path) {
    printf("%s (%s, %zu bytes): cannot be written to a file\n", m->name, m->type, m->bytes);
    return;
  }
  const bool picture = strncmp(m->type, "image/", 6) == 0;
  bool seen = viewer && *viewer && view(viewer, path);
  if (!seen && !(viewer && *viewer) && picture) seen = view("chafa", path);
  if (!seen) printf("%s: %s\n", m->name[0] ? m->name : m->type, path);
}

static size_t numbers_of(const struct pmp_tensor *t) {
  return t->dtype == PMP_F32 || t->dtype == PMP_I32 ? t->bytes / 4 : 0;
}

static double number_at(const struct pmp_tensor *t, size_t i) {
  return t->dtype == PMP_F32 ? (double)((const float *)t->data)[i]
                             : (double)((const int32_t *)t->data)[i];
}

static void print_numbers(const char *name, const struct pmp_tensor *t) {
  const size_t n = numbers_of(t);
  if (n == 0) return;
  printf("%s", name);
  for (size_t i = 0; i < n && i < NUMBERS_SHOWN; i++) printf(" %.4g", number_at(t, i));
  printf(n > NUMBERS_SHOWN ? " ... (%zu numbers)\n" : "\n", n);
}

static int shade(const struct pmp_label_show *s, double v) {
  const double span = s->high > s->low ? (double)s->high - (double)s->low : 1;
  const double x = 255 * (v - (double)s->low) / span;
  return x < 0 ? 0 : x > 255 ? 255 : (int)(x + 0.5);
}

static void print_color(const struct pmp_label_show *s, const struct pmp_tensor *t) {
  const int r = shade(s, number_at(t, 0)), g = shade(s, number_at(t, 1)),
            b = shade(s, number_at(t, 2));
  for (int line = 0; line < 4; line++) printf("\033[48;2;%d;%d;%dm%24s\033[0m\n", r, g, b, "");
  printf("red %d green %d blue %d\n", r, g, b);
}

void pmp_label_print(struct pmp_label_show *s, const struct pmp_leased_item *item,
                     const char *render) {
  char text[PMP_ITEM_TEXT];
  pmp_label_forget(s);
  printf("\n-- item %s", pmp_item_text(item->item, text));
  if (item->labels > 0) printf(", labelled %u times", item->labels);
  puts(" --");
  for (uint32_t i = 0; i < item->medias; i++) {
    const struct pmp_media *m = &item->media[i];
    if (!is_text(m)) {
      show_file(s, m);
      continue;
    }
    if (m->name[0]) {
      pmp_text_print(m->name, strlen(m->name), stdout);
      puts(":");
    }
    pmp_text_print(m->data, m->bytes, stdout);
    puts("");
  }
  if (item->medias > 0) return;
  for (uint32_t i = 0; i < item->conditions; i++) print_numbers("given  ", &item->condition[i]);
  if (strcmp(render, "color") == 0 && numbers_of(&item->outcome) == 3)
    print_color(s, &item->outcome);
  else
    print_numbers("outcome", &item->outcome);
}

static json_t *tensor_json(const struct pmp_tensor *t) {
  json_t *j = json_array();
  for (size_t i = 0; j && i < numbers_of(t); i++)
    json_array_append_new(j, json_real(number_at(t, i)));
  return j;
}

static json_t *media_json(struct pmp_label_show *s, const struct pmp_media *m) {
  json_t *j = json_pack("{s:s, s:s}", "name", m->name, "type", m->type);
  if (is_text(m)) {
    json_object_set_new(j, "text", json_stringn(m->data, m->bytes));
  } else {
    const char *path = save(s, m);
    json_object_set_new(j, "file", path ? json_string(path) : json_null());
  }
  return j;
}

json_t *pmp_label_json(struct pmp_label_show *s, const struct pmp_leased_item *item,
                       const char *render) {
  char text[PMP_ITEM_TEXT];
  pmp_label_forget(s);
  json_t *j = json_pack("{s:s, s:i, s:f, s:i, s:s, s:I, s:s, s:[], s:[]}", "item",
                        pmp_item_text(item->item, text), "labels", (int)item->labels, "score",
                        (double)item->score, "lease_ms", (int)item->lease_ms, "actor", item->actor,
                        "ref_version", (json_int_t)item->ref_version, "render", render, "media",
                        "condition");
  if (!j) return NULL;
  for (uint32_t i = 0; i < item->medias; i++)
    json_array_append_new(json_object_get(j, "media"), media_json(s, &item->media[i]));
  for (uint32_t i = 0; i < item->conditions; i++)
    json_array_append_new(json_object_get(j, "condition"), tensor_json(&item->condition[i]));
  json_object_set_new(j, "outcome", tensor_json(&item->outcome));
  return j;
}

void pmp_label_forget(struct pmp_label_show *s) {
  for (uint32_t i = 0; i < s->files; i++) unlink(s->file[i]);
  s->files = 0;
}

void pmp_label_show_fini(struct pmp_label_show *s) {
  pmp_label_forget(s);
  if (s->folder[0]) rmdir(s->folder);
  s->folder[0] = '\0';
}
