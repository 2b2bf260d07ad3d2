"""Golden lines for pmpo-eval: questions as the tool reads them, and the answers of an independent implementation.

Losses are written down as their definitions say, with dense matrices instead of sorting and grouping, and
differentiated by JAX in float64.

    python3 -m venv VENV && VENV/bin/pip install jax==0.10.2 && VENV/bin/python make_golden.py > golden.jsonl

Inputs have few digits, so that the file stays small; both sides read the same ones.
"""

import json

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np

rng = np.random.default_rng(7)


def short(x, digits=4):
    return np.round(np.asarray(x, np.float64), digits)


def listed(x):
    """Nested lists; a logit of minus infinity is null."""
    if isinstance(x, list) or (isinstance(x, np.ndarray) and x.ndim):
        return [listed(v) for v in x]
    return None if x == -np.inf else (int(x) if isinstance(x, (int, np.integer)) else float(x))


# ---- policies: log-probability of all outcomes under all rows is never needed, only y's own row's ----


def log_prob(policy, p, y, x):
    if policy == "diag_gaussian":
        m, s = p["mean"][x], p["std"][x]
        return jnp.sum(-0.5 * ((y - m) / s) ** 2 - jnp.log(s) - 0.5 * jnp.log(2 * jnp.pi), axis=-1)
    if policy == "gaussian":
        chol = jnp.tril(p["chol"])

        def one(yy, m, c):
            z = jax.scipy.linalg.solve_triangular(c, yy - m, lower=True)
            return -0.5 * z @ z - jnp.sum(jnp.log(jnp.diag(c))) - 0.5 * len(m) * jnp.log(2 * jnp.pi)

        return jax.vmap(one)(y, p["mean"][x], chol[x]) if len(y) else jnp.zeros(0)
    lp = jax.nn.log_softmax(p["logits"], axis=-1)[x]
    return jnp.sum(jnp.take_along_axis(lp, y.astype(int)[..., None], axis=-1)[..., 0], axis=-1)


def kl(policy, ref, p):
    """KL(ref||pi) of each row."""
    if policy == "diag_gaussian":
        a, b, s, t = ref["mean"], p["mean"], ref["std"], p["std"]
        return jnp.sum(jnp.log(t / s) + (s**2 + (a - b) ** 2) / (2 * t**2) - 0.5, axis=-1)
    if policy == "gaussian":
        cr, cp = jnp.tril(ref["chol"]), jnp.tril(p["chol"])

        def one(a, b, r, c):
            # tr(C^-1 C_ref) + Mahalanobis distance + log det ratio, from the covariances themselves
            ratio = jax.scipy.linalg.solve_triangular(c, r, lower=True)
            z = jax.scipy.linalg.solve_triangular(c, a - b, lower=True)
            logdet = jnp.sum(jnp.log(jnp.diag(c))) - jnp.sum(jnp.log(jnp.diag(r)))
            return 0.5 * (jnp.sum(ratio**2) + z @ z - len(a)) + logdet

        return jax.vmap(one)(ref["mean"], p["mean"], cr, cp)
    lr, lp = jax.nn.log_softmax(ref["logits"], axis=-1), jax.nn.log_softmax(p["logits"], axis=-1)
    there = jnp.isfinite(lr)
    terms = jnp.exp(lr) * (jnp.where(there, lr, 0.0) - jnp.where(there, lp, 0.0))
    return jnp.sum(jnp.where(there, terms, 0.0), axis=(-2, -1))


def crossed(ref, p):
    """(pi's mean with ref's spread, ref's mean with pi's spread): the two likelihoods of the split loss."""
    spread = "std" if "std" in p else "chol"
    return {"mean": p["mean"], spread: ref[spread]}, {"mean": ref["mean"], spread: p[spread]}


# ---- objectives ----


def log_pi(q, p, ref, y, x):
    if q.get("parts") == "split":
        mean, spread = crossed(ref, p)
        return log_prob(q["policy"], mean, y, x) + log_prob(q["policy"], spread, y, x)
    return log_prob(q["policy"], p, y, x)


