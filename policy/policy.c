#include "policy/policy.h"

#include <jansson.h>

#include <math.h>
#include <string.h>

#define PREFIX "policy"
#define HEAD_OUT_SCALE                                                                             \
  1e-2f /* variance scale of the head's weights: the first policy barely depends on x */
#define OBS_MAX 65536u
#define NORMAL_MAX 10.0f /* a normalised observation's bound */

/* ---- building ---- */

static enum pmp_err check_init(const struct pmp_policy_spec *s, struct pmp_errmsg *msg) {
  const bool gaussian = s->dist.kind != PMP_DIST_CATEGORICAL;
  if (!isfinite(s->init_std) || s->init_std < 0 || !isfinite(s->init_mean_range) ||
      s->init_mean_range < 0)
    return pmp_fail(msg, PMP_EINVALID, "init_std %g or init_mean_range %g is below 0",
                    (double)s->init_std, (double)s->init_mean_range);
  if (!gaussian) return PMP_OK;
  const bool needed = !s->network || s->init_std > 0;
  if (needed && !(s->init_std > s->dist.std_min))
    return pmp_fail(msg, PMP_EINVALID, "init_std %g is not above the least std %g",
                    (double)s->init_std, (double)s->dist.std_min);
  if (!s->network && s->dist.squash_mean && s->init_mean_range >= 1)
    return pmp_fail(msg, PMP_EINVALID, "init_mean_range %g: a squashed mean stays below 1",
                    (double)s->init_mean_range);
  return PMP_OK;
}

static enum pmp_err add_free(struct pmp_policy *p, struct pmp_errmsg *msg) {
  const struct pmp_dist *d = &p->spec.dist;
  enum pmp_err err;
  if (d->kind == PMP_DIST_CATEGORICAL) {
    const uint32_t shape[2] = {d->dim, d->bins};
    err = pmp_manifest_add(&p->manifest, PREFIX "/logits", 2, shape, NULL);
  } else {
    const bool full = d->kind == PMP_DIST_GAUSSIAN;
    const uint32_t spread = (uint32_t)p->head - d->dim;
    err = pmp_manifest_add(&p->manifest, PREFIX "/mean_raw", 1, &d->dim, NULL);
    if (err == PMP_OK)
      err = pmp_manifest_add(&p->manifest, full ? PREFIX "/chol_raw" : PREFIX "/std_raw", 1,
                             &spread, NULL);
  }
  return err == PMP_OK ? err : pmp_fail(msg, err, "the policy's parameters do not fit a manifest");
}

static enum pmp_err add_network(struct pmp_policy *p, struct pmp_errmsg *msg) {
  const struct pmp_policy_spec *s = &p->spec;
  struct pmp_net_config config = {.in_shared = s->obs,
                                  .hidden_count = s->hidden_count,
                                  .out = (uint32_t)p->head,
                                  .first_layer_norm = s->first_layer_norm,
                                  .layer_norm_all = s->layer_norm_all,
                                  .out_scale = HEAD_OUT_SCALE};
  if (p->head > UINT32_MAX || s->hidden_count > PMP_NET_HIDDEN_MAX)
    return pmp_fail(msg, PMP_EINVALID, "a network with %u hidden layers and %zu outputs",
                    s->hidden_count, p->head);
  memcpy(config.hidden, s->hidden, sizeof config.hidden);
  return pmp_net_init(&p->net, &config, PREFIX, &p->manifest, msg);
}

static enum pmp_err add_observation(struct pmp_policy *p, struct pmp_errmsg *msg) {
  const uint32_t obs = p->spec.obs;
  enum pmp_err err = pmp_manifest_add(&p->manifest, PREFIX "/observation/mean", 1, &obs, &p->mean);
  if (err == PMP_OK)
    err = pmp_manifest_add(&p->manifest, PREFIX "/observation/scale", 1, &obs, &p->scale);
  return err == PMP_OK ? err : pmp_fail(msg, err, "the policy's parameters do not fit a manifest");
}

