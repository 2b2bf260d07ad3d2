"""Golden numbers for every objective at thousands of random batches, in float64.

Independent of pmpod's code: losses are written down as their definitions say and differentiated by JAX; the
temperature of MPO that is solved exactly comes from SciPy. Inputs are not stored: both sides draw them from Philox
(checked against published vectors in tests/base/), one stream a case, in the order of draw(). Gradients are stored as
products with a random vector.

    python3 -m venv VENV && VENV/bin/pip install jax==0.10.2 scipy==1.17.1 && VENV/bin/python make_objective.py > objective.json
"""

import json
import math
import sys

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special

CASES = 2400
SEED = 20240902
NAMES = ["pmpo", "boltzmann", "mpo", "dpo", "ipo", "bc"]
FLOOR = -18.0


class Rng:
    """base/rng.h: Philox4x32-10."""

    def __init__(self, seed, stream):
        self.key, self.counter, self.stream, self.words = [seed & 0xFFFFFFFF, seed >> 32], 0, stream, []

    def u32(self):
        if not self.words:
            c = [self.counter & 0xFFFFFFFF, self.counter >> 32, self.stream & 0xFFFFFFFF, self.stream >> 32]
            k0, k1 = self.key
            for _ in range(10):
                p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [(p1 >> 32) ^ c[1] ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k1, p0 & 0xFFFFFFFF]
                k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
            self.words, self.counter = c, self.counter + 1
        return self.words.pop(0)

    def u64(self):
        low = self.u32()
        return self.u32() << 32 | low

    def double(self):
        return (self.u64() >> 11) * 2.0**-53

    def below(self, n):
        product = self.u64() * n
        while product & (2**64 - 1) < n and product & (2**64 - 1) < (2**64 - n) % n:
            product = self.u64() * n
        return product >> 64

    def pick(self, *values):
        return values[self.below(len(values))]


def draw(i):
    """One batch; test_objective_parity.c draws the same."""
    r, name = Rng(SEED, i), NAMES[i % len(NAMES)]
    t = {"name": name, "parts": 1, "kl_parts": 1}
    if name not in ("dpo", "ipo") and r.below(2) == 1:
        t["parts"], t["kl_parts"] = 2, 2 * (1 + r.below(3))
    t["b"], ragged, per = 1 + r.below(5), r.below(2) == 1, 1 + r.below(6)
    counts = [r.below(8) if ragged else per for _ in range(t["b"])]
    t["x"] = [x for x, count in enumerate(counts) for _ in range(count)]
    t["n"] = n = len(t["x"])
    weighted, verdicts, grades = r.below(2) == 1, r.below(4), r.below(5)
    scale_f, scale_lp, scale_kl = r.pick(0.01, 1.0, 100.0), r.pick(1.0, 10.0, 1000.0), r.pick(0.01, 1.0, 100.0)
    t["weight"], t["verdict"], t["f"], t["cost"] = [], [], [], []
    for _ in range(n):
        w, v, f, g, cost = r.double(), r.below(3), r.double(), r.below(4), r.double()
        t["weight"].append((0.0 if w < 0.1 else 2 * w) if weighted else 1.0)
        t["verdict"].append(max(v - 1, 0) if verdicts == 0 else min(v - 1, 0) if verdicts == 1 else v - 1)
        # Numbers, few distinct ones, some or all of them not known, all equal.
        f = [(f - 0.5) * scale_f, g * scale_f, math.nan if g == 0 else f, 0.25, math.nan][grades]
        t["f"].append(f)
        t["cost"].append(max(cost - 0.5, 0.0) * scale_f)
    t["with_f"] = name in ("boltzmann", "mpo") or r.below(2) == 1
    t["lp"] = [-scale_lp * r.double() for _ in range(n * t["parts"])]
    t["lp_ref"] = [-scale_lp * r.double() for _ in range(n * t["parts"])]
    t["kl"] = [scale_kl * r.double() for _ in range(t["b"] * t["kl_parts"])]
    t["alpha"] = r.pick(0.0, 0.25, 0.5, r.double(), 1.0)
    t["beta"] = [r.pick(0.0, 0.3, 0.5, 2.0, 100.0) for _ in range(2)]
    t["averaging"], t["kl_kind"] = r.pick("sets", "pool"), r.pick("exact", "exact", "bc")
    t["by_state"] = r.below(2) == 1 and t["averaging"] == "sets" and t["kl_kind"] == "exact"
    t["eta"], t["tau"], t["pairs"] = r.pick(0.01, 0.5, 10.0), r.pick(0.01, 0.1, 1.0, 5.0), 1 + r.below(3)
    t["eps"], t["eps_mean"], t["eps_std"] = r.pick(0.001, 0.1, 0.5), r.pick(0.0025, 0.1), r.pick(1e-6, 0.01)
    t["eps_penalty"], t["exact"] = r.pick(0.0, 0.001, 0.1), r.below(3) == 0
    t["dual"] = [24.0 * r.double() - 20.0 for _ in range(2 + t["kl_parts"])]
    t["along_c"] = [2 * r.double() - 1 for _ in range(n * t["parts"])]
    t["along_w"] = [2 * r.double() - 1 for _ in range(t["b"] * t["kl_parts"])]
    t["along_d"] = [2 * r.double() - 1 for _ in range(2 + t["kl_parts"])]
    return t


