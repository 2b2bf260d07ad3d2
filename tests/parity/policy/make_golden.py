#!/usr/bin/env python3
"""Golden numbers for policy/, from JAX in float64: `make_golden.py > golden.json` (needs jax and numpy).

Values come from jax.nn and jax.scipy, gradients from automatic differentiation. The KL of two normals is an integral
(Gauss-Hermite, exact for the quadratic that it integrates), not the closed form under test. Inputs are float32 numbers
in full, so that both sides start from the same bits.
"""
import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(20)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


def f32(*shape, scale=1.0):
    return jnp.asarray((scale * rng.standard_normal(shape)).astype(np.float32), jnp.float64)


def flat(x, digits):
    return [float(f"%.{digits}g" % v) for v in np.asarray(x).reshape(-1)]


def given(x):
    return flat(x, 9)


def wanted(x):
    return flat(x, 12)


# ---------------------------------------------------------------- networks


def has_norm(c, i):
    return i < len(c["hidden"]) and (c["norm"] if i == 0 else c.get("norm_all", False))


def layout(c):
    """[(name, shape)] in the order of the flat buffer."""
    sizes = [c["in_shared"] + c["in_own"], *c["hidden"], c["out"]]
    views = []
    for i in range(len(sizes) - 1):
        views += [(f"w{i}", (sizes[i], sizes[i + 1])), (f"b{i}", (sizes[i + 1],))]
        if has_norm(c, i):
            views += [(f"gain{i}", (sizes[i + 1],)), (f"shift{i}", (sizes[i + 1],))]
    return views


def unflatten(c, params):
    out, at = {}, 0
    for name, shape in layout(c):
        n = int(np.prod(shape))
        out[name] = params[at : at + n].reshape(shape)
        at += n
    assert at == params.size
    return out


def count(c):
    return sum(int(np.prod(shape)) for _, shape in layout(c))


def mlp(c, params, shared, own):
    p = unflatten(c, params)
    a = jnp.repeat(shared, c["per"], axis=0)
    if c["in_own"]:
        a = jnp.concatenate([a, own], axis=1)
    layers = len(c["hidden"])
    for i in range(layers):
        z = a @ p[f"w{i}"] + p[f"b{i}"]
        if has_norm(c, i):
            z = jax.nn.standardize(z, axis=-1, epsilon=1e-5) * p[f"gain{i}"] + p[f"shift{i}"]
        a = jnp.tanh(z) if i == 0 and c["norm"] else jax.nn.elu(z)
    return a @ p[f"w{layers}"] + p[f"b{layers}"]


def net_case(**c):
    params = f32(count(c), scale=0.5)
    shared = f32(c["states"], c["in_shared"])
    own = f32(c["states"] * c["per"], c["in_own"])
    dout = f32(c["states"] * c["per"], c["out"])
    out, back = jax.vjp(lambda p, s, o: mlp(c, p, s, o), params, shared, own)
    dparams, dshared, down = back(dout)
    return dict(
        c, params=given(params), shared=given(shared), own=given(own), dout=given(dout),
        want=dict(out=wanted(out), dparams=wanted(dparams), dshared=wanted(dshared), down=wanted(down)),
    )


# ---------------------------------------------------------------- distributions


def gaussian(d, head):
    mean_raw, std_raw = head[..., : d["dim"]], head[..., d["dim"] :]
    mean = jnp.tanh(mean_raw) if d["squash_mean"] else mean_raw
    scale, least = np.float32(d["std_scale"]), np.float32(d["std_min"])
    return mean, jax.nn.softplus(std_raw) * float(scale) + float(least)


def normal_kl(m_ref, s_ref, m, s):
    y = m_ref[..., None] + s_ref[..., None] * NODES
    gap = norm.logpdf(y, m_ref[..., None], s_ref[..., None]) - norm.logpdf(y, m[..., None], s[..., None])
    return (gap * WEIGHTS).sum(-1) / WEIGHTS.sum()


def log_probability(d, head, ref, y):
    """head, ref (B x H), y (B x M x D) -> lp (B x M x P)."""
    if d["kind"] == "categorical":
        z = jax.nn.log_softmax(head.reshape(-1, 1, d["dim"], d["bins"]), axis=-1)
        z = jnp.broadcast_to(z, (*y.shape, d["bins"]))
        return jnp.take_along_axis(z, y.astype(int)[..., None], axis=-1)[..., 0].sum(-1, keepdims=True)
    m, s = (v[:, None] for v in gaussian(d, head))
    m_ref, s_ref = (v[:, None] for v in gaussian(d, ref))
    if not d["split"]:
        return norm.logpdf(y, m, s).sum(-1, keepdims=True)
    return jnp.stack([norm.logpdf(y, m, s_ref).sum(-1), norm.logpdf(y, m_ref, s).sum(-1)], axis=-1)