def kl_numbers(q, p, ref, y, x, weight, b):
    """What the betas multiply; k_x of the state-dependent weight."""
    if q.get("kl") == "bc":
        policies = crossed(ref, p) if q.get("parts") == "split" else (p,)
        return [-(weight @ log_prob(q["policy"], one, y, x)) / weight.sum() for one in policies]
    if ref is None:
        return None
    if q.get("parts") == "split":
        mean, spread = crossed(ref, p)
        each = [kl(q["policy"], ref, mean), kl(q["policy"], ref, spread)]
    else:
        each = [kl(q["policy"], ref, p)]
    if q.get("kl_weight") == "state":
        verdict = np.array(q["verdict"])
        na = np.array([weight[(x == i) & (verdict == 1)].sum() for i in range(b)])
        nr = np.array([weight[(x == i) & (verdict == -1)].sum() for i in range(b)])
        k = 1 / (1 - (na + 0.5) / (na + nr + 1))
        return [(k / k.mean() * e).mean() for e in each]
    return [e.mean() for e in each]


def pmpo_term(q, lp, x, weight, b):
    alpha, verdict = q["alpha"], np.array(q["verdict"], float)
    wa, wr = weight * (verdict == 1), weight * (verdict == -1)
    if q.get("averaging") == "pool":
        all_weights = (wa + wr).sum()
        return ((1 - alpha) * (wr @ lp) - alpha * (wa @ lp)) / all_weights
    mean = lambda w: (w @ lp) / w.sum() if w.sum() > 0 else 0.0
    if q.get("kl_weight") == "state":
        rows = [x == i for i in range(b)]
        return sum((1 - alpha) * mean(wr * r) - alpha * mean(wa * r) for r in rows) / b
    return (1 - alpha) * mean(wr) - alpha * mean(wa)


def boltzmann_term(q, lp, x, weight, b):
    f, alpha, total, seen = np.array(q["f"]), q["alpha"], 0.0, 0
    for i in range(b):
        r = np.flatnonzero(x == i)
        if not len(r):
            continue
        up = weight[r] * np.exp((f[r] - f[r].max()) / q["eta"])
        down = weight[r] * np.exp((f[r].min() - f[r]) / q["eta"])
        total += (1 - alpha) * (down / down.sum()) @ lp[r] - alpha * (up / up.sum()) @ lp[r]
        seen += 1
    return total / seen


def pair_term(q, lp, lp_ref, x, b):
    losses = []
    for i in range(b):
        r = np.flatnonzero(x == i)
        if "f" in q:
            order = sorted(r, key=lambda j: (-q["f"][j], j))
            pairs = [(order[k], order[-1 - k]) for k in range(q.get("pairs", 1))]
        else:
            pairs = [([j for j in r if q["verdict"][j] == 1][0], [j for j in r if q["verdict"][j] == -1][0])]
        for w, l in pairs:
            h = (lp[w] - lp_ref[w]) - (lp[l] - lp_ref[l])
            losses.append(jax.nn.softplus(-q["tau"] * h) if q["objective"] == "dpo" else (h - 1 / (2 * q["tau"])) ** 2)
    return sum(losses) / len(losses)


def arrays(policy):
    return None if policy is None else {k: jnp.asarray(v) for k, v in policy.items()}


def answer(q, pi, ref):
    b = len(next(iter(pi.values())))
    y = jnp.asarray(q["y"], float)
    x = np.array(q["x"] if "x" in q else [0] * len(y) if b == 1 else range(b), int)
    weight = np.array(q["weight"]) if "weight" in q else np.ones(len(y))
    ref = arrays(ref)
    betas = [q["beta_mean"], q["beta_std"]] if "beta_mean" in q else [q.get("beta", 0.5)] * 2

    def parts(p):
        lp = log_pi(q, p, ref, y, x)
        numbers = kl_numbers(q, p, ref, y, x, weight, b)
        if q["objective"] == "bc":
            return -(weight @ lp) / weight.sum(), numbers, 0.0
        if q["objective"] in ("dpo", "ipo"):
            return pair_term(q, lp, log_prob(q["policy"], ref, y, x), x, b), numbers, 0.0
        term = pmpo_term if q["objective"] == "pmpo" else boltzmann_term
        weighted = sum(beta * n for beta, n in zip(betas, numbers or [])) if any(betas) else 0.0
        return term(q, lp, x, weight, b), numbers, weighted

    def loss(p):
        term, _, weighted = parts(p)
        return term + weighted

    p = arrays(pi)
    term, numbers, weighted = parts(p)
    grad = {k: np.asarray(v) for k, v in jax.grad(loss)(p).items()}
    if "chol" in grad:
        grad["chol"] = np.tril(grad["chol"])
    out = None if numbers is None else [float(n) for n in numbers]
    return {
        "loss": float(term + weighted),
        "policy_term": float(term),
        "kl": out if out is None or len(out) == 2 else out[0],
        "grad": {k: v.tolist() for k, v in grad.items()},
    }


