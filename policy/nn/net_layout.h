/* Sizes of a network's layers; inside policy/nn only. Layer hidden_count is the output. */
#ifndef PMP_POLICY_NN_NET_LAYOUT_H
#define PMP_POLICY_NN_NET_LAYOUT_H

#include "policy/nn/net.h"

static inline uint32_t pmp_net_layers(const struct pmp_net *net) {
  return net->config.hidden_count + 1;
}

static inline size_t pmp_net_width(const struct pmp_net *net, uint32_t layer) {
  return layer < net->config.hidden_count ? net->config.hidden[layer] : net->config.out;
}

static inline size_t pmp_net_inputs(const struct pmp_net *net, uint32_t layer) {
  return layer == 0 ? (size_t)net->config.in_shared + net->config.in_own
                    : pmp_net_width(net, layer - 1);
}

#endif