# Arrays over outcomes are padded to N_MAX and over conditions to B_MAX, so that JAX compiles few shapes.
N_MAX, B_MAX = 40, 5


def groups(t):
    return [[j for j in range(t["n"]) if t["x"][j] == x] for x in range(t["b"])]


def known(t, group):
    return [j for j in group if not math.isnan(t["f"][j]) and t["weight"][j] > 0]


def judged_groups(t):
    return [g for g in (known(t, group) for group in groups(t)) if g]


def weights_of(t, rows):
    """Weights of some outcomes, 0 elsewhere."""
    w = np.zeros(N_MAX)
    w[rows] = [t["weight"][j] for j in rows]
    return w


def mean_over(t, logp, rows):
    w = weights_of(t, rows)
    return (w * logp).sum() / w.sum() if w.sum() > 0 else 0.0


def of_verdict(t, verdict, rows):
    return [j for j in rows if t["verdict"][j] == verdict]


def kl_term(t, lp, kl, share=None):
    """beta . mean KL; share (B_MAX): each condition's part, 1/B by default."""
    if t["kl_kind"] == "bc":
        return sum(-beta * mean_over(t, lp[:, p], list(range(t["n"]))) for p, beta in zip(range(t["parts"]), t["beta"]))
    if share is None:
        share = np.where(np.arange(B_MAX) < t["b"], 1 / t["b"], 0.0)
    halves = [half.sum(axis=1) for half in jnp.split(kl, t["parts"], axis=1)]
    return sum(beta * (share * half).sum() for beta, half in zip(t["beta"], halves))


def pmpo(t, lp, kl):
    """Accepted, rejected, KL, and the conditions' relative KL weights."""
    logp, rows = lp.sum(axis=1), list(range(t["n"]))
    if t["by_state"]:
        z, accepted, rejected = [], 0.0, 0.0
        for group in groups(t):
            na, nr = (sum(t["weight"][j] for j in of_verdict(t, v, group)) for v in (1, -1))
            z.append((na + 0.5) / (na + nr + 1))
            accepted -= t["alpha"] * mean_over(t, logp, of_verdict(t, 1, group)) / t["b"]
            rejected += (1 - t["alpha"]) * mean_over(t, logp, of_verdict(t, -1, group)) / t["b"]
        k = 1 / (1 - np.asarray(z))
        share = np.pad(k / k.mean() / t["b"], (0, B_MAX - t["b"]))
        return accepted, rejected, kl_term(t, lp, kl, share), k / k.mean()
    accepted = -t["alpha"] * mean_over(t, logp, of_verdict(t, 1, rows))
    rejected = (1 - t["alpha"]) * mean_over(t, logp, of_verdict(t, -1, rows))
    if t["averaging"] == "pool":
        wa, wr = (weights_of(t, of_verdict(t, v, rows)).sum() for v in (1, -1))
        accepted, rejected = (s * w / (wa + wr) if wa + wr > 0 else 0.0 for s, w in ((accepted, wa), (rejected, wr)))
    return accepted, rejected, kl_term(t, lp, kl), np.ones(t["b"])


def softmax_weights(t, group, values, eta):
    q = np.zeros(N_MAX)
    logits = np.asarray([values[j] for j in group]) / eta
    # Large logits are brought near 0 before small numbers are added to them.
    q[group] = scipy.special.softmax(logits - logits.max() + np.log([t["weight"][j] for j in group]))
    return q


