/* label: items to judge one after another, by keys in a terminal or as lines of JSON. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/judgement.h"
#include "clients/pmpoctl/label_show.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define POLL_S 0.5
#define LINE_BYTES 65536
#define UNDO_MAX 64

struct session {
  struct pmp_ctl *ctl;
  bool json, terminal, quit;
  const char *order;
  double number, wait_s; /* 0: any number; how long to wait for an item, negative: for ever */
  float confidence;
  char note[1024];
  struct pmp_label_show show;
  struct pmp_item_ref item; /* in hand */
  bool held;
  struct pmp_item_ref undo[UNDO_MAX]; /* of the latest verdicts */
  uint32_t undos;
  uint64_t judged;
  struct termios before;
  bool raw;
  char line[LINE_BYTES];
};

/* ---- the daemon ---- */

/* Verdicts and leases are safe to send again, so a daemon that is away is waited for. */
static enum pmp_err ask(struct session *s, const struct pmp_request *q, struct pmp_reply *reply,
                        struct pmp_errmsg *msg) {
  bool told = false;
  for (;;) {
    const enum pmp_err err = pmp_ctl_ask(s->ctl, q, reply, msg);
    if (err != PMP_ETIMEOUT || pmp_ctl_stopped(s->ctl->stop)) return err;
    if (!told) fputs("the daemon is away; what you said is kept here until it is back\n", stderr);
    told = true;
  }
}

static enum pmp_err say(struct session *s, struct pmp_item_ref item, enum pmp_judgement judgement,
                        struct pmp_errmsg *msg) {
  char id[PMP_REQUEST_ID];
  PMP_TRY(pmp_request_id_draw(id, msg));
  const struct pmp_verdict v = {.request_id = id,
                                .note = s->note,
                                .chunk = item.chunk,
                                .row = item.row,
                                .rows = item.rows,
                                .judgement = judgement,
                                .confidence = s->confidence};
  const struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {&v, 1}};
  struct pmp_reply reply;
  PMP_TRY(ask(s, &q, &reply, msg));
  if (reply.u.verdicts.count != 1)
    return pmp_fail(msg, PMP_EINTERNAL, "%u answers to one verdict", reply.u.verdicts.count);
  const struct pmp_verdict_result *r = &reply.u.verdicts.result[0];
  if (r->code != PMP_OK) return pmp_fail(msg, r->code, "%s", r->message);
  if (r->surplus && !s->json) puts("others were faster: it counts for agreement only");
  s->note[0] = '\0';
  s->confidence = 1;
  return PMP_OK;
}

/* The next item into s->item, shown. */
static enum pmp_err next(struct session *s, bool *found, struct pmp_errmsg *msg) {
  struct pmp_request q = {.verb = PMP_VERB_LEASE, .u.lease = {.count = 1, .order = s->order}};
  struct pmp_reply reply;
  *found = false;
  PMP_TRY(ask(s, &q, &reply, msg));
  const struct pmp_lease_reply *r = &reply.u.lease;
  if (r->items == 0) return PMP_OK;
  *found = s->held = true;
  s->item = r->item[0].item;
  if (s->json) {
    json_t *j = pmp_label_json(&s->show, &r->item[0], r->render);
    if (!pmp_answer_print(j, JSON_COMPACT, stdout))
      return pmp_fail(msg, PMP_EIO, "cannot write the item");
  } else {
    pmp_label_print(&s->show, &r->item[0], r->render);
    printf("%llu judged, %llu wait | a accept  r reject  s skip  u undo  1-5 confidence  q quit\n",
           (unsigned long long)r->judged, (unsigned long long)r->waiting);
  }
  return fflush(stdout) == 0 ? PMP_OK : pmp_fail(msg, PMP_EIO, "cannot write");
}

static void give_back(struct session *s) {
  struct pmp_errmsg msg;
  struct pmp_reply reply;
  if (!s->held) return;
  const struct pmp_request q = {.verb = PMP_VERB_LEASE,
                                .u.lease = {.order = "", .release = &s->item, .releases = 1}};
  const enum pmp_err err = pmp_ctl_ask(s->ctl, &q, &reply, &msg);
  (void)err; /* else the lease ends by itself */
}

/* ---- what the person does ---- */

