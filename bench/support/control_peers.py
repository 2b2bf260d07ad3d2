"""Steps of a control suite task in EnvPool or dm_control: `control_peers.py PEER TASK THREADS SETTING`.

PEER is envpool (THREADS of its own) or dm_control (one environment, one thread). SETTING is `best` (envpool: tries the settings
below for a moment each and takes the fastest), `quick` (tries two) or one of them, MODE:ENVS:BATCH:CORES. Says `PEER ENVS SETTING`
when it is ready; then makes, for every number N read, N steps of every environment with drawn actions, and answers with their
seconds: by the clock, and of processor time of all its threads. Episodes begin anew as they end. Ends with its input.
"""
import logging
import os
import sys
import time

os.environ["MUJOCO_GL"] = "disable"
logging.disable(logging.WARNING)

# sync: all environments step together. async: a batch of those that are done first goes on while the others still run.
# CORES one: its threads share a core, as they do where a core is all there is; any: the system places them; each: it places
# them itself, one a core.
SETTINGS = {
    1: ("sync:32:32:one", "async:32:16:any", "sync:64:64:one", "sync:64:64:any", "async:64:32:any"),
    2: ("sync:64:64:any", "async:32:16:any", "sync:64:64:each", "async:64:32:any", "async:64:32:each"),
}
DRAWN = 64  # sets of actions, used in turns: drawing them is not what is measured


def envpool_task(task):
    return "".join(part.capitalize() for part in task.split("_")) + "-v1"


class EnvPool:
    def __init__(self, task, threads, setting):
        import envpool
        import numpy as np

        mode, envs, batch, self.cores = setting.split(":")
        self.setting, self.envs, self.batch = setting, int(envs), int(batch)
        kwargs = {"num_envs": self.envs, "num_threads": threads, "seed": 1}
        if mode == "async":
            kwargs["batch_size"] = self.batch
        if self.cores == "each":
            kwargs["thread_affinity_offset"] = min(os.sched_getaffinity(0))
        with Cores(self.cores):
            self.env = envpool.make_gym(envpool_task(task), **kwargs)
        rng = np.random.default_rng(1)
        shape = (self.batch,) + self.env.action_space.shape
        self.actions = [rng.uniform(-1, 1, shape) for _ in range(DRAWN)]
        self.sync = mode == "sync"
        self.at = 0
        if self.sync:
            self.env.reset()
        else:
            self.env.async_reset()

    def run(self, steps):
        env, actions, at = self.env, self.actions, self.at
        count = steps * self.envs // self.batch
        if self.sync:
            for i in range(at, at + count):
                env.step(actions[i % DRAWN])
        else:
            for i in range(at, at + count):
                info = env.recv()[4]
                env.send(actions[i % DRAWN], info["env_id"])
        self.at = at + count


class DmControl:
    envs, cores, setting = 1, "one", "-"

    def __init__(self, task):
        import numpy as np
        from dm_control import suite

        domain = next(d for d in suite.TASKS_BY_DOMAIN if task.startswith(d + "_") and task[len(d) + 1 :] in suite.TASKS_BY_DOMAIN[d])
        self.env = suite.load(domain, task[len(domain) + 1 :], task_kwargs={"random": 1})
        spec = self.env.action_spec()
        self.actions = list(np.random.default_rng(1).uniform(-1, 1, (DRAWN,) + spec.shape))
        self.env.reset()
        self.at = 0

    def run(self, steps):
        env, actions, at = self.env, self.actions, self.at
        for i in range(at, at + steps):
            env.step(actions[i % DRAWN])  # the step after an episode's last is a reset
        self.at = at + steps


class Cores:
    """Within: this thread, and threads made meanwhile, on one core or on all that are allowed."""

    def __init__(self, cores):
        self.all = os.sched_getaffinity(0)
        self.use = {min(self.all)} if cores == "one" else self.all

    def __enter__(self):
        os.sched_setaffinity(0, self.use)

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.all)


def timed(peer, steps):
    wall, busy = time.perf_counter(), time.process_time()
    peer.run(steps)
    return time.perf_counter() - wall, time.process_time() - busy


def rate_of(task, threads, setting):
    """Steps/s over moments that add up to a third of a second; the best of them."""
    peer = EnvPool(task, threads, setting)
    with Cores(peer.cores):
        steps, best, spent = 8, 0.0, 0.0
        peer.run(4)
        while spent < 0.35:
            wall, _ = timed(peer, steps)
            best, spent = max(best, steps * peer.envs / wall), spent + wall
            if wall < 0.05:
                steps *= 2
    peer.env.close()
    return best


def choose(task, threads, how):
    settings = SETTINGS[threads][: 2 if how == "quick" else None]
    return max(settings, key=lambda setting: rate_of(task, threads, setting))


def main():
    name, task, threads, setting = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    try:
        if name == "envpool":
            if ":" not in setting:
                setting = choose(task, threads, setting)
            peer = EnvPool(task, threads, setting)
        else:
            peer = DmControl(task)
    except Exception as e:
        print(name, "-", f"{type(e).__name__}: {e}".replace("\n", " ")[:150], flush=True)
        return
    with Cores(peer.cores):
        print(name, peer.envs, peer.setting, flush=True)
        for line in sys.stdin:
            print(*timed(peer, int(line)), flush=True)


if __name__ == "__main__":
    main()
