"""The learner step of bench/learner_step.c in JAX (jit) and PyTorch (eager): `learner_peers.py FOLDER jax|torch THREADS`.

FOLDER holds what learner_case.h wrote: initial parameters, batches with the noise of the actions, and what pmpod made of the
first of them. First the same steps are made here and compared: the line `NAME DEVIATION`, the largest relative deviation of a
loss, a norm of a gradient or updated parameters, and on stderr which. Then, for every number N read, N steps are made and the
line is their seconds, by the clock and of processor time. Ends with its input.
"""
import json
import os
import sys
import time

# Names of the numbers that are compared, in the order of learner_case.h. The relative ones are over their own size, the terms
# of the policy's loss over the size of the largest: what they add up to may be near zero.
NAMES = ("critic_loss", "q_mean", "critic_norm", "loss", "accepted", "rejected", "kl_mean", "kl_std", "policy_norm")
TERMS = ("loss", "accepted", "rejected")
ROWS = ("obs", "boot_obs", "act", "ret", "disc", "boot_noise", "label_noise")


class Case:
    """What the folder says, as numpy arrays."""

    def __init__(self, np, folder):
        with open(os.path.join(folder, "case.json"), encoding="utf-8") as file:
            self.__dict__.update(json.load(file))
        flat = np.fromfile(os.path.join(folder, "case.f32"), np.float32)
        b, o, a = self.batch, self.obs, self.act
        shapes = ((b, o), (b, o), (b, a), (b,), (b,), (b, self.value_samples, a), (b, self.label_samples, a))
        sizes = [int(np.prod(shape)) for shape in shapes]
        self.floats = [sum(int(np.prod(shape)) for _, shape in net) for net in (self.policy, self.critic)]
        self.start, rest = np.split(flat, [sum(self.floats)])
        self.batches = []
        for rows in rest.reshape(self.batch_count, sum(sizes)):
            parts = np.split(rows, np.cumsum(sizes)[:-1])
            self.batches.append([part.reshape(shape) for part, shape in zip(parts, shapes)])
        self.ours = np.fromfile(os.path.join(folder, "ours.f64"), np.float64).reshape(self.checks, len(NAMES))
        self.after = np.fromfile(os.path.join(folder, "after.f32"), np.float32).reshape(self.checks, sum(self.floats))

    def nets(self, flat):
        """Two dictionaries of arrays, of the policy and the critic, by the parts' names."""
        out, at = [], 0
        for net in (self.policy, self.critic):
            out.append({})
            for name, shape in net:
                size = 1
                for n in shape:
                    size *= n
                out[-1][name.split("/", 1)[1]] = flat[at : at + size].reshape(shape)
                at += size
        return out


def deviation(np, case, run):
    """The largest relative deviation over the steps that pmpod made first; `run(i)` gives numbers and flat parameters."""
    worst = (0.0, "nothing")
    start = case.start.astype(np.float64)
    for i in range(case.checks):
        numbers, flat = run(i)
        ours = dict(zip(NAMES, case.ours[i]))
        terms = max(abs(ours[name]) for name in TERMS)
        found = []
        for name, theirs in zip(NAMES, numbers):
            # A distance of nothing, where the policy still is the reference, is compared with what matters beside it.
            size = terms if name in TERMS else max(abs(ours[name]), 1e-4 if name.startswith("kl_") else 0.0)
            found.append((abs(float(theirs) - ours[name]) / size, f"{name} of step {i + 1}: {float(theirs):.9g}, pmpod {ours[name]:.9g}"))
        flat, mine = flat.astype(np.float64), case.after[i].astype(np.float64)
        for part, name in ((slice(0, case.floats[0]), "policy"), (slice(case.floats[0], None), "critic")):
            size = np.linalg.norm(mine[part])
            found.append((np.linalg.norm(flat[part] - mine[part]) / size, f"parameters of the {name} after step {i + 1}"))
            # And over what the steps did to them, with ten times the leave: an entry whose gradient is next to nothing moves by
            # its sign alone.
            moved = np.linalg.norm(mine[part] - start[part])
            found.append((np.linalg.norm(flat[part] - mine[part]) / moved / 10, f"a tenth of the change of the {name} by step {i + 1}"))
        for value, what in found:
            if not value <= worst[0]:
                worst = (value, what)
    return worst


# ---------------------------------------------------------------- JAX


