/* token: who may do what, in the run's folder. */
#include "auth/tokens.h"
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400

struct request {
  bool json;
  const char *role, *expires;
};

/* "30d", "12h", "90m", "never". */
static enum pmp_err read_span(const char *text, int64_t *seconds, struct pmp_errmsg *msg) {
  static const struct {
    char unit;
    double seconds;
  } units[] = {{'d', DAY_S}, {'h', 3600}, {'m', 60}, {'s', 1}};
  *seconds = 0;
  if (strcmp(text, "never") == 0) return PMP_OK;
  const size_t length = strlen(text);
  char number[32];
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    double n;
    if (length < 2 || length >= sizeof number || text[length - 1] != units[i].unit) continue;
    memcpy(number, text, length - 1);
    number[length - 1] = '\0';
    PMP_TRY(pmp_ctl_number(number, 1, 1e6, &n, msg));
    *seconds = (int64_t)(n * units[i].seconds);
    return PMP_OK;
  }
  return pmp_fail(msg, PMP_EINVALID, "\"%.32s\" is no time: 30d, 12h, 90m, 45s or never", text);
}

static int create(struct pmp_ctl *ctl, const char *name, const struct request *r) {
  char text[PMP_TOKEN_TEXT_MAX];
  struct pmp_errmsg msg = {{0}};
  int64_t span = 0;
  const int64_t now = time(NULL);
  if (!r->role || pmp_token_role_of(r->role) == 0)
    return pmp_ctl_usage(ctl, "--role is actor, labeler, observer or operator");
  if (r->expires && read_span(r->expires, &span, &msg) != PMP_OK)
    return pmp_ctl_usage(ctl, "--expires: %s", msg.text);
  const enum pmp_err err = pmp_tokens_create(pmp_ctl_dir(ctl), name, pmp_token_role_of(r->role),
                                             now, span ? now + span : 0, text, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  int code = PMP_EXIT_OK;
  if (r->json)
    code =
        pmp_answer_print(json_pack("{s:s, s:s, s:s, s:I}", "name", name, "role", r->role, "token",
                                   text, "expires", (json_int_t)(span ? now + span : 0)),
                         JSON_COMPACT, stdout)
            ? PMP_EXIT_OK
            : PMP_EXIT_FAILED;
  else
    puts(text); /* alone on standard output, so that it can go into a file */
  fprintf(stderr, "pmpoctl token: this is the only time that %s's token is shown\n", name);
  explicit_bzero(text, sizeof text);
  return code;
}

static const char *state_of(const struct pmp_token *t, int64_t now) {
  if (t->revoked_s != 0) return "revoked";
  return t->expires_s != 0 && now >= t->expires_s ? "expired" : "live";
}

static const char *date_of(int64_t seconds, const char *otherwise, char out[PMP_FORMAT_MAX]) {
  return seconds ? pmp_format_time(seconds * 1000000000, true, out) : otherwise;
}

static int list(struct pmp_ctl *ctl, const struct request *r) {
  struct pmp_tokens t;
  struct pmp_errmsg msg = {{0}};
  const enum pmp_err err = pmp_tokens_load(&t, pmp_ctl_dir(ctl), &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  const int64_t now = time(NULL);
  json_t *all = json_array();
  if (!r->json && t.count > 0)
    printf("%-24s %-9s %-8s %-20s %s\n", "name", "role", "state", "made", "expires");
  for (uint32_t i = 0; i < t.count; i++) {
    const struct pmp_token *one = &t.token[i];
    char made[PMP_FORMAT_MAX], ends[PMP_FORMAT_MAX];
    if (!r->json)
      printf("%-24s %-9s %-8s %-20s %s\n", one->name, pmp_token_role_name(one->role),
             state_of(one, now), date_of(one->created_s, "-", made),
             date_of(one->expires_s, "never", ends));
    json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", one->name,
                                         "role", pmp_token_role_name(one->role), "state",
                                         state_of(one, now), "created", (json_int_t)one->created_s,
                                         "expires", (json_int_t)one->expires_s, "revoked",
                                         (json_int_t)one->revoked_s));
  }
  if (!r->json && !t.present)
    printf("%s wants no tokens: whoever can log in on this machine may do everything.\n",
           pmp_ctl_dir(ctl));
  const bool wanted = t.present;
  pmp_tokens_fini(&t);
  if (!r->json) {
    json_decref(all);
    return PMP_EXIT_OK;
  }
  const bool good = pmp_answer_print(json_pack("{s:b, s:o}", "wanted", wanted, "tokens", all),
                                     JSON_COMPACT, stdout);
  return good ? PMP_EXIT_OK : PMP_EXIT_FAILED;
}

static int revoke(struct pmp_ctl *ctl, const char *name) {
  struct pmp_errmsg msg = {{0}};
  const enum pmp_err err = pmp_tokens_revoke(pmp_ctl_dir(ctl), name, time(NULL), &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  printf("%s's token is revoked; its sessions end within two seconds\n", name);
  return PMP_EXIT_OK;
}

static int run_token(struct pmp_ctl *ctl, int argc, char **argv) {
  struct request r = {0};
  const struct pmp_ctl_setting own[] = {{"json", PMP_CTL_FLAG, &r.json, 0, 0},
                                        {"role", PMP_CTL_TEXT, &r.role, 0, 0},
                                        {"expires", PMP_CTL_TEXT, &r.expires, 0, 0},
                                        {0}};
  if (pmp_ctl_settings(ctl, argc, argv, own) == PMP_CTL_END) return ctl->exit_code;
  const int words = argc - optind;
  const char *what = words > 0 ? argv[optind] : "";
  if (strcmp(what, "create") == 0 && words == 2) return create(ctl, argv[optind + 1], &r);
  if (strcmp(what, "list") == 0 && words == 1) return list(ctl, &r);
  if (strcmp(what, "revoke") == 0 && words == 2) return revoke(ctl, argv[optind + 1]);
  return pmp_ctl_usage(ctl, "takes create NAME, list or revoke NAME");
}

const struct pmp_command pmp_command_token = {
    "token", "token create NAME --role ROLE [--expires 30d] | list [--json] | revoke NAME [-D DIR]",
    "who may do what: makes, lists and revokes tokens of a run",
    "  create NAME        makes a token and shows it, once; NAME is who its holder is in the "
    "audit\n"
    "    --role ROLE      actor, labeler, observer or operator: a token is for one role\n"
    "    --expires TIME   30d, 12h, 90m or never (never)\n"
    "  list               all of them, without the tokens themselves\n"
    "  revoke NAME        ends it, and the sessions that it opened\n"
    "  -D, --dir DIR      the run's folder (else $PMPO_DIR, else pmpod-run); no daemon is needed,\n"
    "                     one that runs notices within a second\n"
    "  --json             one JSON object\n"
    "\n"
    "From the first token on everybody needs one. Clients take theirs from $PMPO_TOKEN or a file:\n"
    "\n"
    "  pmpoctl token create ada --role labeler --expires 30d > ada.token\n"
    "  PMPO_TOKEN_FILE=ada.token pmpoctl label\n"
    "\n"
    "A file may hold several tokens, each after its role (\"observer pmp_... operator pmp_...\"):\n"
    "then one file serves status, watch and set.\n",
    run_token};
