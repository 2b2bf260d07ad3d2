#!/usr/bin/env python3
"""Thousands of points for policy/dist, from JAX in float64: `make_points.py > points.f64` (needs jax and numpy).

Inputs are a formula (below, and in tests/policy/test_points.c), so that the file holds nothing but what is wanted: two
float64 a point, little-endian. The first is sum c lp + sum e lp_ref + sum w kl, the second the product of a random
vector and the gradient of sum c lp + sum w kl by pi's numbers. Sets follow in the order of SETS, POINTS points each.

Log-probabilities come from jax.scipy.stats and jax.nn, or from general linear solves; a gaussian's KL is the mean of the
difference of log-probabilities over points that integrate quadratics exactly, not the closed form under test;
gradients come from automatic differentiation.
"""
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

jax.config.update("jax_enable_x64", True)
POINTS, OUTCOMES, DIM = 600, 2, 3
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


def uniform(name, point, stream, n):
    """(points x n) numbers in [0, 1) with 24 bits: a hash of set, point, stream and place."""
    with np.errstate(over="ignore"):
        z = np.uint64(name) << np.uint64(48) | np.uint64(stream) << np.uint64(40)
        z = z + (point.astype(np.uint64)[:, None] << np.uint64(16)) + np.arange(n, dtype=np.uint64)[None]
        z = (z + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-24


HEAD, REF, Y, C, E, W, R, SCALE = range(8)


def signed(*args):
    return 2 * uniform(*args) - 1


class Set:
    """One family, its parts and how its numbers are said."""

    def __init__(self, number, kind, natural, split=False, per_dim=False, squash=False, dim=DIM, bins=0):
        self.number, self.kind, self.natural = number, kind, natural
        self.split, self.per_dim, self.squash, self.dim, self.bins = split, per_dim, squash, dim, bins
        full = dim * (dim + 1) if natural else dim + dim * (dim + 1) // 2
        self.size = {"diag": 2 * dim, "full": full, "bins": dim * bins}[kind]
        self.parts = 2 if split else 1
        self.kl_parts = 2 * dim if per_dim else self.parts

    # ---- inputs

    def inputs(self):
        i = np.arange(POINTS)
        regime = i % 4
        h, n = signed(self.number, i, HEAD, self.size), signed(self.number, i, REF, self.size)
        t = signed(self.number, i, Y, OUTCOMES * self.dim)
        if self.kind == "bins":
            scale, apart = np.array([3, 3, 1e4, 30])[regime], np.array([1, 2.0**-13, 1e4, 30])[regime]
            pi = (scale[:, None] * h).astype(np.float32).astype(np.float64)
            ref = (pi + apart[:, None] * n).astype(np.float32).astype(np.float64)
            place = np.arange(self.size)[None] % self.bins % 7 == 3
            ref[(i % 8 == 4)[:, None] & place] = -np.inf
            y = np.floor((t + 1) / 2 * self.bins)
            y = np.where(y % 7 == 3, 0.0, y)
        elif self.natural:
            pi, ref, y = self.natural_gaussian(i, regime, h, n, t)
        else:
            wide = 5 if self.kind == "full" else 12  # more, and a general solve has no digits left
            scale, apart = np.array([2, 2, wide, 0.125])[regime], np.array([0.5, 2.0**-13, 1, 3])[regime]
            pi = (scale[:, None] * h).astype(np.float32).astype(np.float64)
            ref = (pi + apart[:, None] * n).astype(np.float32).astype(np.float64)
            y = (3 * t).astype(np.float32).astype(np.float64)
        c = signed(self.number, i, C, OUTCOMES * self.parts)
        e = signed(self.number, i, E, OUTCOMES * self.parts)
        w = signed(self.number, i, W, self.kl_parts)
        r = signed(self.number, i, R, self.size)
        return [jnp.asarray(v) for v in (pi, ref, y.reshape(POINTS, OUTCOMES, self.dim), c.reshape(POINTS, OUTCOMES, -1),
                                         e.reshape(POINTS, OUTCOMES, -1), w, r)]

    def natural_gaussian(self, i, regime, h, n, t):
        """Scales from 2^-26 to 2^26 in one regime; the reference is nearly pi in another."""
        power = np.floor(53 * uniform(self.number, i, SCALE, 1)) - 26
        scale = np.where(regime[:, None] == 2, 2.0**power, 1.0)
        apart = np.array([0.5, 2.0**-13, 0.5, 2])[regime][:, None]
        pi, ref = scale * h, scale * (h + apart * n)
        d = self.dim
        stds = d + np.arange(d) * ((d + 1) if self.kind == "full" else 1)
        pi[:, stds] = scale * (1.25 + h[:, stds])
        near = np.minimum(apart, 0.5)
        ref[:, stds] = pi[:, stds] * (1 + near * n[:, stds])
        if self.kind == "full":
            above = [d + a * d + b for a in range(d) for b in range(a + 1, d)]
            pi[:, above] = ref[:, above] = 0
        return pi, ref, 3 * np.tile(scale, (1, OUTCOMES * d)) * t

    # ---- what is wanted

    def gaussian(self, v):
        """mean, and std or L"""
        d = self.dim
        mean = jnp.tanh(v[:d]) if self.squash else v[:d]
        if self.kind == "diag":
            return mean, v[d:] if self.natural else jax.nn.softplus(v[d:]) * 0.75 + 2.0**-20
        if self.natural:
            return mean, jnp.tril(v[d:].reshape(d, d))
        l = jnp.zeros((d, d)).at[np.tril_indices(d)].set(v[d:])
        return mean, jnp.tril(l, -1) + jnp.diag(jax.nn.softplus(jnp.diag(l)) * 0.75 + 2.0**-20)

    def log_normal(self, y, mean, spread):
        if self.kind == "diag":
            return norm.logpdf(y, mean, spread).sum()
        z = jnp.linalg.solve(spread, y - mean)
        return norm.logpdf(z).sum() - jnp.linalg.slogdet(spread)[1]

    def lp(self, v, ref, y):
        if self.kind == "bins":
            z = jax.nn.log_softmax(v.reshape(self.dim, self.bins), axis=-1)
            return jnp.take_along_axis(z, y.astype(int)[:, None], axis=-1).sum()[None]
        (m, s), (m_ref, s_ref) = self.gaussian(v), self.gaussian(ref)
        if not self.split:
            return self.log_normal(y, m, s)[None]
        return jnp.stack([self.log_normal(y, m, s_ref), self.log_normal(y, m_ref, s)])

    def normal_kl(self, m_ref, s_ref, m, s):
        """(D) for independent dimensions, (1) for full covariance."""
        if self.kind == "diag":
            y = m_ref[:, None] + s_ref[:, None] * NODES
            gap = norm.logpdf(y, m_ref[:, None], s_ref[:, None]) - norm.logpdf(y, m[:, None], s[:, None])
            return (gap * WEIGHTS).sum(-1) / WEIGHTS.sum()
        legs = np.sqrt(self.dim) * np.concatenate([np.eye(self.dim), -np.eye(self.dim)])
        return jnp.stack([self.log_normal(m_ref + s_ref @ z, m_ref, s_ref) - self.log_normal(m_ref + s_ref @ z, m, s)
                          for z in legs]).mean()[None]

    def kl(self, v, ref):
        if self.kind == "bins":
            z = jax.nn.log_softmax(v.reshape(self.dim, self.bins), axis=-1)
            q = jax.nn.log_softmax(ref.reshape(self.dim, self.bins), axis=-1)
            some = q > -jnp.inf
            return jnp.where(some, jnp.exp(q) * (jnp.where(some, q, 0) - z), 0).sum()[None]
        (m, s), (m_ref, s_ref) = self.gaussian(v), self.gaussian(ref)
        if not self.split:
            return self.normal_kl(m_ref, s_ref, m, s).sum()[None]
        parts = [self.normal_kl(m_ref, s_ref, m, s_ref), self.normal_kl(m_ref, s_ref, m_ref, s)]
        return jnp.concatenate([p if self.per_dim else p.sum()[None] for p in parts])

    def point(self, pi, ref, y, c, e, w, r):
        def seam(v):
            lps = jnp.stack([self.lp(v, ref, y[j]) for j in range(OUTCOMES)])
            return (c * lps).sum() + (w * self.kl(v, ref)).sum()

        lp_refs = jnp.stack([self.lp(ref, ref, y[j]) for j in range(OUTCOMES)])
        return jnp.stack([seam(pi) + (e * lp_refs).sum(), (r * jax.grad(seam)(pi)).sum()])


def sets():
    kinds = []
    for natural in (False, True):
        for squash in (False,) if natural else (False, True):
            more = dict(natural=natural, squash=squash)
            kinds += [dict(kind="diag", **more), dict(kind="diag", split=True, **more),
                      dict(kind="diag", split=True, per_dim=True, **more),
                      dict(kind="full", **more), dict(kind="full", split=True, **more)]
        for dim, bins in ((1, 3), (2, 5), (1, 301)):
            kinds.append(dict(kind="bins", natural=natural, dim=dim, bins=bins))
    return [Set(i, **k) for i, k in enumerate(kinds)]


for s in sets():
    wanted = np.asarray(jax.jit(jax.vmap(s.point))(*s.inputs()), dtype="<f8")
    assert np.isfinite(wanted).all(), (s.kind, s.number)
    sys.stdout.buffer.write(wanted.tobytes())