def jax_steps(np, case):
    import jax
    import jax.numpy as jnp
    from jax import lax

    jax.config.update("jax_platforms", "cpu")
    b, per, few, atoms = case.batch, case.value_samples, case.label_samples, case.atoms
    z = jnp.linspace(case.v_min, case.v_max, atoms, dtype=jnp.float32)
    gap = (case.v_max - case.v_min) / (atoms - 1)

    def norm_tanh(p, h):
        mean = h.mean(-1, keepdims=True)
        h = h - mean
        h = h * lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-5)
        return jnp.tanh(h * p["layer_norm/gain"] + p["layer_norm/shift"])

    def layers(p, h, count):
        for i in range(1, count):
            h = jax.nn.elu(h @ p[f"linear_{i}/weight"] + p[f"linear_{i}/bias"])
        return h @ p[f"linear_{count}/weight"] + p[f"linear_{count}/bias"]

    def policy(p, x):
        head = layers(p, norm_tanh(p, x @ p["linear_0/weight"] + p["linear_0/bias"]), case.policy_hidden)
        mean, raw = jnp.split(head, 2, axis=-1)
        return jnp.tanh(mean), jax.nn.softplus(raw) * case.std_scale + case.std_min

    def state_part(p, x):
        return x @ p["linear_0/weight"][: case.obs] + p["linear_0/bias"]

    def critic(p, state, action):
        """Logits (rows, atoms); state: the states' part of the first layer, action (states, per, act)."""
        rows = action.shape[0] * action.shape[1]
        own = action.reshape(rows, case.act) @ p["linear_0/weight"][case.obs :]
        h = (own.reshape(*action.shape[:2], -1) + state[:, None]).reshape(rows, -1)
        return layers(p, norm_tanh(p, h), case.critic_hidden)

    def project(prob, ret, disc):
        place = jnp.clip((ret[:, None] + disc[:, None] * z - case.v_min) / gap, 0, atoms - 1)
        share = jnp.clip(1 - jnp.abs(place[:, :, None] - jnp.arange(atoms, dtype=jnp.float32)), 0, 1)
        return jnp.einsum("bi,bij->bj", prob, share)

    def log_prob(y, mean, std):
        d = (y - mean[:, None]) / std[:, None]
        return (-0.5 * d * d).sum(-1) - (jnp.log(std).sum(-1) + 0.5 * case.act * jnp.log(2 * jnp.pi))[:, None]

    def critic_loss(p, obs, act, target):
        state = state_part(p, obs)
        logits = critic(p, state, act[:, None])
        loss = -(target * jax.nn.log_softmax(logits)).sum(-1).mean()
        return loss, (state, (jax.nn.softmax(logits) @ z).mean())

    def policy_loss(p, obs, y, best, ref):
        (mean, std), (mr, sr) = policy(p, obs), ref
        lp = log_prob(y, mean, sr) + log_prob(y, mr, std)
        accepted = -case.alpha * (best * lp).sum() / best.sum()
        rejected = (1 - case.alpha) * ((1 - best) * lp).sum() / (1 - best).sum()
        kl_mean = (0.5 * ((mr - mean) / sr) ** 2).sum(-1).mean()
        e = (sr - std) / std
        kl_std = (0.5 * e * (e + 2) - jnp.log1p(e)).sum(-1).mean()
        loss = accepted + rejected + case.beta[0] * kl_mean + case.beta[1] * kl_std
        return loss, (accepted, rejected, kl_mean, kl_std)

    def adam(p, g, m, v, t):
        rate = case.lr / (1 - case.beta1**t)
        root = 1 / jnp.sqrt(1 - case.beta2**t)
        m = jax.tree.map(lambda m, g: case.beta1 * m + (1 - case.beta1) * g, m, g)
        v = jax.tree.map(lambda v, g: case.beta2 * v + (1 - case.beta2) * g * g, v, g)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + case.eps), p, m, v)
        return p, m, v

    def norm(tree):
        return jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(tree)))

    def step(learned, slow, rows):
        obs, boot_obs, act, ret, disc, boot_noise, label_noise = rows
        (pi, pi_m, pi_v), (q, q_m, q_v), t = learned
        ref, target_q = slow
        mean, std = policy(ref, jnp.concatenate([obs, boot_obs]))
        boot = jnp.clip(mean[b:, None] + std[b:, None] * boot_noise, -1, 1)
        prob = jax.nn.softmax(critic(target_q, state_part(target_q, boot_obs), boot))
        target = project(prob.reshape(b, per, atoms).mean(1), ret, disc)
        (q_loss, (state, q_mean)), q_g = jax.value_and_grad(critic_loss, has_aux=True)(q, obs, jnp.clip(act, -1, 1), target)
        y = mean[:b, None] + std[:b, None] * label_noise
        value = (jax.nn.softmax(critic(q, state, jnp.clip(y, -1, 1))) @ z).reshape(b, few)
        before = (value[:, None] > value[:, :, None]) | (
            (value[:, None] == value[:, :, None]) & (jnp.arange(few)[None] < jnp.arange(few)[:, None])
        )
        best = (before.sum(-1) < case.label_k).astype(jnp.float32)
        ref_obs = (mean[:b], std[:b])
        (loss, terms), pi_g = jax.value_and_grad(policy_loss, has_aux=True)(pi, obs, y, best, ref_obs)
        t = t + 1
        learned = adam(pi, pi_g, pi_m, pi_v, t), adam(q, q_g, q_m, q_v, t), t
        return learned, jnp.stack([q_loss, q_mean, norm(q_g), loss, *terms, norm(pi_g)])

    pi, q = ({k: jnp.asarray(v) for k, v in net.items()} for net in case.nets(case.start))
    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)
    copy = lambda tree: jax.tree.map(lambda a: jnp.array(a, copy=True), tree)
    slow = (copy(pi), copy(q))
    learned = ((pi, zeros(pi), zeros(pi)), (q, zeros(q), zeros(q)), jnp.float32(0))
    batches = [[jnp.asarray(part) for part in rows] for rows in case.batches]
    compiled = jax.jit(step, donate_argnums=0)
    made = 0

    def advance():
        nonlocal learned, slow, made
        learned, numbers = compiled(learned, slow, batches[made % len(batches)])
        made += 1
        if made % case.period == 0:
            slow = (copy(learned[0][0]), copy(learned[1][0]))
        return numbers

    def check(_):
        numbers = np.asarray(advance())
        nets = zip((case.policy, case.critic), (learned[0][0], learned[1][0]))
        return numbers, np.concatenate([np.asarray(p[name.split("/", 1)[1]]).ravel() for net, p in nets for name, _ in net])

    return advance, check, lambda: jax.block_until_ready(learned)


