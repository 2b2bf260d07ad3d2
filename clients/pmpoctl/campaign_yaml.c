#include "clients/pmpoctl/campaign_yaml.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 8

struct pmp_yaml {
  yaml_document_t document; /* libyaml's own functions want it writable */
};

enum pmp_err pmp_yaml_open(struct pmp_yaml **y, const char *path, struct pmp_errmsg *msg) {
  yaml_parser_t parser;
  *y = NULL;
  FILE *in = fopen(path, "re");
  if (in == NULL) {
    const enum pmp_err err = errno == ENOENT ? PMP_ENOTFOUND : pmp_err_from_errno(errno);
    return pmp_fail(msg, err, "%s: %s", path, strerror(errno));
  }
  struct pmp_yaml *made = calloc(1, sizeof *made);
  enum pmp_err err = made != NULL && yaml_parser_initialize(&parser)
                         ? PMP_OK
                         : pmp_fail(msg, PMP_ENOMEM, "out of memory");
  if (err == PMP_OK) {
    yaml_parser_set_input_file(&parser, in);
    if (!yaml_parser_load(&parser, &made->document))
      err = pmp_fail(msg, PMP_EINVALID, "%s: line %zu: %s", path, parser.problem_mark.line + 1,
                     parser.problem != NULL ? parser.problem : "cannot be read");
    yaml_parser_delete(&parser);
  }
  fclose(in);
  if (err == PMP_OK)
    *y = made;
  else
    free(made);
  return err;
}

void pmp_yaml_close(struct pmp_yaml *y) {
  if (y == NULL) return;
  yaml_document_delete(&y->document);
  free(y);
}

static yaml_document_t *document(const struct pmp_yaml *y) {
  return (yaml_document_t *)(uintptr_t)&y->document;
}

static const yaml_node_t *value_of(const struct pmp_yaml *y, const yaml_node_t *node,
                                   const char *key) {
  if (node == NULL || node->type != YAML_MAPPING_NODE) return NULL;
  for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
       p++) {
    const yaml_node_t *k = yaml_document_get_node(document(y), p->key);
    if (k->type == YAML_SCALAR_NODE && strcmp((const char *)k->data.scalar.value, key) == 0)
      return yaml_document_get_node(document(y), p->value);
  }
  return NULL;
}

static const yaml_node_t *item_of(const struct pmp_yaml *y, const yaml_node_t *node, int index) {
  if (node == NULL || node->type != YAML_SEQUENCE_NODE) return NULL;
  yaml_node_item_t *at = node->data.sequence.items.start + index;
  return at < node->data.sequence.items.top ? yaml_document_get_node(document(y), *at) : NULL;
}

/* *exact: the place itself is there. */
static const yaml_node_t *find(const struct pmp_yaml *y, const char *key, int index,
                               const char *below, bool *exact) {
  const yaml_node_t *root = yaml_document_get_root_node(document(y));
  const yaml_node_t *at = value_of(y, root, key);
  *exact = false;
  if (at == NULL) return root;
  if (index >= 0) {
    const yaml_node_t *item = item_of(y, at, index);
    if (item == NULL) return at;
    at = item;
  }
  if (below != NULL) {
    const yaml_node_t *value = value_of(y, at, below);
    if (value == NULL) return at;
    at = value;
  }
  *exact = true;
  return at;
}

unsigned pmp_yaml_line(const struct pmp_yaml *y, const char *key, int index, const char *below) {
  bool exact;
  const yaml_node_t *at = find(y, key, index, below, &exact);
  return at != NULL ? (unsigned)at->start_mark.line + 1 : 1;
}

bool pmp_yaml_has(const struct pmp_yaml *y, const char *key, int index, const char *below) {
  bool exact;
  return find(y, key, index, below, &exact) != NULL && exact;
}

static unsigned repeated(const struct pmp_yaml *y, const yaml_node_t *node, int depth) {
  unsigned line = 0;
  if (node == NULL || depth == DEPTH_MAX) return 0;
  if (node->type == YAML_SEQUENCE_NODE) {
    for (int i = 0; line == 0 && item_of(y, node, i) != NULL; i++)
      line = repeated(y, item_of(y, node, i), depth + 1);
    return line;
  }
  if (node->type != YAML_MAPPING_NODE) return 0;
  yaml_node_pair_t *start = node->data.mapping.pairs.start, *top = node->data.mapping.pairs.top;
  for (yaml_node_pair_t *p = start; line == 0 && p < top; p++) {
    const yaml_node_t *k = yaml_document_get_node(document(y), p->key);
    const yaml_node_t *v = yaml_document_get_node(document(y), p->value);
    const bool first =
        k->type != YAML_SCALAR_NODE || value_of(y, node, (const char *)k->data.scalar.value) == v;
    line = first ? repeated(y, v, depth + 1) : (unsigned)k->start_mark.line + 1;
  }
  return line;
}

unsigned pmp_yaml_repeated_key(const struct pmp_yaml *y) {
  return repeated(y, yaml_document_get_root_node(document(y)), 0);
}

/* ---- flat ---- */

static void append(char *out, size_t size, const char *text) {
  const size_t used = strlen(out);
  snprintf(out + used, size - used, "%s", text);
}

static void text_of(const struct pmp_yaml *y, const yaml_node_t *node, int depth, char *out,
                    size_t size) {
  if (node->type == YAML_SCALAR_NODE) {
    append(out, size, (const char *)node->data.scalar.value);
  } else if (node->type == YAML_SEQUENCE_NODE && depth < DEPTH_MAX) {
    append(out, size, "[");
    for (int i = 0; item_of(y, node, i) != NULL; i++) {
      if (i > 0) append(out, size, ", ");
      text_of(y, item_of(y, node, i), depth + 1, out, size);
    }
    append(out, size, "]");
  } else {
    append(out, size, "?"); /* deeper than any configuration goes: pmpod will say so */
  }
}

static bool flatten(const struct pmp_yaml *y, const yaml_node_t *node, const char *prefix,
                    int depth, json_t *out) {
  if (node == NULL || node->type != YAML_MAPPING_NODE) return true;
  for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
       p++) {
    const yaml_node_t *k = yaml_document_get_node(document(y), p->key);
    const yaml_node_t *v = yaml_document_get_node(document(y), p->value);
    char name[256], text[1024] = "";
    if (k->type != YAML_SCALAR_NODE) continue;
    snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] ? "." : "",
             (const char *)k->data.scalar.value);
    if (v->type == YAML_MAPPING_NODE && depth < DEPTH_MAX) {
      if (!flatten(y, v, name, depth + 1, out)) return false;
      continue;
    }
    text_of(y, v, depth, text, sizeof text);
    if (json_object_set_new(out, name, json_string(text)) != 0) return false;
  }
  return true;
}

json_t *pmp_yaml_flat(const struct pmp_yaml *y) {
  json_t *out = json_object();
  if (out != NULL && flatten(y, yaml_document_get_root_node(document(y)), "", 0, out)) return out;
  json_decref(out);
  return NULL;
}