# ---- questions ----


def draw_policy(kind, b, d, bins, near=None):
    step = 1.0 if near is None else 0.3
    if kind == "categorical":
        base = 0.0 if near is None else near["logits"]
        return {"logits": short(base + step * rng.normal(size=(b, d, bins)))}
    base = 0.0 if near is None else near["mean"]
    mean = short(base + step * rng.normal(size=(b, d)))
    if kind == "diag_gaussian":
        return {"mean": mean, "std": short(np.exp(0.4 * rng.normal(size=(b, d))))}
    chol = np.tril(0.4 * rng.normal(size=(b, d, d)), -1)
    chol[:, range(d), range(d)] = np.exp(0.3 * rng.normal(size=(b, d)))
    return {"mean": mean, "chol": short(chol)}


def draw_y(kind, ref, x, d, bins):
    if kind == "categorical":
        return rng.integers(0, bins, size=(len(x), d))
    spread = ref["std"][x] if "std" in ref else 1.0
    return short(ref["mean"][x] + spread * rng.normal(size=(len(x), d)), 3)


def emit(q, pi, ref, edge=True):
    line = {k: q[k] for k in ("objective", "policy")}
    line["pi"] = {k: listed(v) for k, v in pi.items()}
    if ref is not None:
        line["ref"] = {k: listed(v) for k, v in ref.items()}
    line.update({k: v for k, v in q.items() if k not in line})
    print(json.dumps({"in": line, "out": answer(line, pi, ref), "edge": edge}, separators=(",", ":")))


def question(objective, kind, b, d, bins, per, **more):
    ref = draw_policy(kind, b, d, bins)
    pi = draw_policy(kind, b, d, bins, near=ref)
    x = rng.permutation(np.repeat(np.arange(b), per))
    y = draw_y(kind, ref, x, d, bins)
    q = {"objective": objective, "policy": kind, "x": listed(x), "y": listed(y)}
    if objective in ("pmpo", "bc") or more.pop("by_verdict", False):
        verdict = rng.choice([1, -1, 0], size=len(x), p=[0.4, 0.4, 0.2])
        if objective in ("dpo", "ipo"):
            for i in range(b):
                verdict[x == i] = rng.permutation([1, -1] + [0] * (per - 2))
        q["verdict"] = listed(verdict)
    else:
        q["f"] = listed(short(rng.normal(size=len(x)), 3))
    if more.pop("weighted", False):
        q["weight"] = listed(short(rng.uniform(0, 2, size=len(x)), 2))
    no_ref = more.pop("no_ref", False)
    q.update(more)
    emit(q, pi, None if no_ref else ref, edge=False)


KINDS = ("diag_gaussian", "gaussian", "categorical")


def sizes():
    return dict(b=int(rng.integers(1, 5)), d=int(rng.integers(1, 5)), bins=int(rng.integers(2, 8)))


def draw(digits=3, low=0.0, high=1.0):
    return round(float(rng.uniform(low, high)), digits)


def random_questions():
    for kind in KINDS:
        for averaging in ("sets", "pool"):
            for weighted in (False, True):
                question("pmpo", kind, per=4, weighted=weighted, averaging=averaging, alpha=draw(), beta=draw(high=3), **sizes())
        question("pmpo", kind, per=6, weighted=True, kl_weight="state", alpha=draw(), beta=draw(high=3), **sizes())
        question("pmpo", kind, per=4, weighted=True, kl="bc", alpha=draw(), beta=draw(high=3), no_ref=True, **sizes())
        question("pmpo", kind, per=4, alpha=draw(), beta=0.0, no_ref=True, **sizes())
        question("boltzmann", kind, per=4, alpha=draw(), beta=draw(), eta=draw(low=0.1, high=2), **sizes())
        question("boltzmann", kind, per=3, weighted=True, alpha=draw(), beta=draw(), eta=draw(low=0.1, high=2), **sizes())
        for objective in ("dpo", "ipo"):
            question(objective, kind, per=4, tau=draw(low=0.05, high=3), **sizes())
            question(objective, kind, per=5, tau=draw(low=0.05, high=3), pairs=2, **sizes())
            question(objective, kind, per=3, tau=draw(low=0.05, high=3), by_verdict=True, **sizes())
        question("bc", kind, per=3, **sizes())
        question("bc", kind, per=3, weighted=True, no_ref=True, **sizes())
    for kind in KINDS[:2]:
        betas = dict(beta_mean=draw(), beta_std=draw(high=20))
        question("pmpo", kind, per=4, weighted=True, parts="split", alpha=draw(), **betas, **sizes())
        question("boltzmann", kind, per=4, parts="split", alpha=draw(), eta=0.7, **betas, **sizes())
        question("bc", kind, per=4, parts="split", **sizes())
        question("pmpo", kind, per=4, weighted=True, parts="split", kl="bc", alpha=draw(), **betas, **sizes())
        question("pmpo", kind, per=4, weighted=True, parts="split", kl_weight="state", alpha=draw(), beta=draw(), **sizes())