static enum pmp_err judge(struct session *s, enum pmp_judgement judgement, struct pmp_errmsg *msg) {
  PMP_TRY(say(s, s->item, judgement, msg));
  s->held = false;
  s->judged++;
  if (s->undos == UNDO_MAX) memmove(s->undo, s->undo + 1, --s->undos * sizeof *s->undo);
  s->undo[s->undos++] = s->item;
  return PMP_OK;
}

/* Takes the latest verdict back; its item is offered again, by and by. */
static enum pmp_err undo(struct session *s, struct pmp_errmsg *msg) {
  if (s->undos == 0) {
    fputs("there is nothing to undo\n", s->json ? stderr : stdout);
    return PMP_OK;
  }
  const struct pmp_item_ref item = s->undo[--s->undos];
  char text[PMP_ITEM_TEXT];
  give_back(s); /* so that the one that was undone may come first */
  s->held = false;
  PMP_TRY(say(s, item, PMP_WITHDRAW, msg));
  s->judged--;
  fprintf(s->json ? stderr : stdout, "took back what you said of %s\n", pmp_item_text(item, text));
  return PMP_OK;
}

/* One key; 0: none came within the time or the input is at its end (then quit is set). */
static int key(struct session *s, int timeout_ms) {
  struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
  char c;
  if (poll(&p, 1, timeout_ms) <= 0) {
    if (pmp_ctl_stopped(s->ctl->stop)) s->quit = true;
    return 0;
  }
  if (read(STDIN_FILENO, &c, 1) == 1) return (unsigned char)c;
  s->quit = true;
  return 0;
}

static enum pmp_err by_keys(struct session *s, struct pmp_errmsg *msg) {
  while (!s->quit) {
    const int c = key(s, 200);
    switch (c) {
    case 'a':
    case 'A':
      return judge(s, PMP_ACCEPT, msg);
    case 'r':
    case 'R':
      return judge(s, PMP_REJECT, msg);
    case 's':
    case 'S':
      return judge(s, PMP_SKIP, msg);
    case 'u':
    case 'U':
      return undo(s, msg);
    case 'q':
    case 'Q':
    case 3:
    case 4:
      s->quit = true;
      break;
    default:
      if (c < '1' || c > '5') break;
      s->confidence = (float)(c - '0') / 5;
      printf("confidence %c of 5\n", c);
      fflush(stdout);
    }
  }
  return PMP_OK;
}

/* The next line of stdin, without its break, NUL-terminated; NULL: there is none. */
static char *read_line(struct session *s) {
  if (!fgets(s->line, sizeof s->line, stdin)) return NULL;
  s->line[strcspn(s->line, "\r\n")] = '\0';
  return s->line;
}

/* {"judgement": "accept", "confidence": 0.5, "note": "..."}, or the word alone. */
static enum pmp_err by_line(struct session *s, struct pmp_errmsg *msg) {
  char *line = read_line(s);
  if (!line) {
    s->quit = true;
    return PMP_OK;
  }
  json_t *j = line[0] == '{' ? json_loads(line, 0, NULL) : NULL;
  const char *word = j ? json_string_value(json_object_get(j, "judgement")) : line;
  const char *note = j ? json_string_value(json_object_get(j, "note")) : NULL;
  const json_t *confidence = j ? json_object_get(j, "confidence") : NULL;
  if (json_is_number(confidence)) s->confidence = (float)json_number_value(confidence);
  if (note) snprintf(s->note, sizeof s->note, "%s", note);
  enum pmp_err err = PMP_OK;
  const enum pmp_judgement judgement = word ? pmp_judgement_parse(word) : PMP_JUDGEMENT_NONE;
  if (judgement != PMP_JUDGEMENT_NONE && judgement != PMP_WITHDRAW)
    err = judge(s, judgement, msg);
  else if (word && strcmp(word, "undo") == 0)
    err = undo(s, msg);
  else
    err = pmp_fail(msg, PMP_EINVALID,
                   "\"%.60s\" says none of accept, reject, skip, undo as its judgement", line);
  json_decref(j);
  return err;
}

/* ---- the session ---- */

