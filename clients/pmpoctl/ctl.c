#include "clients/pmpoctl/ctl.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)32 << 20) /* address space; pages come as replies need them */
#define TIMEOUT_DEFAULT_S 5.0
#define URL_DEFAULT "tcp://127.0.0.1:7447"

enum { OPT_SETTING = 256, OPT_TIMEOUT = 1000, OPT_TOKEN_FILE, OPT_CA, OPT_NAME, OPT_VERSION };

static const struct option global_options[] = {
    {"connect", required_argument, NULL, 'C'},
    {"dir", required_argument, NULL, 'D'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
    {"ca", required_argument, NULL, OPT_CA},
    {"as", required_argument, NULL, OPT_NAME},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION}};
#define GLOBALS (sizeof global_options / sizeof global_options[0])

void pmp_ctl_init(struct pmp_ctl *ctl, const volatile int *stop) {
  memset(ctl, 0, sizeof *ctl);
  ctl->timeout_s = TIMEOUT_DEFAULT_S;
  ctl->stop = stop;
}

void pmp_ctl_fini(struct pmp_ctl *ctl) {
  pmpo_close(ctl->client);
  ctl->client = NULL;
  pmp_arena_fini(&ctl->arena);
}

/* ---- command line ---- */

int pmp_ctl_usage(const struct pmp_ctl *ctl, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  fprintf(stderr, "pmpoctl%s%s: ", ctl->command ? " " : "", ctl->command ? ctl->command : "");
  vfprintf(stderr, fmt, args);
  va_end(args);
  if (ctl->synopsis)
    fprintf(stderr, "\nusage: pmpoctl %s\n", ctl->synopsis);
  else
    fputs("\nSee pmpoctl --help.\n", stderr);
  return PMP_EXIT_USAGE;
}

enum pmp_err pmp_ctl_number(const char *text, double min, double max, double *out,
                            struct pmp_errmsg *msg) {
  char *end = NULL;
  const double v = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(v))
    return pmp_fail(msg, PMP_EINVALID, "\"%.80s\" is not a number", text);
  if (v < min || v > max)
    return pmp_fail(msg, PMP_EINVALID, "%.80s is out of range, allowed is %.10g to %.10g", text,
                    min, max);
  *out = v;
  return PMP_OK;
}

static bool take_global(struct pmp_ctl *ctl, int ch) {
  struct pmp_errmsg msg;
  switch (ch) {
  case 'C':
    ctl->url = optarg;
    return true;
  case 'D':
    ctl->dir = optarg;
    return true;
  case OPT_TOKEN_FILE:
    ctl->token_file = optarg;
    return true;
  case OPT_CA:
    ctl->ca = optarg;
    return true;
  case OPT_NAME:
    ctl->name = optarg;
    return true;
  case OPT_TIMEOUT:
    ctl->timeout_given = true;
    if (pmp_ctl_number(optarg, 0.001, 1e7, &ctl->timeout_s, &msg) == PMP_OK) return true;
    ctl->exit_code = pmp_ctl_usage(ctl, "--timeout: %s", msg.text);
    return false;
  case 'h':
    if (!ctl->help) return false; /* main shows the list of commands */
    printf("usage: pmpoctl %s\n\n%s", ctl->synopsis, ctl->help);
    return false;
  case OPT_VERSION:
    puts("pmpoctl " PMP_VERSION);
    return false;
  default:
    ctl->exit_code = PMP_EXIT_USAGE;
    return false;
  }
}

int pmp_ctl_option(struct pmp_ctl *ctl, int argc, char **argv, const struct option *own,
                   bool in_order) {
  struct option all[PMP_CTL_OPTIONS_MAX + GLOBALS + 1];
  char letters[3 * PMP_CTL_OPTIONS_MAX + 16];
  size_t n = 0, used = 0;
  if (in_order) letters[used++] = '+';
  letters[used++] = ':'; /* the messages are ours */
  used += (size_t)snprintf(letters + used, sizeof letters - used, "C:D:h");
  for (; own && own[n].name && n < PMP_CTL_OPTIONS_MAX; n++) {
    all[n] = own[n];
    if (own[n].val >= 128) continue;
    letters[used++] = (char)own[n].val;
    if (own[n].has_arg == required_argument) letters[used++] = ':';
  }
  letters[used] = '\0';
  memcpy(&all[n], global_options, sizeof global_options);
  memset(&all[n + GLOBALS], 0, sizeof all[0]);
  for (;;) {
    ctl->exit_code = PMP_EXIT_OK;
    const int ch = getopt_long(argc, argv, letters, all, NULL);
    if (ch == -1) return PMP_CTL_ARGS;
    for (size_t i = 0; i < n; i++)
      if (all[i].val == ch) return ch;
    if (ch == '?' || ch == ':') {
      const char *what = ch == ':' ? "needs a value" : "is no option here, or not so";
      ctl->exit_code = pmp_ctl_usage(ctl, "%s %s", argv[optind - 1], what);
      return PMP_CTL_END;
    }
    if (!take_global(ctl, ch)) return ch == 'h' && !ctl->help ? 'h' : PMP_CTL_END;
  }
}

