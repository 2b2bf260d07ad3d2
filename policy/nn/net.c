#include "policy/nn/net.h"

#include "policy/nn/net_layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH_MAX 65536u
/* The standard deviation of a standard normal cut at 2. */
#define TRUNCATED_STD 0.87962566103423978

bool pmp_net_has_norm(const struct pmp_net *net, uint32_t layer) {
  return layer < net->config.hidden_count &&
         (layer == 0 ? net->config.first_layer_norm : net->config.layer_norm_all);
}

/* ---- building ---- */

static enum pmp_err check(const struct pmp_net_config *c, struct pmp_errmsg *msg) {
  if (c->hidden_count > PMP_NET_HIDDEN_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u hidden layers: at most %d are possible", c->hidden_count,
                    PMP_NET_HIDDEN_MAX);
  if (c->in_shared > WIDTH_MAX || c->in_own > WIDTH_MAX || c->in_shared + c->in_own == 0)
    return pmp_fail(msg, PMP_EINVALID, "a network with %u and %u inputs", c->in_shared, c->in_own);
  for (uint32_t l = 0; l < c->hidden_count; l++)
    if (c->hidden[l] == 0 || c->hidden[l] > WIDTH_MAX)
      return pmp_fail(msg, PMP_EINVALID, "hidden layer %u has %u units: 1 to %u are possible", l,
                      c->hidden[l], WIDTH_MAX);
  if (c->out == 0 || c->out > (1u << 24))
    return pmp_fail(msg, PMP_EINVALID, "a network with %u outputs", c->out);
  if (c->first_layer_norm && c->hidden_count == 0)
    return pmp_fail(msg, PMP_EINVALID, "LayerNorm needs a hidden layer");
  if (c->layer_norm_all && !c->first_layer_norm)
    return pmp_fail(msg, PMP_EINVALID, "LayerNorm on all layers means on the first one too");
  if (!(c->out_scale > 0) || !isfinite(c->out_scale))
    return pmp_fail(msg, PMP_EINVALID, "out_scale %g is not above 0", (double)c->out_scale);
  return PMP_OK;
}

struct builder {
  struct pmp_manifest *manifest; /* nullable */
  const char *prefix;
  size_t floats; /* so far, from the net's start */
};

static enum pmp_err add_view(struct builder *b, const char *part, uint32_t rank,
                             const uint32_t *shape, size_t *offset, struct pmp_errmsg *msg) {
  char name[2 * PMP_VIEW_NAME_MAX];
  *offset = b->floats;
  b->floats += (size_t)shape[0] * (rank == 2 ? shape[1] : 1);
  if (b->manifest == NULL) return PMP_OK;
  const int length = snprintf(name, sizeof name, "%s/%s", b->prefix, part);
  if (length < 0 || (size_t)length >= PMP_VIEW_NAME_MAX)
    return pmp_fail(msg, PMP_EINVALID, "the parameter name \"%s/%s\" is too long", b->prefix, part);
  const enum pmp_err err = pmp_manifest_add(b->manifest, name, rank, shape, NULL);
  if (err != PMP_OK) return pmp_fail(msg, err, "the parameter \"%s\" cannot be added", name);
  return PMP_OK;
}

static enum pmp_err add_layer(struct pmp_net *net, struct builder *b, uint32_t layer,
                              struct pmp_errmsg *msg) {
  const uint32_t shape[2] = {(uint32_t)pmp_net_inputs(net, layer),
                             (uint32_t)pmp_net_width(net, layer)};
  char part[32];
  snprintf(part, sizeof part, "linear_%u/weight", layer);
  PMP_TRY(add_view(b, part, 2, shape, &net->weight[layer], msg));
  snprintf(part, sizeof part, "linear_%u/bias", layer);
  PMP_TRY(add_view(b, part, 1, shape + 1, &net->bias[layer], msg));
  if (!pmp_net_has_norm(net, layer)) return PMP_OK;
  size_t shift;
  const char *name = "layer_norm"; /* the first one, which may be the only one */
  char later[24];
  if (layer > 0) {
    snprintf(later, sizeof later, "layer_norm_%u", layer);
    name = later;
  }
  snprintf(part, sizeof part, "%s/gain", name);
  PMP_TRY(add_view(b, part, 1, shape + 1, &net->norm[layer], msg));
  snprintf(part, sizeof part, "%s/shift", name);
  PMP_TRY(add_view(b, part, 1, shape + 1, &shift, msg));
  if (layer > 0) return PMP_OK;
  net->gain = net->norm[0];
  net->shift = shift;
  return PMP_OK;
}

enum pmp_err pmp_net_init(struct pmp_net *net, const struct pmp_net_config *config,
                          const char *prefix, struct pmp_manifest *manifest,
                          struct pmp_errmsg *msg) {
  *net = (struct pmp_net){0};
  PMP_TRY(check(config, msg));
  net->config = *config;
  struct builder b = {.manifest = manifest, .prefix = prefix};
  const uint32_t views = manifest ? manifest->views : 0;
  const size_t floats = manifest ? manifest->floats : 0;
  for (uint32_t l = 0; l < pmp_net_layers(net); l++) {
    const enum pmp_err err = add_layer(net, &b, l, msg);
    if (err == PMP_OK) continue;
    if (manifest) {
      manifest->views = views;
      manifest->floats = floats;
    }
    return err;
  }
  net->floats = b.floats;
  return PMP_OK;
}

static double truncated_normal(struct pmp_rng *rng) {
  for (;;) {
    const double z = pmp_rng_normal(rng);
    if (fabs(z) <= 2) return z;
  }
}

void pmp_net_init_params(const struct pmp_net *net, struct pmp_rng *rng, float *params) {
  memset(params, 0, net->floats * sizeof *params);
  for (uint32_t l = 0; l < pmp_net_layers(net); l++) {
    const bool last = l == net->config.hidden_count;
    const double scale = last ? (double)net->config.out_scale : 1;
    const double std = sqrt(scale / (double)pmp_net_inputs(net, l)) / TRUNCATED_STD;
    float *weight = params + net->weight[l];
    for (size_t i = 0; i < pmp_net_inputs(net, l) * pmp_net_width(net, l); i++)
      weight[i] = (float)(std * truncated_normal(rng));
  }
  for (uint32_t l = 0; l < net->config.hidden_count; l++)
    for (size_t j = 0; pmp_net_has_norm(net, l) && j < pmp_net_width(net, l); j++)
      params[net->norm[l] + j] = 1;
}