static void take_keys(struct session *s) {
  struct termios raw;
  if (!s->terminal || s->json || tcgetattr(STDIN_FILENO, &s->before) != 0) return;
  raw = s->before;
  raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  s->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

/* Nothing waits: false when it has been so for too long. */
static bool wait_more(struct session *s, double *since) {
  const double now = pmp_ctl_now();
  if (*since == 0) {
    *since = now;
    if (!s->json && s->wait_s != 0) puts("nothing waits for you; q quits");
    fflush(stdout);
  }
  if (s->wait_s >= 0 && now - *since >= s->wait_s) return false;
  if (s->raw) {
    const int c = key(s, (int)(POLL_S * 1000));
    if (c == 'q' || c == 'Q') s->quit = true;
  } else {
    pmp_ctl_sleep(s->ctl->stop, POLL_S);
  }
  return !s->quit && !pmp_ctl_stopped(s->ctl->stop);
}

static enum pmp_err label(struct session *s, struct pmp_errmsg *msg) {
  double empty_since = 0;
  while (!s->quit && (s->number == 0 || s->judged < (uint64_t)s->number)) {
    bool found;
    PMP_TRY(next(s, &found, msg));
    if (!found) {
      if (!wait_more(s, &empty_since)) break;
      continue;
    }
    empty_since = 0;
    const enum pmp_err err = s->raw ? by_keys(s, msg) : by_line(s, msg);
    if (err == PMP_OK || err == PMP_ECLOSED) continue;
    if (!s->raw || err == PMP_EFORBIDDEN || err == PMP_EUNAUTHENTICATED) return err;
    printf("%s\n", msg->text);
  }
  return PMP_OK;
}

static int run_label(struct pmp_ctl *ctl, int argc, char **argv) {
  struct session *s = calloc(1, sizeof *s);
  struct pmp_errmsg msg = {{0}};
  if (!s) return pmp_ctl_failed(ctl, PMP_ENOMEM, &msg);
  double wait = -1;
  const struct pmp_ctl_setting settings[] = {
      {.name = "json", .kind = PMP_CTL_FLAG, .to = &s->json},
      {.name = "order", .kind = PMP_CTL_TEXT, .to = &s->order},
      {.name = "number", .kind = PMP_CTL_NUMBER, .to = &s->number, .min = 1, .max = 1e15},
      {.name = "wait", .kind = PMP_CTL_NUMBER, .to = &wait, .min = 0, .max = 1e9},
      {0}};
  int code;
  if (pmp_ctl_settings(ctl, argc, argv, settings) == PMP_CTL_END) {
    code = ctl->exit_code;
    free(s);
    return code;
  }
  s->ctl = ctl;
  s->confidence = 1;
  s->terminal = isatty(STDIN_FILENO) != 0;
  s->wait_s = wait >= 0 ? wait : s->json || !s->terminal ? 0 : -1;
  if (!s->order) s->order = "";
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_LABELER, &msg);
  if (err == PMP_OK) {
    const struct pmp_hello_reply *run = pmpo_run(ctl->client);
    s->show.low = run->spec.action.low;
    s->show.high = run->spec.action.high;
    take_keys(s);
    err = label(s, &msg);
    give_back(s);
    if (s->raw) tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
    fprintf(stderr, "%llu judged\n", (unsigned long long)s->judged);
  }
  pmp_label_show_fini(&s->show);
  free(s);
  return err == PMP_OK ? PMP_EXIT_OK : pmp_ctl_failed(ctl, err, &msg);
}

const struct pmp_command pmp_command_label = {
    "label", "label [--as NAME] [--order ORDER] [--number N] [--wait S] [--json]",
    "judge one item after another",
    "  --as NAME      who judges\n"
    "  --order ORDER  oldest, random, least_labelled, most_uncertain (the daemon's)\n"
    "  --number N     end after so many\n"
    "  --wait S       seconds to wait when nothing is there (terminal: until q; else 0)\n"
    "  --json         one item a line on stdout, one answer a line on stdin:\n"
    "                 {\"judgement\": \"accept\", \"confidence\": 0.8, \"note\": \"...\"}, or the "
    "word "
    "alone;\n"
    "                 accept, reject, skip, undo\n"
    "\n"
    "Keys: a accept, r reject, s skip, u undo, 1 to 5 confidence of the next verdict, q quit.\n"
    "Pictures are shown by chafa where it is installed, or by the program that $PMPO_VIEWER "
    "names;\n"
    "else their files are named. A verdict is on the daemon's disk before the next item is "
    "shown.\n",
    run_label};
