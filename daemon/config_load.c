/* YAML through libcyaml: the schema is made from the table of keys, so that both can never
 * disagree. Every leaf is an optional pointer; what is present is handed on as text to the same
 * function that --set uses. */
#include "daemon/config.h"

#include <cyaml/cyaml.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTIONS_MAX 16
#define KEYS_MAX 40

struct list_slot {
  double *item; /* libcyaml's memory */
  unsigned count;
};
union slot {
  void *pointer;
  struct list_slot list;
};
struct section {
  const char *name;
  const struct pmp_config_key *key[KEYS_MAX];
  size_t count;
  cyaml_schema_field_t field[KEYS_MAX + 1];
};
struct loader {
  struct section section[SECTIONS_MAX];
  size_t sections;
  cyaml_schema_field_t top[SECTIONS_MAX + 1];
  cyaml_schema_value_t root;
  cyaml_strval_t strval[KEYS_MAX * SECTIONS_MAX];
  char names[4096]; /* text of enum choices */
  size_t strvals, names_used;
  char log[2048];
};

static const cyaml_schema_value_t list_entry = {
    .type = CYAML_FLOAT, .flags = CYAML_FLAG_DEFAULT, .data_size = sizeof(double)};

static void add_choices(struct loader *l, const char *choices, int64_t base,
                        cyaml_schema_value_t *v) {
  v->type = CYAML_ENUM;
  v->flags |= CYAML_FLAG_STRICT;
  v->enumeration.strings = &l->strval[l->strvals];
  uint32_t n = 0;
  for (const char *p = choices; p; n++) {
    const char *bar = strchr(p, '|');
    const size_t len = bar ? (size_t)(bar - p) : strlen(p);
    char *name = l->names + l->names_used;
    memcpy(name, p, len);
    name[len] = '\0';
    l->names_used += len + 1;
    l->strval[l->strvals++] = (cyaml_strval_t){.str = name, .val = base + (int64_t)n};
    p = bar ? bar + 1 : NULL;
  }
  v->enumeration.count = n;
}

static void add_key(struct loader *l, struct section *s, const struct pmp_config_key *k) {
  const size_t i = s->count++;
  s->key[i] = k;
  cyaml_schema_field_t *f = &s->field[i];
  f->key = k->key;
  f->data_offset = (uint32_t)(i * sizeof(union slot));
  cyaml_schema_value_t *v = &f->value;
  v->flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL;
  v->data_size = 8;
  switch (k->type) {
  case PMP_CONFIG_BOOL:
    add_choices(l, "false|true", 0, v); /* libcyaml's own takes any word for true */
    break;
  case PMP_CONFIG_UINT:
    v->type = CYAML_FLOAT; /* so that 1e6 may be written; held against whole numbers afterwards */
    break;
  case PMP_CONFIG_FLOAT:
    v->type = k->nan ? CYAML_STRING : CYAML_FLOAT;
    break;
  case PMP_CONFIG_TEXT:
    v->type = CYAML_STRING;
    break;
  case PMP_CONFIG_ENUM:
    add_choices(l, k->choices, k->base, v);
    break;
  case PMP_CONFIG_LIST:
    v->type = CYAML_SEQUENCE;
    v->data_size = sizeof(double);
    v->sequence.entry = &list_entry;
    v->sequence.min = 0;
    v->sequence.max = PMP_CONFIG_LIST_MAX;
    f->count_offset = f->data_offset + (uint32_t)offsetof(struct list_slot, count);
    f->count_size = sizeof(unsigned);
    break;
  }
  if (v->type == CYAML_STRING) {
    v->data_size = 1;
    v->string.min = 0;
    v->string.max = PMP_CONFIG_TEXT_MAX - 1;
  }
}

static void build(struct loader *l) {
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  for (size_t i = 0; i < count; i++) {
    struct section *s = l->sections ? &l->section[l->sections - 1] : NULL;
    if (!s || strcmp(s->name, keys[i].section) != 0) {
      s = &l->section[l->sections++];
      s->name = keys[i].section;
    }
    add_key(l, s, &keys[i]);
  }
  for (size_t i = 0; i < l->sections; i++) {
    cyaml_schema_field_t *f = &l->top[i];
    f->key = l->section[i].name;
    f->data_offset = (uint32_t)(i * sizeof(void *));
    f->value.type = CYAML_MAPPING;
    f->value.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL;
    f->value.data_size = KEYS_MAX * sizeof(union slot);
    f->value.mapping.fields = l->section[i].field;
  }
  l->root.type = CYAML_MAPPING;
  l->root.flags = CYAML_FLAG_POINTER;
  l->root.data_size = SECTIONS_MAX * sizeof(void *);
  l->root.mapping.fields = l->top;
}

/* Gathers libcyaml's lines: the fault first, then a backtrace with line and column. */
static void keep_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args) {
  (void)level;
  struct loader *l = ctx;
  const size_t used = strlen(l->log);
  if (used + 1 < sizeof l->log) vsnprintf(l->log + used, sizeof l->log - used, fmt, args);
}