# ---------------------------------------------------------------- PyTorch


def torch_steps(np, case, threads):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    b, per, few, atoms = case.batch, case.value_samples, case.label_samples, case.atoms
    z = torch.linspace(case.v_min, case.v_max, atoms)
    place_of, gap = torch.arange(atoms, dtype=torch.float32), (case.v_max - case.v_min) / (atoms - 1)
    log_2pi = 1.8378770664093453

    def norm_tanh(p, h):
        return torch.tanh(F.layer_norm(h, h.shape[-1:], p["layer_norm/gain"], p["layer_norm/shift"], 1e-5))

    def layers(p, h, count):
        inplace = not torch.is_grad_enabled()
        for i in range(1, count):
            h = F.elu(torch.addmm(p[f"linear_{i}/bias"], h, p[f"linear_{i}/weight"]), inplace=inplace)
        return torch.addmm(p[f"linear_{count}/bias"], h, p[f"linear_{count}/weight"])

    def policy(p, x):
        h = norm_tanh(p, torch.addmm(p["linear_0/bias"], x, p["linear_0/weight"]))
        mean, raw = layers(p, h, case.policy_hidden).chunk(2, dim=-1)
        return torch.tanh(mean), F.softplus(raw) * case.std_scale + case.std_min

    def state_part(p, x):
        return torch.addmm(p["linear_0/bias"], x, p["linear_0/weight"][: case.obs])

    def critic(p, state, action):
        rows = action.shape[0] * action.shape[1]
        own = action.reshape(rows, case.act) @ p["linear_0/weight"][case.obs :]
        own = own.view(*action.shape[:2], -1)
        h = own.add_(state[:, None]) if not torch.is_grad_enabled() else own + state[:, None]
        return layers(p, norm_tanh(p, h.view(rows, -1)), case.critic_hidden)

    def project(prob, ret, disc):
        place = ((ret[:, None] + disc[:, None] * z - case.v_min) / gap).clamp_(0, atoms - 1)
        share = (place[:, :, None] - place_of).abs_().neg_().add_(1).clamp_(0, 1)
        return torch.bmm(prob[:, None], share)[:, 0]

    def log_prob(y, mean, std):
        d = (y - mean[:, None]) / std[:, None]
        return -0.5 * (d * d).sum(-1) - (std.log().sum(-1) + 0.5 * case.act * log_2pi)[:, None]

    ids = torch.arange(few)
    earlier = ids[None] < ids[:, None]
    pi, q = ({k: torch.from_numpy(v.copy()).requires_grad_() for k, v in net.items()} for net in case.nets(case.start))
    slow = [{k: v.detach().clone() for k, v in p.items()} for p in (pi, q)]
    batches = [[torch.from_numpy(part.copy()) for part in rows] for rows in case.batches]
    settings = {"lr": case.lr, "betas": (case.beta1, case.beta2), "eps": case.eps, "fused": True}
    optimisers = [torch.optim.Adam(p.values(), **settings) for p in (pi, q)]
    made = 0

    def norm(p):
        return torch.linalg.vector_norm(torch.stack(torch._foreach_norm([v.grad for v in p.values()])))

    def step(rows):
        obs, boot_obs, act, ret, disc, boot_noise, label_noise = rows
        ref, target_q = slow
        with torch.no_grad():
            mean, std = policy(ref, torch.cat([obs, boot_obs]))
            boot = torch.addcmul(mean[b:, None], std[b:, None], boot_noise).clamp_(-1, 1)
            prob = torch.softmax(critic(target_q, state_part(target_q, boot_obs), boot), -1)
            target = project(prob.view(b, per, atoms).mean(1), ret, disc)
            y = torch.addcmul(mean[:b, None], std[:b, None], label_noise)
        state = state_part(q, obs)
        logits = critic(q, state, act.clamp(-1, 1)[:, None])
        log_p = torch.log_softmax(logits, -1)
        q_loss = -(target * log_p).sum(-1).mean()
        with torch.no_grad():
            q_mean = (log_p.exp() @ z).mean()
            value = (torch.softmax(critic(q, state.detach(), y.clamp(-1, 1)), -1) @ z).view(b, few)
            before = (value[:, None] > value[:, :, None]) | ((value[:, None] == value[:, :, None]) & earlier)
            best = (before.sum(-1) < case.label_k).float()
            mr, sr = mean[:b], std[:b]
        q_loss.backward()
        m, s = policy(pi, obs)
        lp = log_prob(y, m, sr) + log_prob(y, mr, s)
        accepted = -case.alpha * (best * lp).sum() / best.sum()
        rejected = (1 - case.alpha) * ((1 - best) * lp).sum() / (1 - best).sum()
        kl_mean = (0.5 * ((mr - m) / sr) ** 2).sum(-1).mean()
        e = (sr - s) / s
        kl_std = (0.5 * e * (e + 2) - torch.log1p(e)).sum(-1).mean()
        loss = accepted + rejected + case.beta[0] * kl_mean + case.beta[1] * kl_std
        loss.backward()
        with torch.no_grad():
            numbers = torch.stack([q_loss, q_mean, norm(q), loss, accepted, rejected, kl_mean, kl_std, norm(pi)])
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        return numbers.detach()

    def advance():
        nonlocal slow, made
        numbers = step(batches[made % len(batches)])
        made += 1
        if made % case.period == 0:
            slow = [{k: v.detach().clone() for k, v in p.items()} for p in (pi, q)]
        return numbers

    def check(_):
        numbers = advance().numpy()
        nets = zip((case.policy, case.critic), (pi, q))
        return numbers, np.concatenate([p[name.split("/", 1)[1]].detach().numpy().ravel() for net, p in nets for name, _ in net])

    return advance, check, lambda: None


# ---------------------------------------------------------------- one peer, one number of threads


def main():
    folder, peer, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    cores = sorted(os.sched_getaffinity(0))[:threads]
    if len(cores) < threads:
        print(peer, f"- this machine has {len(cores)} cores", flush=True)
        return
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import numpy as np

    case = Case(np, folder)
    advance, check, sync = jax_steps(np, case) if peer == "jax" else torch_steps(np, case, threads)
    worst, what = deviation(np, case, check)
    print(f"{peer} on {threads}: {worst:.3g} apart at most, {what}", file=sys.stderr)
    print(peer, f"{worst:.9g}", what, flush=True)
    for line in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            advance()
        sync()
        print(f"{time.perf_counter() - start:.9g} {time.process_time() - busy:.9g}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the reason of a figure that is not there
        print(sys.argv[2], "-", str(error).strip().splitlines()[0][:140] if str(error).strip() else type(error).__name__, flush=True)
        raise