def boltzmann(t, lp, kl):
    logp, accepted, rejected = lp.sum(axis=1), 0.0, 0.0
    judged = judged_groups(t)
    for g in judged:
        accepted -= t["alpha"] * (softmax_weights(t, g, t["f"], t["eta"]) * logp).sum() / len(judged)
        rejected += (1 - t["alpha"]) * (softmax_weights(t, g, t["f"], -t["eta"]) * logp).sum() / len(judged)
    return accepted, rejected, kl_term(t, lp, kl)


@jax.jit
def temperature_dual(values, w, eps, eta):
    """g(eta) = eta eps + eta mean_x log mean_j exp(values / eta); values, w (B_MAX, N_MAX), w of empty rows 0."""
    total = w.sum(axis=1, keepdims=True)
    share = jnp.where(total > 0, w / jnp.where(total > 0, total, 1.0), 1 / N_MAX)
    best = values.max(axis=1, keepdims=True)
    each = best[:, 0] + eta * jax.nn.logsumexp((values - best) / eta, axis=1, b=share)
    return eta * eps + each.sum() / (total > 0).sum()


temperature_slope = jax.jit(jax.grad(temperature_dual, argnums=3))


def solve_temperature(values, w, eps):
    """The minimiser: a bounded search, and the root of the derivative, which must agree."""
    low, high = math.log(math.log1p(math.exp(FLOOR))), math.log(100 * (np.ptp(values) / math.sqrt(eps) + 1))
    g = lambda u: float(temperature_dual(values, w, eps, math.exp(u)))
    slope = lambda u: float(temperature_slope(values, w, eps, math.exp(u)))
    if slope(low) >= 0:
        return math.exp(low)
    rough = scipy.optimize.minimize_scalar(g, bounds=(low, high), method="bounded", options={"xatol": 1e-8}).x
    root = scipy.optimize.brentq(slope, low, high, xtol=1e-14, rtol=1e-14)
    assert g(root) <= g(rough) + 1e-12 * max(1, abs(g(rough)))
    return math.exp(root)


def softplus_floored(d):
    """The value of a dual variable, and what it costs below the floor."""
    return jax.nn.softplus(jnp.maximum(d, FLOOR)), jnp.maximum(FLOOR - d, 0.0)


def mpo_aims(t):
    """Of each temperature: its groups' values and weights as tables, the values themselves, its bound."""
    aims = [(t["f"], t["eps"])] + ([([-c for c in t["cost"]], t["eps_penalty"])] if t["eps_penalty"] > 0 else [])
    for values, eps in aims:
        table, w = np.zeros((B_MAX, N_MAX)), np.zeros((B_MAX, N_MAX))
        for x, g in enumerate(judged_groups(t)):
            # What is not of the group repeats one of its values, with weight 0.
            table[x] = values[g[0]]
            table[x, g], w[x] = [values[j] for j in g], weights_of(t, g)
        yield table, w, values, eps


def mpo_policy(t, lp, kl):
    judged, loss, held, first = judged_groups(t), 0.0, 0.0, 0
    for first, (table, w, values, eps) in enumerate(mpo_aims(t), 1):
        if judged:
            eta = solve_temperature(table, w, eps) if t["exact"] else float(softplus_floored(t["dual"][first - 1])[0])
            q = sum(softmax_weights(t, g, values, eta) for g in judged) / len(judged)
            loss -= (q * lp.sum(axis=1)).sum()
    for k in range(t["kl_parts"]):
        held += softplus_floored(t["dual"][first + k])[0] * kl[: t["b"], k].mean()
    return loss, 0.0, held


def mpo_dual(t, kl, dual):
    judged, loss, first = judged_groups(t), 0.0, 0
    for first, (table, w, _, eps) in enumerate(mpo_aims(t), 1):
        if judged:
            eta, below = (solve_temperature(table, w, eps), 0.0) if t["exact"] else softplus_floored(dual[first - 1])
            loss += temperature_dual(table, w, eps, eta) + below
    for k in range(t["kl_parts"]):
        a, below = softplus_floored(dual[first + k])
        eps = t["eps_mean"] if t["parts"] == 1 or k < t["kl_parts"] // 2 else t["eps_std"]
        loss += a * (eps - float(kl[: t["b"], k].mean())) + below
    return loss