int pmp_ctl_settings(struct pmp_ctl *ctl, int argc, char **argv,
                     const struct pmp_ctl_setting *own) {
  struct option all[PMP_CTL_OPTIONS_MAX + 1] = {{0}};
  struct pmp_errmsg msg;
  int ch;
  for (int i = 0; own[i].name && i < PMP_CTL_OPTIONS_MAX; i++)
    all[i] =
        (struct option){.name = own[i].name,
                        .has_arg = own[i].kind == PMP_CTL_FLAG ? no_argument : required_argument,
                        .val = OPT_SETTING + i};
  while ((ch = pmp_ctl_option(ctl, argc, argv, all, false)) >= 0) {
    const struct pmp_ctl_setting *o = &own[ch - OPT_SETTING];
    if (o->kind == PMP_CTL_FLAG) *(bool *)o->to = true;
    if (o->kind == PMP_CTL_TEXT) *(const char **)o->to = optarg;
    if (o->kind == PMP_CTL_NUMBER &&
        pmp_ctl_number(optarg, o->min, o->max, o->to, &msg) != PMP_OK) {
      ctl->exit_code = pmp_ctl_usage(ctl, "--%s: %s", o->name, msg.text);
      return PMP_CTL_END;
    }
  }
  return ch;
}

int pmp_ctl_failed(const struct pmp_ctl *ctl, enum pmp_err err, const struct pmp_errmsg *msg) {
  if (err == PMP_ECLOSED && pmp_ctl_stopped(ctl->stop)) return PMP_EXIT_INTERRUPTED;
  fprintf(stderr, "pmpoctl%s%s: %s\n", ctl->command ? " " : "", ctl->command ? ctl->command : "",
          msg->text[0] ? msg->text : pmp_err_name(err));
  return err == PMP_ETIMEOUT || err == PMP_ECLOSED ? PMP_EXIT_NO_DAEMON : PMP_EXIT_FAILED;
}

/* ---- connection ---- */

static enum pmp_err read_endpoints(const char *dir, char out[PMP_CTL_URL_MAX],
                                   struct pmp_errmsg *msg) {
  char path[1024];
  if (snprintf(path, sizeof path, "%s/endpoints.json", dir) >= (int)sizeof path)
    return pmp_fail(msg, PMP_EINVALID, "--dir: the path is too long");
  json_error_t why;
  errno = 0;
  json_t *j = json_load_file(path, 0, &why);
  if (!j && errno == ENOENT)
    return pmp_fail(msg, PMP_ENOTFOUND, "%s is not there: no daemon has served that folder yet",
                    path);
  if (!j) return pmp_fail(msg, PMP_EINVALID, "%s: %s", path, why.text);
  const char *desk = json_string_value(json_object_get(j, "desk"));
  enum pmp_err err = PMP_OK;
  if (!desk || strlen(desk) >= PMP_CTL_URL_MAX)
    err = pmp_fail(msg, PMP_EINVALID, "%s names no desk", path);
  else
    strcpy(out, desk);
  json_decref(j);
  return err;
}

enum pmp_err pmp_ctl_url(const struct pmp_ctl *ctl, char out[PMP_CTL_URL_MAX],
                         struct pmp_errmsg *msg) {
  if (!ctl->url && ctl->dir) return read_endpoints(ctl->dir, out, msg);
  const char *url = ctl->url ? ctl->url : getenv("PMPO_URL");
  if (!url || url[0] == '\0') url = URL_DEFAULT;
  if (strlen(url) >= PMP_CTL_URL_MAX)
    return pmp_fail(msg, PMP_EINVALID, "the address is longer than %d bytes", PMP_CTL_URL_MAX - 1);
  strcpy(out, url);
  return PMP_OK;
}