enum pmp_err pmp_policy_init(struct pmp_policy *p, const struct pmp_policy_spec *spec,
                             struct pmp_errmsg *msg) {
  *p = (struct pmp_policy){0};
  PMP_TRY(pmp_dist_check(&spec->dist, msg));
  PMP_TRY(check_init(spec, msg));
  if (spec->network ? spec->obs == 0 || spec->obs > OBS_MAX : spec->obs != 0)
    return pmp_fail(msg, PMP_EINVALID,
                    "%u floats of a condition: a network needs some, free parameters take none",
                    spec->obs);
  if (!spec->network && (spec->hidden_count > 0 || spec->first_layer_norm || spec->layer_norm_all))
    return pmp_fail(msg, PMP_EINVALID, "free parameters have no layers");
  if (!spec->network && spec->normalize)
    return pmp_fail(msg, PMP_EINVALID, "free parameters have no observation to normalize");
  p->spec = *spec;
  p->head = pmp_dist_head(&spec->dist);
  PMP_TRY(spec->network ? add_network(p, msg) : add_free(p, msg));
  p->trained = p->manifest.floats;
  return spec->normalize ? add_observation(p, msg) : PMP_OK;
}

void pmp_policy_init_params(const struct pmp_policy *p, struct pmp_rng *rng, float *params) {
  const struct pmp_policy_spec *s = &p->spec;
  const struct pmp_dist *d = &s->dist;
  const bool gaussian = d->kind != PMP_DIST_CATEGORICAL;
  float *head = params;
  for (uint32_t i = 0; s->normalize && i < s->obs; i++) {
    params[p->mean + i] = 0.0f;
    params[p->scale + i] = 1.0f;
  }
  if (s->network) {
    pmp_net_init_params(&p->net, rng, params);
    if (!gaussian || !(s->init_std > 0)) return;
    head = params + p->net.bias[s->hidden_count];
  }
  /* The biases of a network's head are the head where its input is 0. */
  pmp_dist_init_head(d, NULL, s->init_std, head);
  if (s->network || !gaussian) return;
  for (uint32_t i = 0; i < d->dim; i++) {
    const double mean = (double)s->init_mean_range * (2 * pmp_rng_double(rng) - 1);
    head[i] = (float)(d->squash_mean ? atanh(mean) : mean);
  }
}

/* ---- evaluating ---- */

/* Behind the network's cache lies, where it is needed, the observation as the network sees it. */
size_t pmp_policy_cache_floats(const struct pmp_policy *p, size_t b) {
  if (!p->spec.network) return 0;
  return pmp_net_cache_floats(&p->net, b, b) + (p->spec.normalize ? b * p->spec.obs : 0);
}

void pmp_policy_normalize(const struct pmp_policy *p, const float *params, size_t b, const float *x,
                          float *out) {
  const size_t obs = p->spec.obs;
  if (!p->spec.normalize) {
    memmove(out, x, b * obs * sizeof *out);
    return;
  }
  const float *mean = params + p->mean, *scale = params + p->scale;
  for (size_t r = 0; r < b; r++) {
    for (size_t i = 0; i < obs; i++) {
      const float z = (x[r * obs + i] - mean[i]) * scale[i]; /* NaN stays */
      out[r * obs + i] = z < -NORMAL_MAX ? -NORMAL_MAX : z > NORMAL_MAX ? NORMAL_MAX : z;
    }
  }
}

enum pmp_err pmp_policy_forward(const struct pmp_policy *p, struct pmp_compute *compute,
                                const float *params, size_t b, const float *x, float *cache,
                                float *head) {
  if (p->spec.normalize) {
    float *seen = cache + pmp_net_cache_floats(&p->net, b, b);
    pmp_policy_normalize(p, params, b, x, seen);
    x = seen;
  }
  if (p->spec.network) return pmp_net_forward(&p->net, compute, params, x, NULL, b, 1, cache, head);
  for (size_t i = 0; i < b; i++) memcpy(head + i * p->head, params, p->head * sizeof *head);
  return PMP_OK;
}

enum pmp_err pmp_policy_backward(const struct pmp_policy *p, struct pmp_compute *compute,
                                 const float *params, size_t b, const float *x, float *cache,
                                 const float *dhead, float *dparams) {
  if (p->spec.normalize) x = cache + pmp_net_cache_floats(&p->net, b, b);
  if (p->spec.network)
    return pmp_net_backward(&p->net, compute, params, x, NULL, b, 1, cache, dhead, dparams, NULL,
                            NULL);
  for (size_t i = 0; i < p->head; i++) {
    double sum = 0;
    for (size_t r = 0; r < b; r++) sum += (double)dhead[r * p->head + i];
    dparams[i] = (float)((double)dparams[i] + sum);
  }
  return PMP_OK;
}