def divergence(d, head, ref):
    """-> kl (B x K)"""
    if d["kind"] == "categorical":
        z = jax.nn.log_softmax(head.reshape(-1, d["dim"], d["bins"]), axis=-1)
        z_ref = jax.nn.log_softmax(ref.reshape(-1, d["dim"], d["bins"]), axis=-1)
        return (jnp.exp(z_ref) * (z_ref - z)).sum((1, 2))[:, None]
    m, s = gaussian(d, head)
    m_ref, s_ref = gaussian(d, ref)
    if not d["split"]:
        return normal_kl(m_ref, s_ref, m, s).sum(-1, keepdims=True)
    parts = [normal_kl(m_ref, s_ref, m, s_ref), normal_kl(m_ref, s_ref, m_ref, s)]
    return jnp.concatenate([p if d["per_dim"] else p.sum(-1, keepdims=True) for p in parts], axis=-1)


def entropy(d, head):
    if d["kind"] == "categorical":
        z = jax.nn.log_softmax(head.reshape(-1, d["dim"], d["bins"]), axis=-1)
        return -(jnp.exp(z) * z).sum((1, 2))
    m, s = gaussian(d, head)
    y = m[..., None] + s[..., None] * NODES
    return -((norm.logpdf(y, m[..., None], s[..., None]) * WEIGHTS).sum(-1) / WEIGHTS.sum()).sum(-1)


def outcomes(d, b, m):
    if d["kind"] == "categorical":
        return jnp.asarray(rng.integers(0, d["bins"], (b, m, d["dim"])), jnp.float64)
    return f32(b, m, d["dim"])


def parts(d):
    return (2 if d["split"] else 1, 2 * d["dim"] if d["per_dim"] else 2 if d["split"] else 1)


def family(kind, **more):
    d = dict(kind=kind, dim=2, bins=0, split=False, per_dim=False, squash_mean=False, std_scale=1.0, std_min=1e-8,
             low=-1.0, high=1.0)
    d.update(more)
    if kind == "categorical":
        d.update(std_scale=0.0, std_min=0.0)
    return d


def seam(d, head, ref, y, c, w):
    """The loss that the two sides of the seam agree on: sum c lp + sum w kl."""
    return (c * log_probability(d, head, ref, y)).sum() + (w * divergence(d, head, ref)).sum()


def dist_case(d, b=3, m=4):
    h = d["dim"] * (d["bins"] if d["kind"] == "categorical" else 2)
    head = f32(b, h)
    ref = jnp.asarray(np.asarray(head + 0.3 * f32(b, h), np.float32), jnp.float64)
    y, (p, k) = outcomes(d, b, m), parts(d)
    c, w = f32(b, m, p), f32(b, k)
    dhead = jax.grad(lambda q: seam(d, q, ref, y, c, w))(head)
    return dict(
        dist=d, b=b, m=m, head=given(head), ref=given(ref), y=given(y), c=given(c), w=given(w),
        want=dict(lp=wanted(log_probability(d, head, ref, y)), lp_ref=wanted(log_probability(d, ref, ref, y)),
                  kl=wanted(divergence(d, head, ref)), entropy=wanted(entropy(d, head)), dhead=wanted(dhead)),
    )


# ---------------------------------------------------------------- policies


def policy_case(d, b=4, m=4):
    h = d["dim"] * (d["bins"] if d["kind"] == "categorical" else 2)
    spec = dict(dist=d, obs=3, network=True, hidden=[6, 5], first_layer_norm=True, init_std=0.0, init_mean_range=0.0)
    c = dict(in_shared=3, in_own=0, hidden=[6, 5], out=h, norm=True, states=b, per=1)
    params, ref_params, x = f32(count(c), scale=0.5), f32(count(c), scale=0.5), f32(b, 3)
    y, (p, k) = outcomes(d, b, m), parts(d)
    coefficients, weights = f32(b, m, p), f32(b, k)

    def head(q):
        return mlp(c, q, x, None)

    def loss(q):
        return seam(d, head(q), head(ref_params), y, coefficients, weights)

    return dict(
        spec=spec, b=b, m=m, params=given(params), ref_params=given(ref_params), x=given(x), y=given(y),
        c=given(coefficients), w=given(weights),
        want=dict(loss=wanted(loss(params)), dparams=wanted(jax.grad(loss)(params))),
    )


control = dict(squash_mean=True, std_scale=0.7213475108146667, std_min=0.009999999776482582)
gaussians = [
    family("diag_gaussian", **control),
    family("diag_gaussian", **control, split=True),
    family("diag_gaussian", **control, split=True, per_dim=True),
    family("diag_gaussian"),
]
golden = dict(
    nets=[
        net_case(in_shared=4, in_own=2, hidden=[7, 5], out=3, norm=True, states=3, per=2),
        net_case(in_shared=3, in_own=1, hidden=[6], out=4, norm=False, states=5, per=1),
        net_case(in_shared=3, in_own=0, hidden=[5, 4, 6], out=2, norm=True, states=4, per=1),
    ],
    dists=[dist_case(d) for d in gaussians] + [dist_case(family("categorical", bins=5))],
    policies=[policy_case(gaussians[0]), policy_case(gaussians[2]), policy_case(family("categorical", bins=4))],
)
golden["nets"].append(net_case(in_shared=4, in_own=2, hidden=[7, 5, 6], out=3, norm=True, norm_all=True, states=3, per=2))
print(json.dumps(golden, separators=(",", ":")))
