"""The bandit's step in JAX (a scan of 1000 steps) and PyTorch: ns a step, the best of several rounds.

Four outcomes of the reference, the sphere's values, best two accepted and worst two rejected, PMPO's loss with alpha and beta of
one half, its gradient, Adam; the reference follows every 100 steps. 10 dimensions, diagonal Gaussian, float32.
"""
import sys
import time

DIM, SAMPLES, LR, ALPHA, BETA = 10, 4, 0.01, 0.5, 0.5


def best(run, steps, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1e9 / steps


def with_jax(quick):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")

    def moments(head):
        return head[:DIM], jax.nn.softplus(head[DIM:]) + 1e-8

    def loss(head, ref, y, sign):
        mean, std = moments(head)
        ref_mean, ref_std = moments(ref)
        lp = jnp.sum(-0.5 * ((y - mean) / std) ** 2 - jnp.log(std), axis=1)
        kl = jnp.sum(jnp.log(std / ref_std) + (ref_std**2 + (ref_mean - mean) ** 2) / (2 * std**2) - 0.5)
        accepted = jnp.sum(jnp.where(sign > 0, lp, 0)) / 2
        rejected = jnp.sum(jnp.where(sign < 0, lp, 0)) / 2
        return -ALPHA * accepted + (1 - ALPHA) * rejected + BETA * kl

    def step(state, _):
        head, ref, m, v, t, key = state
        key, use = jax.random.split(key)
        mean, std = moments(ref)
        y = mean + std * jax.random.normal(use, (SAMPLES, DIM))
        f = jnp.sum(y * y, axis=1)
        rank = jnp.sum(f[:, None] > f[None, :], axis=1)
        sign = jnp.where(rank < SAMPLES // 2, 1, -1)
        g = jax.grad(loss)(head, ref, y, sign)
        t = t + 1
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        head = head - LR * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
        ref = jnp.where(t % 100 == 0, head, ref)
        return (head, ref, m, v, t, key), None

    steps = 1000
    scan = jax.jit(lambda state: jax.lax.scan(step, state, None, length=steps)[0])
    head = jnp.concatenate([jnp.ones(DIM), jnp.full(DIM, 0.5413)])
    zero = jnp.zeros(2 * DIM)
    state = (head, head, zero, zero, jnp.float32(0), jax.random.PRNGKey(1))
    jax.block_until_ready(scan(state))
    return best(lambda: jax.block_until_ready(scan(state)), steps, 20 if quick else 200)


def with_torch(quick):
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    head = torch.cat([torch.ones(DIM), torch.full((DIM,), 0.5413)]).requires_grad_()
    ref = head.detach().clone()
    adam = torch.optim.Adam([head], lr=LR)
    steps = 100

    def moments(h):
        return h[:DIM], torch.nn.functional.softplus(h[DIM:]) + 1e-8

    def run():
        ref.copy_(head.detach())
        for _ in range(steps):
            ref_mean, ref_std = moments(ref)
            y = ref_mean + ref_std * torch.randn(SAMPLES, DIM)
            order = torch.argsort((y * y).sum(1))
            mean, std = moments(head)
            lp = (-0.5 * ((y - mean) / std) ** 2 - torch.log(std)).sum(1)
            kl = (torch.log(std / ref_std) + (ref_std**2 + (ref_mean - mean) ** 2) / (2 * std**2) - 0.5).sum()
            loss = -ALPHA * lp[order[:2]].mean() + (1 - ALPHA) * lp[order[2:]].mean() + BETA * kl
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()

    run()
    return best(run, steps, 5 if quick else 50)


def main():
    quick = "--quick" in sys.argv[1:]
    for name, measure in (("jax", with_jax), ("torch", with_torch)):
        try:
            print(name, f"{measure(quick):.1f}", flush=True)
        except Exception as e:
            print(name, "-", f"{type(e).__name__}: {e}".replace("\n", " ")[:150], flush=True)


if __name__ == "__main__":
    main()
