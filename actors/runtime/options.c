#include "actors/runtime/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_VALUE = 1000, COMMON = 9 };

static enum pmp_err read_unsigned(const struct pmp_opt *o, const char *text, uint64_t *out,
                                  struct pmp_errmsg *msg) {
  char *end;
  errno = 0;
  unsigned long long v = strtoull(text, &end, 10);
  bool number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
  if (!number || (double)v < o->min || (double)v > o->max)
    return pmp_fail(msg, PMP_EINVALID, "--%s takes a whole number from %.0f to %.0f, not '%.64s'",
                    o->name, o->min, o->max, text);
  *out = v;
  return PMP_OK;
}

static enum pmp_err read_real(const struct pmp_opt *o, const char *text, double *out,
                              struct pmp_errmsg *msg) {
  char *end;
  double v = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(v) || v < o->min || v > o->max)
    return pmp_fail(msg, PMP_EINVALID, "--%s takes a number from %g to %g, not '%.64s'", o->name,
                    o->min, o->max, text);
  *out = v;
  return PMP_OK;
}

static enum pmp_err set(const struct pmp_opt *o, const char *text, struct pmp_errmsg *msg) {
  uint64_t number;
  if (o->given != NULL) *o->given = true;
  switch (o->type) {
  case PMP_OPT_FLAG:
    *(bool *)o->value = true;
    return PMP_OK;
  case PMP_OPT_TEXT:
    *(const char **)o->value = text;
    return PMP_OK;
  case PMP_OPT_REAL:
    return read_real(o, text, o->value, msg);
  case PMP_OPT_U64:
    return read_unsigned(o, text, o->value, msg);
  case PMP_OPT_U32:
    PMP_TRY(read_unsigned(o, text, &number, msg));
    *(uint32_t *)o->value = (uint32_t)number;
    return PMP_OK;
  }
  return PMP_EINTERNAL;
}

static void help_line(const struct pmp_opt *o) {
  char left[64];
  snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument != NULL ? " " : "",
           o->argument != NULL ? o->argument : "");
  printf("  %-24s %s\n", left, o->help);
}

static void help(const char *program, const char *summary, const struct pmp_opt *all,
                 uint32_t count, uint32_t own) {
  printf("pmpo-actor %s: %s\n\nusage: pmpo-actor %s [OPTIONS]\n\n", program, summary, program);
  for (uint32_t i = 0; i < own; i++) help_line(&all[i]);
  printf("\nOf every actor:\n");
  for (uint32_t i = own; i < count; i++) help_line(&all[i]);
}

/* The common options behind the kind's own. */
static uint32_t join(struct pmp_opt *all, const struct pmp_opt *own, uint32_t count,
                     struct pmp_actor_options *common, double *wait, bool *help_asked) {
  const struct pmp_opt shared[COMMON] = {
      {"connect", PMP_OPT_TEXT, &common->url, 0, 0, "URL",
       "the daemon's desk (PMPO_URL, tcp://127.0.0.1:7447)", NULL},
      {"token-file", PMP_OPT_TEXT, &common->token_file, 0, 0, "FILE",
       "the actor's token (PMPO_TOKEN)", NULL},
      {"ca", PMP_OPT_TEXT, &common->ca, 0, 0, "FILE", "the CA of a daemon with TLS (PMPO_CA)",
       NULL},
      {"name", PMP_OPT_TEXT, &common->name, 0, 0, "NAME",
       "the actor's name; the same name goes on where it was", NULL},
      {"seed", PMP_OPT_U64, &common->seed, 0, 9007199254740992.0, "N",
       "of all random numbers (the run's)", &common->has_seed},
      {"queue", PMP_OPT_U32, &common->queue, 1, 1024, "N", "unacknowledged chunks kept (8)", NULL},
      {"wait", PMP_OPT_REAL, wait, 0, 86400, "SECONDS", "for a daemon at the start (10)", NULL},
      {"quiet", PMP_OPT_FLAG, &common->quiet, 0, 0, NULL, "only warnings and errors on stderr",
       NULL},
      {"help", PMP_OPT_FLAG, help_asked, 0, 0, NULL, "this text", NULL},
  };
  memcpy(all, own, count * sizeof *all);
  memcpy(all + count, shared, sizeof shared);
  return count + COMMON;
}

enum pmp_err pmp_options_parse(int argc, char **argv, const char *summary,
                               const struct pmp_opt *own, uint32_t count,
                               struct pmp_actor_options *common, bool *done,
                               struct pmp_errmsg *msg) {
  struct pmp_opt all[PMP_OPTS_MAX];
  struct option option[PMP_OPTS_MAX + 1];
  double wait = 10;
  *done = false;
  if (count + COMMON > PMP_OPTS_MAX) return PMP_EINTERNAL;
  uint32_t total = join(all, own, count, common, &wait, done);
  memset(option, 0, sizeof option);
  for (uint32_t i = 0; i < total; i++)
    option[i] =
        (struct option){.name = all[i].name,
                        .has_arg = all[i].type == PMP_OPT_FLAG ? no_argument : required_argument,
                        .val = FIRST_VALUE + (int)i};
  optind = 0; /* getopt starts anew */
  opterr = 0;
  for (int value; (value = getopt_long(argc, argv, ":", option, NULL)) != -1;) {
    if (value == ':') return pmp_fail(msg, PMP_EINVALID, "%.64s needs a value", argv[optind - 1]);
    if (value < FIRST_VALUE)
      return pmp_fail(msg, PMP_EINVALID, "unknown option %.64s; --help lists what there is",
                      argv[optind - 1]);
    PMP_TRY(set(&all[value - FIRST_VALUE], optarg, msg));
  }
  if (optind < argc)
    return pmp_fail(msg, PMP_EINVALID, "'%.64s' is no option; --help lists what there is",
                    argv[optind]);
  common->connect_ms = wait * 1000 < 1 ? 1 : (uint32_t)(wait * 1000);
  if (*done) help(argv[0], summary, all, total, count);
  return PMP_OK;
}

int pmp_options_fail(const char *kind, enum pmp_err err, const struct pmp_errmsg *msg) {
  fprintf(stderr, "pmpo-actor %s: %s\n", kind,
          msg->text[0] != '\0' ? msg->text : pmp_err_name(err));
  switch (err) {
  case PMP_OK:
    return PMP_EXIT_OK;
  case PMP_ECONFLICT:
    return PMP_EXIT_MISFIT;
  case PMP_ETIMEOUT:
    return PMP_EXIT_NO_DAEMON;
  default:
    return PMP_EXIT_FAILED;
  }
}