def edges():
    """Narrow and wide spreads, logits far apart, impossible bins, empty sets, one outcome a row."""
    q = {"objective": "pmpo", "policy": "diag_gaussian", "alpha": 0.3, "beta": 0.5, "x": [0, 0, 1], "verdict": [1, -1, 1]}
    ref = {"mean": np.array([[0.3], [-2.0]]), "std": np.array([[1e-8], [1e3]])}
    pi = {"mean": np.array([[0.3 + 2e-9], [-1.0]]), "std": np.array([[1.5e-8], [2e3]])}
    emit({**q, "y": [[0.3 + 1e-8], [0.3 - 5e-9], [700.0]]}, pi, ref)
    ref = {"mean": np.array([[0.3, 1.0], [0.0, 0.0]]), "chol": np.array([[[1e-8, 0], [3e-8, 1e-8]], [[1.0, 0], [50.0, 0.1]]])}
    pi = {"mean": np.array([[0.3, 1.0], [0.1, 0.0]]), "chol": np.array([[[2e-8, 0], [1e-8, 3e-8]], [[2.0, 0], [90.0, 0.2]]])}
    y = [[0.3 + 1e-8, 1.0], [0.3, 1.0 - 3e-8], [1.0, 50.1]]
    emit({**q, "policy": "gaussian", "y": y}, pi, ref)
    q["policy"] = "categorical"
    ref = {"logits": np.array([[[1e4, -1e4, 9999.0]], [[0.0, -np.inf, 1.0]]])}
    pi = {"logits": np.array([[[-1e4, 1e4, 9998.5]], [[2.0, -3.0, 0.5]]])}
    emit({**q, "y": [[1], [2], [1]]}, pi, ref)
    emit({**q, "y": [[0], [2], [0]], "beta": 0.0}, pi, ref)
    never = {"logits": np.array([[[1.0, 2.0, 0.5]], [[2.0, -np.inf, 0.5]]])}
    emit({**q, "y": [[1], [2], [0]]}, never, {"logits": np.array([[[0.0, 1.0, 0.0]], [[0.0, -np.inf, 1.0]]])})
    for verdict in ([1, 1, 0], [-1, 0, -1], [0, 0, 0]):
        emit({**q, "y": [[1], [2], [0]], "verdict": verdict}, never, never)
        emit({**q, "y": [[1], [2], [0]], "verdict": verdict, "averaging": "pool"} if any(verdict) else {**q, "y": [[1], [2], [2]]}, never, never)
    for objective, tau in (("dpo", 50.0), ("ipo", 1e-3), ("dpo", 1e-3)):
        emit({"objective": objective, "policy": "categorical", "tau": tau, "x": [1, 0, 0, 1], "y": [[0], [1], [2], [2]], "f": [1.0, -1e30, 3.0, 0.0]},
             pi, {"logits": np.array([[[0.0, 1e3, 3.0]], [[0.0, 1.0, 1.0]]])})
    one = {"mean": np.array([[0.0], [1.0], [2.0]]), "std": np.array([[1.0], [2.0], [0.5]])}
    emit({"objective": "pmpo", "policy": "diag_gaussian", "alpha": 1.0, "beta": 2.0, "y": [[1.0], [1.0], [1.0]], "verdict": [1, 1, 1]}, one, one)
    many = {"logits": short(3 * rng.normal(size=(1, 2, 300)), 2)}
    emit({"objective": "pmpo", "policy": "categorical", "alpha": 0.5, "beta": 0.5, "y": [[299, 0], [17, 130]], "verdict": [1, -1]}, many,
         {"logits": short(3 * rng.normal(size=(1, 2, 300)), 2)})


random_questions()
edges()