/* ---- the spec as JSON ---- */

/* One key of a spec: where its value goes. */
enum type { TYPE_U32, TYPE_BOOL, TYPE_F32 };

struct field {
  const char *key;
  enum type type;
  size_t offset;
};

#define DIST(key, type)                                                                            \
  { #key, type, offsetof(struct pmp_dist, key) }
#define SPEC(key, type)                                                                            \
  { #key, type, offsetof(struct pmp_policy_spec, key) }

static const struct field dist_fields[] = {
    DIST(dim, TYPE_U32),      DIST(bins, TYPE_U32),         DIST(split, TYPE_BOOL),
    DIST(per_dim, TYPE_BOOL), DIST(squash_mean, TYPE_BOOL), DIST(std_scale, TYPE_F32),
    DIST(std_min, TYPE_F32),  DIST(low, TYPE_F32),          DIST(high, TYPE_F32),
};
static const struct field spec_fields[] = {
    SPEC(obs, TYPE_U32),      SPEC(network, TYPE_BOOL),        SPEC(first_layer_norm, TYPE_BOOL),
    SPEC(init_std, TYPE_F32), SPEC(init_mean_range, TYPE_F32),
};
/* Left out where they are false: then the policy is one that readers from before them know. */
static const struct field later_fields[] = {
    SPEC(normalize, TYPE_BOOL),
    SPEC(layer_norm_all, TYPE_BOOL),
};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct {
  enum pmp_dist_kind kind;
  const char *name;
} kinds[] = {{PMP_DIST_DIAG_GAUSSIAN, "diag_gaussian"},
             {PMP_DIST_GAUSSIAN, "gaussian"},
             {PMP_DIST_CATEGORICAL, "categorical"}};

static json_t *put_kind(enum pmp_dist_kind kind) {
  for (size_t i = 0; i < COUNT(kinds); i++)
    if (kinds[i].kind == kind) return json_string(kinds[i].name);
  return NULL;
}

static bool get_kind(const json_t *value, enum pmp_dist_kind *kind) {
  const char *name = json_string_value(value);
  for (size_t i = 0; name && i < COUNT(kinds); i++) {
    if (strcmp(name, kinds[i].name) != 0) continue;
    *kind = kinds[i].kind;
    return true;
  }
  return false;
}

static bool put_fields(json_t *object, const void *from, const struct field *field, size_t fields) {
  for (size_t i = 0; i < fields; i++) {
    const char *at = (const char *)from + field[i].offset;
    json_t *value = NULL;
    switch (field[i].type) {
    case TYPE_U32:
      value = json_integer((json_int_t) * (const uint32_t *)(const void *)at);
      break;
    case TYPE_BOOL:
      value = json_boolean(*(const bool *)(const void *)at);
      break;
    case TYPE_F32:
      value = json_real((double)*(const float *)(const void *)at);
      break;
    }
    if (json_object_set_new(object, field[i].key, value) != 0) return false;
  }
  return true;
}

static bool put_spec(json_t *root, const struct pmp_policy_spec *s) {
  json_t *dist = json_object(), *hidden = json_array();
  /* Both are root's from here on, also when an earlier step has failed. */
  const bool dist_set = json_object_set_new(root, "dist", dist) == 0;
  const bool hidden_set = json_object_set_new(root, "hidden", hidden) == 0;
  if (!dist_set || !hidden_set) return false;
  if (json_object_set_new(dist, "kind", put_kind(s->dist.kind)) != 0) return false;
  for (uint32_t i = 0; i < s->hidden_count && i < PMP_NET_HIDDEN_MAX; i++)
    if (json_array_append_new(hidden, json_integer((json_int_t)s->hidden[i])) != 0) return false;
  for (size_t i = 0; i < COUNT(later_fields); i++) {
    const bool *value = (const void *)((const char *)s + later_fields[i].offset);
    if (*value && json_object_set_new(root, later_fields[i].key, json_true()) != 0) return false;
  }
  return put_fields(dist, &s->dist, dist_fields, COUNT(dist_fields)) &&
         put_fields(root, s, spec_fields, COUNT(spec_fields));
}

enum pmp_err pmp_policy_spec_to_json(const struct pmp_policy_spec *spec, char **json) {
  json_t *root = json_object();
  *json = NULL;
  /* Nine digits say a float32 exactly. */
  if (root && put_spec(root, spec))
    *json = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
  json_decref(root);
  return *json ? PMP_OK : PMP_ENOMEM;
}

static bool get_field(const json_t *value, enum type type, char *at) {
  switch (type) {
  case TYPE_U32:
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > UINT32_MAX)
      return false;
    *(uint32_t *)(void *)at = (uint32_t)json_integer_value(value);
    return true;
  case TYPE_BOOL:
    if (!json_is_boolean(value)) return false;
    *(bool *)(void *)at = json_is_true(value);
    return true;
  case TYPE_F32:
    if (!json_is_number(value)) return false;
    *(float *)(void *)at = (float)json_number_value(value);
    return isfinite(*(const float *)(const void *)at) != 0;
  }
  return false;
}

static enum pmp_err get_fields(const json_t *object, void *to, const struct field *field,
                               size_t fields, struct pmp_errmsg *msg) {
  for (size_t i = 0; i < fields; i++) {
    const json_t *value = json_object_get(object, field[i].key);
    if (!get_field(value, field[i].type, (char *)to + field[i].offset))
      return pmp_fail(msg, PMP_EINVALID, "the policy's \"%s\" is missing or of another type",
                      field[i].key);
  }
  return PMP_OK;
}

static enum pmp_err get_spec(const json_t *root, struct pmp_policy_spec *s,
                             struct pmp_errmsg *msg) {
  const json_t *dist = json_object_get(root, "dist"), *hidden = json_object_get(root, "hidden");
  const json_t *kind = json_object_get(dist, "kind");
  size_t keys = COUNT(spec_fields) + 2;
  PMP_TRY(get_fields(root, s, spec_fields, COUNT(spec_fields), msg));
  PMP_TRY(get_fields(dist, &s->dist, dist_fields, COUNT(dist_fields), msg));
  for (size_t i = 0; i < COUNT(later_fields); i++) {
    if (json_object_get(root, later_fields[i].key) == NULL) continue;
    PMP_TRY(get_fields(root, s, &later_fields[i], 1, msg));
    keys++;
  }
  /* All known keys were there: more of them are unknown ones. */
  if (json_object_size(root) != keys || json_object_size(dist) != COUNT(dist_fields) + 1)
    return pmp_fail(msg, PMP_EINVALID, "the policy's description has a key that is not known");
  if (!get_kind(kind, &s->dist.kind))
    return pmp_fail(msg, PMP_EINVALID, "the policy family \"%s\" is not known",
                    json_is_string(kind) ? json_string_value(kind) : "");
  if (!json_is_array(hidden) || json_array_size(hidden) > PMP_NET_HIDDEN_MAX)
    return pmp_fail(msg, PMP_EINVALID, "the policy's \"hidden\" is no list of at most %d numbers",
                    PMP_NET_HIDDEN_MAX);
  s->hidden_count = (uint32_t)json_array_size(hidden);
  for (uint32_t i = 0; i < s->hidden_count; i++)
    if (!get_field(json_array_get(hidden, i), TYPE_U32, (char *)&s->hidden[i]))
      return pmp_fail(msg, PMP_EINVALID, "the policy's \"hidden\" holds something else than sizes");
  return PMP_OK;
}

enum pmp_err pmp_policy_spec_from_json(struct pmp_policy_spec *spec, const char *json, size_t size,
                                       struct pmp_errmsg *msg) {
  json_error_t error;
  *spec = (struct pmp_policy_spec){0};
  json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &error);
  enum pmp_err err = PMP_OK;
  if (!json_is_object(root))
    err = pmp_fail(msg, PMP_EINVALID, "the policy's description is no JSON object: %s",
                   root ? "another type" : error.text);
  else
    err = get_spec(root, spec, msg);
  json_decref(root);
  return err;
}