static enum pmp_err explain(const struct loader *l, const char *path, cyaml_err_t err,
                            struct pmp_errmsg *msg) {
  if (err == CYAML_ERR_FILE_OPEN) return pmp_fail(msg, PMP_ENOTFOUND, "%s: cannot be opened", path);
  char text[300];
  size_t used = 0;
  for (const char *p = l->log; *p && used + 2 < sizeof text; p++) { /* one line, single spaces */
    const char ch = *p == '\n' || *p == '\t' ? ' ' : *p;
    if (ch == ' ' && (used == 0 || text[used - 1] == ' ')) continue;
    text[used++] = ch;
  }
  text[used] = '\0';
  char allowed[400] = "";
  const struct section *in = NULL;
  for (size_t i = 0; i < l->sections;
       i++) { /* the backtrace names the section that was being read */
    char needle[80];
    snprintf(needle, sizeof needle, "field '%s'", l->section[i].name);
    if (strstr(l->log, needle)) in = &l->section[i];
  }
  if (err == CYAML_ERR_INVALID_KEY) {
    size_t n = (size_t)snprintf(allowed, sizeof allowed,
                                "; allowed %s%s are:", in ? "in " : "sections", in ? in->name : "");
    const size_t count = in ? in->count : l->sections;
    for (size_t i = 0; i < count && n < sizeof allowed; i++) {
      n += (size_t)snprintf(allowed + n, sizeof allowed - n, " %s",
                            in ? in->key[i]->key : l->section[i].name);
    }
  }
  for (size_t i = 0; in && err != CYAML_ERR_INVALID_KEY && i < in->count;
       i++) { /* the key whose value it was */
    char needle[80], range[PMP_CONFIG_TEXT_MAX];
    snprintf(needle, sizeof needle, "field '%s'", in->key[i]->key);
    if (!strstr(l->log, needle)) continue;
    pmp_config_range(in->key[i], range, sizeof range);
    snprintf(allowed, sizeof allowed, "; allowed is %s", range);
  }
  return pmp_fail(msg, PMP_EINVALID, "%s: %s: %s%s", path, cyaml_strerror(err), text, allowed);
}

static enum pmp_err take(struct pmp_config *c, const struct pmp_config_key *k,
                         const union slot *slot, struct pmp_errmsg *msg) {
  char path[96], text[PMP_CONFIG_TEXT_MAX];
  snprintf(path, sizeof path, "%s.%s", k->section, k->key);
  if (k->type == PMP_CONFIG_LIST) {
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < slot->list.count && used < sizeof text; i++) {
      used += (size_t)snprintf(text + used, sizeof text - used, "%.17g ", slot->list.item[i]);
    }
    return pmp_config_set(c, path, text, msg);
  }
  if (!slot->pointer) return PMP_OK;
  switch (k->type) {
  case PMP_CONFIG_BOOL:
    return pmp_config_set(c, path, *(const int64_t *)slot->pointer ? "true" : "false", msg);
  case PMP_CONFIG_ENUM: {
    struct pmp_config scratch;
    memcpy((char *)&scratch + k->offset, slot->pointer, sizeof(int64_t));
    pmp_config_get(&scratch, k, text, sizeof text);
    return pmp_config_set(c, path, text, msg);
  }
  case PMP_CONFIG_UINT:
    snprintf(text, sizeof text, "%.17g", *(const double *)slot->pointer);
    return pmp_config_set(c, path, text, msg);
  case PMP_CONFIG_FLOAT:
    if (!k->nan) {
      snprintf(text, sizeof text, "%.17g", *(const double *)slot->pointer);
      return pmp_config_set(c, path, text, msg);
    }
    return pmp_config_set(c, path, slot->pointer, msg);
  case PMP_CONFIG_TEXT:
    return pmp_config_set(c, path, slot->pointer, msg);
  case PMP_CONFIG_LIST:
    break;
  }
  return PMP_EINTERNAL;
}

static bool is_empty(const struct pmp_config_key *k, const union slot *slot) {
  return k->type == PMP_CONFIG_LIST && slot->list.count == 0;
}

/* libcyaml gives a list without items no memory, as if it were not there. So: does the file still
 * load when the key must be there? */
static bool is_there(struct loader *l, const char *path, const cyaml_config_t *config,
                     cyaml_schema_field_t *field) {
  const enum cyaml_flag flags = field->value.flags;
  cyaml_data_t *top = NULL;
  field->value.flags = CYAML_FLAG_POINTER;
  const bool there = cyaml_load_file(path, config, &l->root, &top, NULL) == CYAML_OK;
  field->value.flags = flags;
  cyaml_free(config, &l->root, top, 0);
  return there;
}

enum pmp_err pmp_config_load(struct pmp_config *c, const char *path, struct pmp_errmsg *msg) {
  struct loader *l = calloc(1, sizeof *l);
  if (!l) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  build(l);
  const cyaml_config_t config = {.log_fn = keep_log,
                                 .log_ctx = l,
                                 .mem_fn = cyaml_mem,
                                 .log_level = CYAML_LOG_ERROR,
                                 .flags = CYAML_CFG_DEFAULT};
  void **top = NULL;
  enum pmp_err err = PMP_OK;
  struct pmp_errmsg detail = {{0}};
  if (access(path, R_OK) != 0) {
    err = pmp_fail(msg, PMP_ENOTFOUND, "%s: cannot be read", path);
    goto out;
  }
  const cyaml_err_t rc = cyaml_load_file(path, &config, &l->root, (cyaml_data_t **)&top, NULL);
  if (rc != CYAML_OK) {
    err = explain(l, path, rc, msg);
    goto out;
  }
  for (size_t s = 0; top && s < l->sections && err == PMP_OK; s++) {
    const union slot *slot = top[s];
    struct section *in = &l->section[s];
    for (size_t i = 0; slot && i < in->count && err == PMP_OK; i++) {
      if (is_empty(in->key[i], &slot[i]) && !is_there(l, path, &config, &in->field[i])) continue;
      err = take(c, in->key[i], &slot[i], &detail);
      if (err != PMP_OK) err = pmp_fail(msg, err, "%s: %s", path, detail.text);
    }
  }
  cyaml_free(&config, &l->root, top, 0);
out:
  free(l);
  return err;
}
