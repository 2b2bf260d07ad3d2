"""Golden numbers for learner/: objectives, labels, Adam, atoms and a whole critic, in float64.

Independent of pmpod's code: losses are written down as their definitions say and differentiated by JAX, the
projection on atoms uses the triangular-kernel form, labels come from a stable sort.

    python3 -m venv VENV && VENV/bin/pip install jax==0.10.2 && VENV/bin/python make_golden.py > golden.json

Inputs are float32 numbers, so that both sides start from the same ones.
"""

import json
import sys

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(20240607)


def f32(x):
    return np.asarray(x, np.float32).astype(np.float64)


def flat(x):
    return [float(v) for v in np.asarray(x).ravel()]


def pmpo(lp, kl, verdict, weight, x, alpha, beta, averaging):
    """The three terms of objectives.md 1. lp [N,P], kl [B,K], beta [P]."""
    parts = lp.shape[1]
    logp = lp.sum(axis=1)
    accepted, rejected = verdict == 1, verdict == -1
    wa, wr = jnp.where(accepted, weight, 0.0), jnp.where(rejected, weight, 0.0)
    if averaging == "sets":
        norm_a, norm_r = wa.sum(), wr.sum()
    else:
        norm_a = norm_r = wa.sum() + wr.sum()
    term_a = -alpha * (wa * logp).sum() / norm_a if float(wa.sum()) > 0 else 0.0
    term_r = (1 - alpha) * (wr * logp).sum() / norm_r if float(wr.sum()) > 0 else 0.0
    halves = jnp.split(kl, parts, axis=1)
    term_kl = sum(b * h.sum(axis=1).mean() for b, h in zip(beta, halves))
    return term_a, term_r, term_kl


