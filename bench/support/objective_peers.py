"""PMPO's loss and gradient in JAX (jit) and PyTorch on the inputs of bench/objective_*.c: `objective_peers.py categorical|gaussian`.

Each peer on 1 and on 2 cores, in a process of its own, in two ways: automatic differentiation of the loss, and the gradient
written out by hand; the faster counts. Lines: `jax LOSS`, `jax_norm NORM`, `jax_1 SECONDS`, `jax_2 SECONDS`, torch likewise.
"""
import os
import subprocess
import sys
import time

THREADS = (1, 2)
ALPHA = BETA = 0.5
BINS, DIM, PER = 32000, 21, 4
STD_SCALE, STD_MIN = 0.75, 0.0078125


def uniform(np, k, stream):
    """In [0, 1) with 24 bits: the hash of objective_run.h."""
    with np.errstate(over="ignore"):
        h = k * np.uint32(2654435769) + np.uint32(stream * 374761393 % 2**32)
        h ^= h >> np.uint32(15)
        h *= np.uint32(2246822519)
        h ^= h >> np.uint32(13)
    h >>= np.uint32(8)
    return h.astype(np.float32) * np.float32(2.0**-24)


def heads(np, rows, width, scale, apart):
    pi, ref = np.empty((rows, width), np.float32), np.empty((rows, width), np.float32)
    step = max(1, (1 << 22) // width)
    for first in range(0, rows, step):
        last = min(rows, first + step)
        k = np.arange(first * width, last * width, dtype=np.uint32).reshape(last - first, width)
        pi[first:last] = 2 * scale * uniform(np, k, 1) - scale
        ref[first:last] = pi[first:last] + (2 * apart * uniform(np, k, 2) - apart)
    return pi, ref


def coefficients(np, accepted):
    return np.where(accepted, -ALPHA / accepted.sum(), (1 - ALPHA) / (~accepted).sum()).astype(np.float32)


def inputs(np, what, rows):
    if what == "categorical":
        pi, ref = heads(np, rows, BINS, np.float32(4), np.float32(1))
        y = np.floor(uniform(np, np.arange(rows, dtype=np.uint32), 3) * np.float32(BINS)).astype(np.int32)
        return pi, ref, y, coefficients(np, np.arange(rows) % 2 == 0)
    pi, ref = heads(np, rows, 2 * DIM, np.float32(1), np.float32(0.5))
    y = 2 * uniform(np, np.arange(rows * PER * DIM, dtype=np.uint32), 3) - 1
    return pi, ref, y.reshape(rows, PER, DIM), coefficients(np, np.arange(rows * PER) % PER < 2).reshape(rows, PER)


def best(run, sync, quick):
    """Seconds, after a round that compiles and warms up."""
    result = run()
    sync(result)
    times = []
    for _ in range(3 if quick else 5):
        result = None
        start = time.perf_counter()
        result = run()
        sync(result)
        times.append(time.perf_counter() - start)
    return min(times), result


# ---------------------------------------------------------------- JAX


def jax_ways(what, arrays):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    pi, ref, y, c = (jnp.asarray(a) for a in arrays)
    rows = pi.shape[0]

    def categorical(pi, ref, y, c):
        lp, lr = jax.nn.log_softmax(pi), jax.nn.log_softmax(ref)
        policy = (c * jnp.take_along_axis(lp, y[:, None], 1)[:, 0]).sum()
        return policy + BETA * (jnp.exp(lr) * (lr - lp)).sum(-1).mean()

    def categorical_by_hand(pi, ref, y, c):
        lp, lr = jax.nn.log_softmax(pi), jax.nn.log_softmax(ref)
        q = jnp.exp(lr)
        loss = (c * jnp.take_along_axis(lp, y[:, None], 1)[:, 0]).sum() + BETA * (q * (lr - lp)).sum(-1).mean()
        g = (BETA / rows - c[:, None]) * jnp.exp(lp) - BETA / rows * q
        return loss, g.at[jnp.arange(rows), y].add(c)

    def moments(h):
        return jnp.tanh(h[:, :DIM]), jax.nn.softplus(h[:, DIM:]) * STD_SCALE + STD_MIN

    def gaussian(pi, ref, y, c):
        (m, s), (mr, sr) = moments(pi), moments(ref)
        z = (y - m[:, None]) / s[:, None]
        lp = (-0.5 * z * z).sum(-1) - (jnp.log(s).sum(-1) + 0.5 * DIM * jnp.log(2 * jnp.pi))[:, None]
        kl = jnp.log(s / sr) + (sr**2 + (mr - m) ** 2) / (2 * s**2) - 0.5
        return (c * lp).sum() + BETA * kl.sum(-1).mean()

    def gaussian_by_hand(pi, ref, y, c):
        (m, s), (mr, sr) = moments(pi), moments(ref)
        z = (y - m[:, None]) / s[:, None]
        lp = (-0.5 * z * z).sum(-1) - (jnp.log(s).sum(-1) + 0.5 * DIM * jnp.log(2 * jnp.pi))[:, None]
        v, r = (mr - m) / s, sr / s
        kl = 0.5 * (r * r + v * v - 1) - jnp.log(r)
        dm = ((c[..., None] * z).sum(1) - BETA / rows * v) / s
        ds = ((c[..., None] * (z * z - 1)).sum(1) - BETA / rows * (r * r + v * v - 1)) / s
        g = jnp.concatenate([dm * (1 - m * m), ds * jax.nn.sigmoid(pi[:, DIM:]) * STD_SCALE], axis=1)
        return (c * lp).sum() + BETA * kl.sum(-1).mean(), g

    loss, by_hand = (categorical, categorical_by_hand) if what == "categorical" else (gaussian, gaussian_by_hand)
    ways = [jax.jit(jax.value_and_grad(loss)), jax.jit(by_hand)]
    return [lambda f=f: f(pi, ref, y, c) for f in ways], jax.block_until_ready


# ---------------------------------------------------------------- PyTorch


def torch_ways(what, arrays, threads):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    pi, ref, y, c = (torch.from_numpy(a) for a in arrays)
    rows = pi.shape[0]
    pi.requires_grad_()

    def categorical(h):
        lp, lr = F.log_softmax(h, -1), F.log_softmax(ref, -1)
        policy = (c * lp.gather(1, y.long()[:, None])[:, 0]).sum()
        return policy + BETA * F.kl_div(lp, lr, reduction="sum", log_target=True) / rows

    def moments(h):
        return torch.tanh(h[:, :DIM]), F.softplus(h[:, DIM:]) * STD_SCALE + STD_MIN

    def gaussian(h):
        (m, s), (mr, sr) = moments(h), moments(ref)
        lp = torch.distributions.Normal(m[:, None], s[:, None], validate_args=False).log_prob(y).sum(-1)
        kl = torch.log(s / sr) + (sr**2 + (mr - m) ** 2) / (2 * s**2) - 0.5
        return (c * lp).sum() + BETA * kl.sum(-1).mean()

    def automatic():
        pi.grad = None
        loss = (categorical if what == "categorical" else gaussian)(pi)
        loss.backward()
        return loss.detach(), pi.grad

    def categorical_by_hand():
        h, at = pi.detach(), y.long()[:, None]
        lp, lr = F.log_softmax(h, -1), F.log_softmax(ref, -1)
        policy = (c * lp.gather(1, at)[:, 0]).sum()
        q = lr.exp()
        kl = torch.dot((lr.sub_(lp)).view(-1), q.view(-1)) / rows
        g = lp.exp_().mul_((BETA / rows - c)[:, None]).sub_(q, alpha=BETA / rows)
        g.scatter_add_(1, at, c[:, None])
        return policy + BETA * kl, g

    def gaussian_by_hand():
        h = pi.detach()
        (m, s), (mr, sr) = moments(h), moments(ref)
        z = (y - m[:, None]).div_(s[:, None])
        lp = (z * z).sum(-1).mul_(-0.5).sub_((s.log().sum(-1) + 0.5 * DIM * 1.8378770664093453)[:, None])
        v, r = (mr - m).div_(s), sr / s
        spread = (r * r).add_(v * v).sub_(1)
        kl = (0.5 * spread - r.log()).sum(-1).mean()
        dm = torch.einsum("bj,bjd->bd", c, z).sub_(v, alpha=BETA / rows).div_(s)
        ds = torch.einsum("bj,bjd->bd", c, (z * z).sub_(1)).sub_(spread, alpha=BETA / rows).div_(s)
        g = torch.cat([dm * (1 - m * m), ds * torch.sigmoid(h[:, DIM:]) * STD_SCALE], 1)
        return (c * lp).sum() + BETA * kl, g

    by_hand = torch.no_grad()(categorical_by_hand if what == "categorical" else gaussian_by_hand)
    return [automatic, by_hand], lambda result: None


# ---------------------------------------------------------------- one peer, one number of threads


def measure(what, peer, threads, quick):
    cores = sorted(os.sched_getaffinity(0))[:threads]
    if len(cores) < threads:
        raise RuntimeError(f"this machine has {len(cores)} cores")
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import numpy as np

    rows = {"categorical": (4096, 512), "gaussian": (1000000, 100000)}[what][quick]
    arrays = inputs(np, what, rows)
    ways, sync = jax_ways(what, arrays) if peer == "jax" else torch_ways(what, arrays, threads)
    seconds = []
    for way in ways:
        took, (loss, g) = best(way, sync, quick)
        seconds.append(took)
        if threads == 1 and len(seconds) == 1:
            print(peer, f"{float(loss):.9g}")
            print(f"{peer}_norm", f"{float(np.linalg.norm(np.asarray(g).ravel().astype(np.float64))):.9g}")
        del loss, g
    print(f"{peer}_{threads}", f"{min(seconds):.6g}")
    print(f"{peer} on {threads}:", *(f"{s:.4g} s" for s in seconds), "(automatic, by hand)", file=sys.stderr)


def main():
    quick = "--quick" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    if len(arguments) > 1:
        measure(arguments[0], arguments[1], int(arguments[2]), quick)
        return
    for peer in ("jax", "torch"):
        for threads in THREADS:
            command = [sys.executable, __file__, arguments[0], peer, str(threads)] + ["--quick"] * quick
            done = subprocess.run(command, capture_output=True, text=True)
            sys.stderr.write(done.stderr)
            print(done.stdout, end="")
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1][:140]
                for name in [peer] * (threads == 1) + [f"{peer}_{threads}"]:
                    print(name, "-", reason)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
