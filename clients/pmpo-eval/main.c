/* pmpo-eval: objectives and their gradients for numbers from a file or a pipe. */
#include "clients/pmpo-eval/line.h"
#include "clients/pmpo-eval/request.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
  bool verbose, strict;
};

static void help(FILE *out) {
  fputs("usage: pmpo-eval [--verbose] [--strict] [FILE...]\n"
        "The loss, its parts and its gradients for numbers that you have: reads one JSON object a\n"
        "line (standard input without FILE, or for -), writes one a line, in float64.\n\n"
        "  in   {\"objective\": \"",
        out);
  for (size_t i = 0; pmp_eval_objective(i) != NULL; i++)
    fprintf(out, "%s%s", i == 0 ? "" : "|", pmp_eval_objective(i));
  fputs(
      "\",\n"
      "        \"policy\": \"diag_gaussian|gaussian|categorical\",\n"
      "        \"pi\": {\"mean\": [[..]], \"std\": [[..]]} or {\"mean\": .., \"chol\": [[[..]]]} "
      "or\n"
      "              {\"logits\": [[[..]]]}, \"ref\": the same,\n"
      "        \"y\": [[..]], \"x\": [row of pi of each y], \"verdict\": [1, -1 or 0 a y],\n"
      "        \"weight\": [..], \"f\": [..], \"id\": anything, comes back,\n"
      "        \"alpha\": 0.5, \"beta\": 0.5 or \"beta_mean\": .., \"beta_std\": ..,\n"
      "        \"parts\": \"joint|split\", \"averaging\": \"sets|pool\", \"kl\": \"exact|bc\",\n"
      "        \"kl_weight\": \"uniform|state\", \"eta\": 1, \"tau\": 0.1, \"pairs\": 1}\n"
      "  out  {\"loss\": .., \"policy_term\": .., \"kl\": .., \"grad\": {as pi}, \"id\": ..}\n"
      "       or {\"error\": what, where, what would be right}\n\n"
      "  -v, --verbose  also log_pi, log_ref and c (dL/dlog_pi) of each y, and kl_margin\n"
      "  -s, --strict   exit status 1 when a line was in error\n"
      "  -h, --help     this; the manual page says all fields and has examples\n"
      "      --version\n\n"
      "Settings that the objective does not read are checked and left alone. mpo is not here: its\n"
      "temperature and multipliers belong to a run.\n\n"
      "Exit codes: 0 every line was answered (an error is an answer), 1 a file could not be read\n"
      "or the answers not be written, or --strict, 2 the command line.\n",
      out);
}

static bool is_blank(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0') return false;
  return true;
}

/* Answers one line. False when nothing can be written any more. */
static bool answer(const char *text, size_t size, const struct options *o, bool *failed) {
  json_t *object = pmp_eval_line(text, size, o->verbose, failed);
  char *out = object ? pmp_eval_text(object) : NULL;
  json_decref(object);
  if (out == NULL) {
    *failed = true;
    fputs("{\"error\":\"no memory for this line\"}\n", stdout);
  } else {
    fputs(out, stdout);
    putchar('\n');
  }
  free(out);
  return fflush(stdout) == 0;
}

static int answer_file(FILE *in, const char *name, const struct options *o) {
  char *text = NULL;
  size_t room = 0;
  int code = EXIT_OK;
  ssize_t size;
  while (errno = 0, (size = getline(&text, &room, in)) >= 0) {
    bool failed = false;
    if (is_blank(text, (size_t)size)) continue;
    if (!answer(text, (size_t)size, o, &failed)) {
      perror("pmpo-eval: cannot write");
      code = EXIT_FAILED;
      break;
    }
    if (failed && o->strict) code = EXIT_FAILED;
  }
  if (size < 0 && !feof(in)) {
    fprintf(stderr, "pmpo-eval: cannot read %s: %s\n", name, strerror(errno));
    code = EXIT_FAILED;
  }
  free(text);
  return code;
}

static int answer_named(const char *name, const struct options *o) {
  if (strcmp(name, "-") == 0) return answer_file(stdin, "standard input", o);
  FILE *in = fopen(name, "r");
  if (in == NULL) {
    fprintf(stderr, "pmpo-eval: cannot open %s: %s\n", name, strerror(errno));
    return EXIT_FAILED;
  }
  const int code = answer_file(in, name, o);
  fclose(in);
  return code;
}

int main(int argc, char **argv) {
  enum { VERSION = 1000 };
  static const struct option known[] = {{"verbose", no_argument, NULL, 'v'},
                                        {"strict", no_argument, NULL, 's'},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, VERSION},
                                        {NULL, 0, NULL, 0}};
  struct options o = {0};
  int ch;
  while ((ch = getopt_long(argc, argv, "vsh", known, NULL)) != -1) {
    switch (ch) {
    case 'v':
      o.verbose = true;
      break;
    case 's':
      o.strict = true;
      break;
    case 'h':
      help(stdout);
      return EXIT_OK;
    case VERSION:
      printf("pmpo-eval %s\n", PMP_VERSION);
      return EXIT_OK;
    default:
      fputs("See pmpo-eval --help.\n", stderr);
      return EXIT_USAGE;
    }
  }
  if (optind == argc) return answer_named("-", &o);
  int code = EXIT_OK;
  for (int i = optind; i < argc; i++)
    if (answer_named(argv[i], &o) != EXIT_OK) code = EXIT_FAILED;
  return code;
}