def objective_case(i):
    parts = int(rng.integers(1, 3))
    kl_parts = 1 if parts == 1 else int(rng.choice([2, 6]))
    b, per = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    ragged = i % 3 == 0
    counts = rng.integers(0, per + 2, b) if ragged else np.full(b, per)
    x = np.repeat(np.arange(b), counts)
    n = len(x)
    verdict = rng.choice([-1, 0, 1], n, p=[[0.4, 0.2, 0.4], [0.0, 0.3, 0.7], [0.8, 0.2, 0.0]][i % 7 % 3])
    weight = f32(rng.uniform(0, 2, n)) if i % 2 else np.ones(n)
    lp = f32(rng.normal(-2, 3, (n, parts)))
    kl = f32(np.abs(rng.normal(0, 1, (b, kl_parts))))
    alpha = float(f32(rng.choice([0.0, 0.25, 0.5, 0.8, 1.0])))
    beta = flat(f32(rng.choice([0.0, 0.3, 0.5, 2.0, 100.0], parts)))
    averaging = ["sets", "pool"][i // 2 % 2]
    if n == 0:
        return None
    args = (verdict, jnp.asarray(weight), x, alpha, beta, averaging)
    total = lambda lp_, kl_: sum(pmpo(lp_, kl_, *args))
    terms = [float(t) for t in pmpo(jnp.asarray(lp), jnp.asarray(kl), *args)]
    dlp, dkl = jax.grad(total, argnums=(0, 1))(jnp.asarray(lp), jnp.asarray(kl))
    # kl_margin: the smaller beta less B times the worst condition's coefficients.
    sums = np.zeros(b)
    np.add.at(sums, x, np.asarray(dlp)[:, 0])
    clone = lambda lp_: -(weight[:, None] * lp_).sum() / weight.sum() if weight.sum() > 0 else 0.0 * lp_.sum()
    return {
        "alpha": alpha, "beta": beta, "averaging": averaging, "parts": parts, "kl_parts": kl_parts,
        "n": n, "b": b, "x": [int(v) for v in x] if ragged else None, "verdict": [int(v) for v in verdict],
        "weight": flat(weight) if i % 2 else None, "lp": flat(lp), "kl": flat(kl),
        "terms": terms, "c": flat(dlp), "w": flat(dkl), "margin": float(min(beta) - b * sums.max()),
        "bc_loss": float(clone(jnp.asarray(lp))), "bc_c": flat(jax.grad(clone)(jnp.asarray(lp))),
    }


def label_case(i):
    m, k = int(rng.integers(1, 10)), int(rng.integers(1, 5))
    # Few distinct values, so that ties are common.
    f = f32(rng.integers(0, 4, m) * 0.1) if i % 2 else f32(rng.normal(size=m))
    each = min(k, m // 2)
    order = np.argsort(-f, kind="stable")
    top = np.zeros(m, int)
    top[order[:each]] = 1
    top[order[m - each:]] = -1
    value = float(f32(rng.normal() * 0.3))
    at_least = lambda base: [int(v) for v in np.where(f >= base, 1, -1)]
    return {"f": flat(f), "k": k, "value": value, "top_k": [int(v) for v in top],
            "at_value": at_least(value), "at_median": at_least(np.median(f)), "at_mean": at_least(np.mean(f))}


def adam_case(i):
    n, steps = int(rng.integers(1, 40)), 25
    lr, b1, b2, eps = (float(f32(v)) for v in ([1e-2, 0.9, 0.999, 1e-8], [3e-4, 0.5, 0.9, 1e-3])[i % 2])
    decay, clip = float(f32([0.0, 0.1][i // 2 % 2])), float(f32([0.0, 0.7][i // 4 % 2]))
    p = p0 = f32(rng.normal(size=n))
    grads = f32(rng.normal(size=(steps, n)) * 10.0 ** rng.uniform(-3, 1, (steps, 1)))
    m, v, norms = np.zeros(n), np.zeros(n), []
    for t in range(1, steps + 1):
        g = grads[t - 1]
        norm = np.sqrt((g * g).sum())
        norms.append(float(norm))
        if clip > 0 and norm > clip:
            g = g * clip / norm
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        p = p - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) - lr * decay * p
    return {"lr": lr, "beta1": b1, "beta2": b2, "eps": eps, "decay": decay, "clip": clip, "n": n, "steps": steps,
            "start": flat(p0), "grads": flat(grads), "end": flat(p), "m": flat(m), "v": flat(v), "norms": norms}


def project(prob, ret, disc, z):
    """C51's projection in its triangular-kernel form: out_j = sum_i p_i max(0, 1 - |clip(Tz_i) - z_j| / dz)."""
    tz = np.clip(ret[:, None] + disc[:, None] * z, z[0], z[-1])
    hat = np.clip(1 - np.abs(tz[:, :, None] - z) / (z[1] - z[0]), 0, 1)
    return np.einsum("si,sij->sj", prob, hat)


def atoms_case(i):
    states, per = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    atoms = int([2, 3, 16, 17, 33, 51][i % 6])
    v_min, v_max = [(0.0, 100.0), (-10.0, 10.0), (-1.5, 3.0)][i % 3]
    z = np.linspace(v_min, v_max, atoms)
    spread = [1.0, 10.0, 100.0][i // 3 % 3]
    logits = f32(rng.normal(size=(states, per, atoms)) * spread)
    soft = np.asarray(jax.nn.softmax(jnp.asarray(logits), axis=-1))
    ret = f32(rng.uniform(v_min - 5, v_max + 5, states))
    disc = f32(rng.choice([0.0, 0.5, 0.95, 1.0], states))
    target = f32(rng.dirichlet(np.full(atoms, 0.3), states))
    first = jnp.asarray(logits[:, 0])
    loss = lambda l: -(target * jax.nn.log_softmax(l, axis=-1)).sum(axis=-1).mean()
    return {
        "states": states, "per": per, "atoms": atoms, "v_min": v_min, "v_max": v_max, "logits": flat(logits),
        "values": flat(soft @ z), "mean": flat(soft.mean(axis=1)), "ret": flat(ret), "disc": flat(disc),
        "projected": flat(project(soft.mean(axis=1), ret, disc, z)), "target": flat(target),
        "first": flat(first), "loss": float(loss(first)), "dlogits": flat(jax.grad(loss)(first)),
    }


def network(params, obs, act, norm):
    h = jnp.concatenate([obs, act], axis=-1)
    for i, (w, bias) in enumerate(zip(params["weight"], params["bias"])):
        h = h @ w + bias
        if i + 1 == len(params["weight"]):
            return h
        if i == 0 and norm:
            mean, var = h.mean(axis=-1, keepdims=True), h.var(axis=-1, keepdims=True)
            h = jnp.tanh((h - mean) / jnp.sqrt(var + 1e-5) * params["gain"] + params["shift"])
        else:
            h = jax.nn.elu(h)


def critic_case(i):
    obs_n, act_n, states, per = 3, int([2, 2, 0][i % 3]), 5, 4
    atoms, norm, hidden = int([1, 11][i % 2]), i // 2 % 2 == 0, [7, 5]
    v_min, v_max = -2.0, 3.0
    sizes = [obs_n + act_n, *hidden, atoms]
    params = {"weight": [jnp.asarray(f32(rng.normal(size=s) / np.sqrt(s[0]))) for s in zip(sizes, sizes[1:])],
              "bias": [jnp.asarray(f32(rng.normal(size=s) * 0.3)) for s in sizes[1:]]}
    if norm:
        params["gain"] = jnp.asarray(f32(rng.uniform(0.5, 1.5, hidden[0])))
        params["shift"] = jnp.asarray(f32(rng.normal(size=hidden[0]) * 0.3))
    obs = f32(rng.normal(size=(states, obs_n)))
    act = f32(rng.uniform(-1, 1, (states, per, act_n)))
    z = np.linspace(v_min, v_max, atoms) if atoms > 1 else None
    rows = jnp.broadcast_to(jnp.asarray(obs)[:, None], (states, per, obs_n))
    head = np.asarray(network(params, rows, jnp.asarray(act), norm))
    ret, disc = f32(rng.normal(size=states)), f32(rng.choice([0.0, 0.9], states))
    if atoms > 1:
        prob = np.asarray(jax.nn.softmax(jnp.asarray(head), axis=-1))
        values, boot = prob @ z, project(prob.mean(axis=1), ret, disc, z)
        target = f32(rng.dirichlet(np.ones(atoms), states))
        fit = lambda out: -(target * jax.nn.log_softmax(out, axis=-1)).sum(axis=-1).mean()
    else:
        values = head[..., 0]
        boot = (ret + disc * values.mean(axis=1))[:, None]
        target = f32(rng.normal(size=(states, 1)))
        fit = lambda out: 0.5 * ((out - target) ** 2).mean()
    loss = lambda p: fit(network(p, jnp.asarray(obs), jnp.asarray(act[:, 0]), norm))
    grad = jax.grad(loss)(params)
    tree = lambda t: {k: [flat(v) for v in t[k]] if isinstance(t[k], list) else flat(t[k]) for k in t}
    return {
        "obs_n": obs_n, "act_n": act_n, "states": states, "per": per, "atoms": atoms, "norm": norm, "hidden": hidden,
        "v_min": v_min, "v_max": v_max, "params": tree(params), "obs": flat(obs), "act": flat(act), "ret": flat(ret),
        "disc": flat(disc), "values": flat(values), "boot": flat(boot), "first": flat(act[:, 0]),
        "target": flat(target), "loss": float(loss(params)), "mean_q": float(values[:, 0].mean()), "grad": tree(grad),
    }


golden = {
    "objective": [c for c in map(objective_case, range(60)) if c],
    "label": [label_case(i) for i in range(40)],
    "adam": [adam_case(i) for i in range(8)],
    "atoms": [atoms_case(i) for i in range(18)],
    "critic": [critic_case(i) for i in range(12)],
}


def short(x):
    """Nine digits name a float32 exactly; results are compared to 1e-6 at best."""
    if isinstance(x, dict):
        return {k: short(v) for k, v in x.items()}
    if isinstance(x, list):
        return [short(v) for v in x]
    return float(f"{x:.9g}") if isinstance(x, float) else x


json.dump(short(golden), sys.stdout, separators=(",", ":"))
sys.stdout.write("\n")