/* --ca, else PMPO_CA, else the one that `pmpoctl certificate` made in --dir's folder. */
static const char *find_ca(const struct pmp_ctl *ctl, char out[PMP_CTL_PATH_MAX]) {
  if (ctl->ca) return ctl->ca;
  const char *given = getenv("PMPO_CA");
  if ((given && given[0] != '\0') || !ctl->dir) return NULL;
  const int n = snprintf(out, PMP_CTL_PATH_MAX, "%s/tls/ca.pem", ctl->dir);
  return n < PMP_CTL_PATH_MAX && access(out, R_OK) == 0 ? out : NULL;
}

const char *pmp_ctl_dir(const struct pmp_ctl *ctl) {
  const char *given = getenv("PMPO_DIR");
  if (ctl->dir) return ctl->dir;
  return given && given[0] != '\0' ? given : "pmpod-run";
}

enum pmp_err pmp_ctl_connect(const struct pmp_ctl *ctl, enum pmp_role role, const char *url,
                             double timeout_s, const volatile int *stop, struct pmpo **out,
                             struct pmp_errmsg *msg) {
  char found[PMP_CTL_URL_MAX];
  if (!url) {
    PMP_TRY(pmp_ctl_url(ctl, found, msg));
    url = found;
  }
  const double ms = timeout_s * 1e3;
  char ca[PMP_CTL_PATH_MAX];
  const struct pmpo_options o = {.url = url,
                                 .role = role,
                                 .name = ctl->name,
                                 .token_file = ctl->token_file,
                                 .ca = find_ca(ctl, ca),
                                 .client = "pmpoctl " PMP_VERSION,
                                 .connect_ms = ms < 1     ? 1
                                               : ms > 4e9 ? 4000000000u
                                                          : (uint32_t)ms,
                                 .request_ms = 1000,
                                 .stop = stop};
  return pmpo_open(out, &o, msg);
}

double pmp_ctl_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void pmp_ctl_sleep(const volatile int *stop, double seconds) {
  const double until = pmp_ctl_now() + seconds;
  for (double left = seconds; left > 0 && !pmp_ctl_stopped(stop); left = until - pmp_ctl_now()) {
    const double nap = left < 0.05 ? left : 0.05;
    const struct timespec t = {.tv_nsec = (long)(nap * 1e9)};
    nanosleep(&t, NULL);
  }
}

/* With --dir the daemon may still be starting, or come back at another port: short attempts, each
 * at the address of its time. */
enum pmp_err pmp_ctl_open(struct pmp_ctl *ctl, enum pmp_role role, struct pmp_errmsg *msg) {
  if (!ctl->arena.base && pmp_arena_init(&ctl->arena, ARENA_BYTES) != PMP_OK)
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  pmpo_close(ctl->client);
  ctl->client = NULL;
  const double until = pmp_ctl_now() + ctl->timeout_s;
  const bool by_dir = !ctl->url && ctl->dir;
  for (;;) {
    const double left = until - pmp_ctl_now();
    const double slice = by_dir && left > 1 ? 1 : left;
    enum pmp_err err = pmp_ctl_connect(ctl, role, NULL, slice, ctl->stop, &ctl->client, msg);
    if (err == PMP_OK || pmp_ctl_stopped(ctl->stop)) return err;
    const bool wait = by_dir && (err == PMP_ETIMEOUT || err == PMP_ENOTFOUND);
    if (!wait) return err;
    if (pmp_ctl_now() >= until) return PMP_ETIMEOUT; /* msg says what was missing */
    if (err == PMP_ENOTFOUND) pmp_ctl_sleep(ctl->stop, 0.02);
    if (pmp_ctl_stopped(ctl->stop)) return PMP_ECLOSED;
  }
}

enum pmp_err pmp_ctl_ask(struct pmp_ctl *ctl, const struct pmp_request *request,
                         struct pmp_reply *reply, struct pmp_errmsg *msg) {
  pmp_arena_release(&ctl->arena, 0);
  const double ms = ctl->timeout_s * 1e3;
  PMP_TRY(pmpo_request(ctl->client, request, &ctl->arena, reply, ms > 2e9 ? -1 : (int)ms, msg));
  if (reply->verb != request->verb)
    return pmp_fail(msg, PMP_EINTERNAL, "the daemon answered something else");
  return PMP_OK;
}

enum pmp_err pmp_ctl_once(struct pmp_ctl *ctl, enum pmp_role role,
                          const struct pmp_request *request, struct pmp_reply *reply,
                          struct pmp_errmsg *msg) {
  PMP_TRY(pmp_ctl_open(ctl, role, msg));
  return pmp_ctl_ask(ctl, request, reply, msg);
}