def pairs_of(t):
    out = []
    for group in groups(t):
        if t["with_f"] and known(t, group):
            order = sorted(known(t, group), key=lambda j: (-t["f"][j], j))
            out += [(order[i], order[-1 - i]) for i in range(min(t["pairs"], len(order) // 2))]
        else:
            rows = [j for j in group if t["weight"][j] > 0]
            out += list(zip(of_verdict(t, 1, rows), of_verdict(t, -1, rows)))[: t["pairs"]]
    return out


def of_pairs(t, lp, loss):
    ref, top, below = t["lp_ref"], 0.0, 0.0
    for i, j in pairs_of(t):
        w = math.sqrt(t["weight"][i] * t["weight"][j])
        top += w * loss((lp[i, 0] - ref[i]) - (lp[j, 0] - ref[j]))
        below += w
    return top / below if below > 0 else 0.0


def terms(t, lp, kl):
    if t["name"] == "pmpo":
        return pmpo(t, lp, kl)[:3]
    if t["name"] == "boltzmann":
        return boltzmann(t, lp, kl)
    if t["name"] == "mpo":
        return mpo_policy(t, lp, kl)
    if t["name"] == "dpo":
        return of_pairs(t, lp, lambda h: jax.nn.softplus(-t["tau"] * h)), 0.0, 0.0
    if t["name"] == "ipo":
        return of_pairs(t, lp, lambda h: (h - 1 / (2 * t["tau"])) ** 2), 0.0, 0.0
    return -sum(mean_over(t, lp[:, p], list(range(t["n"]))) for p in range(t["parts"])), 0.0, 0.0


def margin(t, lp, kl):
    """kl_margin: each condition's KL weight less B times the sum of its coefficients."""
    if t["name"] != "pmpo":
        return 0.0
    beta = min(t["beta"][: t["parts"]])
    if t["n"] == 0:
        return beta
    own = np.asarray(jax.grad(lambda l: sum(pmpo(t, l, kl)[:2]) + 0.0 * l.sum())(lp))[:, 0]
    weights, seen = beta * pmpo(t, lp, kl)[3], []
    for x, group in enumerate(groups(t)):
        b = weights[x]
        if t["kl_kind"] == "bc":
            whole = sum(t["weight"])
            b = beta * t["b"] * sum(t["weight"][j] for j in group) / whole if whole > 0 else 0.0
        if group or t["kl_kind"] == "exact":
            seen.append(b - t["b"] * sum(own[j] for j in group))
    return float(min(seen))


def case(i):
    t = draw(i)
    n, b, parts, kl_parts = t["n"], t["b"], t["parts"], t["kl_parts"]
    lp, kl, dual = np.zeros((N_MAX, parts)), np.zeros((B_MAX, kl_parts)), jnp.asarray(t["dual"])
    lp[:n], kl[:b] = np.reshape(t["lp"], (n, parts)), np.reshape(t["kl"], (b, kl_parts))
    lp, kl = jnp.asarray(lp), jnp.asarray(kl)
    values = [float(v) for v in terms(t, lp, kl)]
    dlp, dkl = jax.grad(lambda l, k: sum(terms(t, l, k)) + 0.0 * (l.sum() + k.sum()), argnums=(0, 1))(lp, kl)
    ddual = np.zeros(len(t["dual"]))
    if t["name"] == "mpo":
        learned, ddual = jax.value_and_grad(lambda d: mpo_dual(t, kl, d) + 0.0 * d.sum())(dual)
    dot = lambda g, along: float((np.asarray(g).ravel() * np.asarray(along)).sum())
    products = [dot(dlp[:n], t["along_c"]), dot(dkl[:b], t["along_w"]), dot(ddual, t["along_d"])]
    values += [float(learned) if t["name"] == "mpo" else 0.0, margin(t, lp, kl), *products]
    return [0 if v == 0 else float(f"{v:.12g}") for v in values]


rows = []
for i in range(CASES):
    rows.append(case(i))
    if i % 100 == 0:
        print(i, file=sys.stderr)
# One row a case: accepted, rejected, kl, dual, margin, c . along_c, w . along_w, ddual . along_d.
json.dump({"seed": SEED, "objective": rows}, sys.stdout, separators=(",", ":"))
sys.stdout.write("\n")
