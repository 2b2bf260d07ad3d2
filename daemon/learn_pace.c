#include "daemon/learn_pace.h"

#include <math.h>

#define SECOND_NS INT64_C(1000000000)

static const struct pmp_pace_sample *back(const struct pmp_pace *p, uint64_t by) {
  const uint64_t kept = p->samples < PMP_PACE_SAMPLES ? p->samples : PMP_PACE_SAMPLES;
  if (by > kept) by = kept;
  return &p->sample[(p->samples - by) % PMP_PACE_SAMPLES];
}

void pmp_pace_add(struct pmp_pace *p, const struct pmp_pace_sample *now) {
  if (p->samples > 0 && now->at_ns - back(p, 1)->at_ns < SECOND_NS) return;
  p->sample[p->samples++ % PMP_PACE_SAMPLES] = *now;
}

static double per_s(uint64_t from, uint64_t to, int64_t ns) {
  return ns > 0 ? (double)(to - from) * 1e9 / (double)ns : NAN;
}

/* By the speed of the time that it ran: a pause says nothing about the steps that are left. */
static double time_left(const struct pmp_pace *p, const struct pmp_pace_sample *now, uint64_t end) {
  if (end == 0) return NAN;
  if (now->steps >= end) return 0;
  const struct pmp_pace_sample *from = back(p, PMP_PACE_SAMPLES);
  const int64_t ran = now->run_ns - from->run_ns;
  if (ran < SECOND_NS || now->steps == from->steps) return NAN;
  return (double)(end - now->steps) / per_s(from->steps, now->steps, ran);
}

void pmp_pace_rates(const struct pmp_pace *p, const struct pmp_pace_sample *now, uint64_t end,
                    struct pmp_pace_rates *out) {
  *out = (struct pmp_pace_rates){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (p->samples == 0) return;
  const struct pmp_pace_sample *from = back(p, PMP_PACE_RECENT);
  const int64_t ns = now->at_ns - from->at_ns, ran = now->run_ns - from->run_ns;
  out->left_s = time_left(p, now, end);
  if (ns < SECOND_NS / 2) return; /* too short to divide by */
  out->steps_per_s = per_s(from->steps, now->steps, ns);
  out->env_per_s = per_s(from->env_steps, now->env_steps, ns);
  out->rows_per_s = per_s(from->rows, now->rows, ns);
  if (ran < SECOND_NS / 2) return;
  out->wait_share = fmin((double)(now->wait_ns - from->wait_ns) / (double)ran, 1);
  out->product_share =
      fmin((double)(now->product_ns - from->product_ns) / (double)ran, 1 - out->wait_share);
  out->rest_share = 1 - out->wait_share - out->product_share;
}
