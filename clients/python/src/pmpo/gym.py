"""Any Gymnasium environment as an actor.

    import gymnasium, pmpo.gym

    env = gymnasium.make("Pendulum-v1")
    pmpo.gym.run(env)

The run's spec must fit the environment: `print(pmpo.gym.config(env))` writes it for the daemon's
configuration. Observations (Box, Dict, Tuple, Discrete ...) are flattened to one float32 vector.
Actions: a Box takes the policy's box, stretched to the space's own bounds where they differ, or
bins spread over it; Discrete and MultiDiscrete take bins.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as e:  # an optional part of the package
    raise ImportError("pmpo.gym needs gymnasium: pip install 'pmpo[gym]'") from e

from .actor import Actor
from .errors import ConflictError, InvalidError, RunCompleteError
from .policy import Policy
from .types import ActionSpec, Flags, Spec, TensorSpec

CHUNK_ROWS = 256
BINS_OF_A_BOX = 11

Env = gymnasium.Env[Any, Any]


# ---------------------------------------------------------------- spaces


def _box_bounds(space: spaces.Box) -> tuple[float, float]:
    """Return the box that the policy gets: the space's own when it is one for all dimensions."""
    low, high = np.unique(space.low), np.unique(space.high)
    if low.size == 1 and high.size == 1 and np.isfinite([low[0], high[0]]).all():
        return float(low[0]), float(high[0])
    return -1.0, 1.0


def spec_of(env: Env, bins: int = 0, task: str = "") -> Spec:
    """Return the spec of an environment's trajectories. `bins` > 0 cuts a Box's dimensions.

    Raises InvalidError for action spaces that no policy has.
    """
    space = env.action_space
    if isinstance(space, spaces.Discrete):
        action = ActionSpec("bins", 1, 0.0, float(space.n - 1), int(space.n))
    elif isinstance(space, spaces.MultiDiscrete):
        n = np.unique(space.nvec)
        if n.size != 1:
            raise InvalidError("a MultiDiscrete whose dimensions differ in size")
        action = ActionSpec("bins", int(space.nvec.size), 0.0, float(n[0] - 1), int(n[0]))
    elif isinstance(space, spaces.Box):
        low, high = _box_bounds(space)
        action = ActionSpec(
            "bins" if bins > 0 else "box", int(np.prod(space.shape)), low, high, bins
        )
    else:
        raise InvalidError(f"actions of {type(space).__name__}: Box, Discrete or MultiDiscrete do")
    size = spaces.utils.flatdim(env.observation_space)
    return Spec(
        shape="trajectories",
        action=action,
        observation=(TensorSpec("observation", (int(size),)),),
        task=task,
    )


def config(env: Env, bins: int = 0, task: str = "") -> str:
    """Return the section `spec` (and `label`) of a configuration for this environment, as YAML."""
    spec = spec_of(env, bins, task)
    a = spec.action
    lines = [
        "spec:",
        f'  task: "{task}"',
        "  shape: trajectories",
        f"  observation: [{spec.observation[0].shape[0]}]",
        f"  action: {a.kind}",
        f"  action_dim: {a.dim}",
    ]
    if a.kind == "bins":
        lines.append(f"  action_bins: {a.bins}")
    lines += [f"  action_low: {a.low:g}", f"  action_high: {a.high:g}"]
    return "\n".join([*lines, "label:", "  judge: critic", ""])


class ActionMap:
    """From the policy's outcomes to what `env.step` takes."""

    def __init__(self, env: Env, spec: Spec) -> None:
        self._space = env.action_space
        self._spec = spec.action
        want = spec_of(env, spec.action.bins if spec.action.kind == "bins" else 0)
        a = self._spec
        same = a.kind == want.action.kind and a.dim == want.action.dim
        if not same or (a.kind == "bins" and a.bins != want.action.bins):
            raise ConflictError(
                f"the run's actions are {a.dim} x {a.kind} {a.bins or ''}, the environment's "
                f"{want.action.dim} x {want.action.kind} {want.action.bins or ''}"
            )

    def __call__(self, policy: Policy, outcome: npt.NDArray[Any]) -> Any:
        """Return the environment's action for one outcome (dim)."""
        space = self._space
        if isinstance(space, spaces.Discrete):
            return int(outcome[0]) + int(space.start)
        if isinstance(space, spaces.MultiDiscrete):
            return (outcome + space.start.reshape(-1)).astype(space.dtype).reshape(space.shape)
        assert isinstance(space, spaces.Box)
        value = policy.action(outcome[np.newaxis])[0].reshape(space.shape)
        low, high = self._spec.low, self._spec.high
        if np.isfinite(space.low).all() and np.isfinite(space.high).all():
            share = (value - low) / (high - low)
            value = space.low + share * (space.high - space.low)
            value = np.clip(value, space.low, space.high)
        return value.astype(space.dtype)


# ---------------------------------------------------------------- columns


@dataclass
class _Columns:
    """Rows that are not in a chunk yet."""

    observation: list[npt.NDArray[np.float32]] = field(default_factory=list)
    action: list[npt.NDArray[Any]] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    discount: list[float] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    t: list[int] = field(default_factory=list)
    episode: list[int] = field(default_factory=list)
    version: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.t)

    def add(
        self,
        observation: npt.NDArray[np.float32],
        action: npt.NDArray[Any],
        reward: float,
        discount: float,
        flags: Flags,
        t: int,
        episode: int,
        version: int,
    ) -> None:
        self.observation.append(observation)
        self.action.append(action)
        self.reward.append(reward)
        self.discount.append(discount)
        self.flags.append(int(flags))
        self.t.append(t)
        self.episode.append(episode)
        self.version.append(version)


@dataclass
class Summary:
    """What a run of :func:`run` did."""

    episodes: int = 0
    steps: int = 0
    returns: list[float] = field(default_factory=list)
    complete: bool = False  #: it ended because the run is complete


class Rollout:
    """Steps one environment and sends its rows. :func:`run` is the way to use it."""

    def __init__(
        self, env: Env, actor: Actor, *, rng: np.random.Generator, chunk_rows: int = CHUNK_ROWS
    ) -> None:
        spec = actor.run.spec
        size = spaces.utils.flatdim(env.observation_space)
        shapes = [t.shape for t in spec.observation]
        if spec.shape != "trajectories" or shapes != [(size,)]:
            raise ConflictError(
                f"the run takes {spec.shape} of observations {shapes}; this environment makes "
                f"trajectories of observations [({size},)]. pmpo.gym.config(env) writes the spec."
            )
        self.env = env
        self.actor = actor
        self.summary = Summary()
        self._map = ActionMap(env, spec)
        self._mirror = actor.follow()
        self._rng = rng
        self._rows = max(1, min(chunk_rows, actor.run.limits.chunk_rows))
        self._columns = _Columns()
        self._episode = 0

    def _flat(self, observation: Any) -> npt.NDArray[np.float32]:
        flat = spaces.utils.flatten(self.env.observation_space, observation)
        return np.asarray(flat, np.float32).reshape(-1)

    def send(self) -> None:
        """Queue the rows that there are."""
        c = self._columns
        if len(c) == 0:
            return
        self._columns = _Columns()
        ack = self.actor.append_trajectory(
            np.stack(c.observation),
            np.stack(c.action),
            c.reward,
            c.discount,
            c.flags,
            c.t,
            episode=c.episode,
            ref_version=c.version,
        )
        if self.actor.run.lockstep:
            self._mirror.wait(ack.result().ref_version, exactly=True)

    def _add(self, *row: Any) -> None:
        self._columns.add(*row)
        if len(self._columns) >= self._rows:
            self.send()

    def episode(
        self, seed: int | None = None, stop: Callable[[], bool] | None = None
    ) -> float | None:
        """Act one episode by samples of the newest reference; returns its return.

        None when `stop()` said so in between: the episode then ends as if time had run out.
        """
        observation, _ = self.env.reset(seed=seed)
        x, total, t = self._flat(observation), 0.0, 0
        nothing = np.zeros(self.actor.run.spec.action.dim, np.float32)
        while True:
            policy = self._mirror.policy
            y = policy.sample(self._rng, x)[0]
            nothing = np.zeros_like(y)
            observation, reward, terminated, truncated, _ = self.env.step(self._map(policy, y))
            flags = Flags.FIRST if t == 0 else Flags.NONE
            discount = 0.0 if terminated else 1.0
            self._add(x, y, float(reward), discount, flags, t, self._episode, policy.version)
            x, total, t = self._flat(observation), total + float(reward), t + 1
            self.summary.steps += 1
            stopped = stop is not None and stop()
            if terminated or truncated or stopped:
                break
        last = Flags.LAST if terminated else Flags.LAST | Flags.TRUNCATED
        self._add(x, nothing, 0.0, 0.0, last, t, self._episode, policy.version)
        self._episode += 1
        if not (terminated or truncated):
            return None
        self.summary.episodes += 1
        self.summary.returns.append(total)
        numbers = {"return": total, "length": float(t)}
        self.actor.report(numbers, policy.version, self.summary.steps)
        return total

    def evaluate(self, seed: int | None = None) -> float:
        """Act one episode by the reference's mode, report `eval_return`, append nothing."""
        policy = self._mirror.policy
        observation, _ = self.env.reset(seed=seed)
        total, length, ended = 0.0, 0, False
        while not ended:
            y = policy.mode(self._flat(observation))[0]
            observation, reward, terminated, truncated, _ = self.env.step(self._map(policy, y))
            total, length, ended = total + float(reward), length + 1, terminated or truncated
        self.summary.episodes += 1
        self.summary.returns.append(total)
        numbers = {"eval_return": total, "eval_length": float(length)}
        self.actor.report(numbers, policy.version, self.summary.steps)
        return total

    def close(self) -> None:
        """Stop following the reference. The environment and the actor are the caller's."""
        self._mirror.close()


def run(
    env: Env,
    url: str | None = None,
    name: str = "gym",
    *,
    episodes: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    evaluate: bool = False,
    chunk_rows: int = CHUNK_ROWS,
    token: str | None = None,
    ca: str | None = None,
) -> Summary:
    """Make a Gymnasium environment an actor of a run, and return what it did.

    It acts by samples of the newest reference, sends its trajectories in chunks of `chunk_rows` and
    reports each episode's `return` and `length`. It ends after so many `episodes`, `steps` or
    `seconds`, or when the run is complete; without any of them it goes on until then. `evaluate`
    acts by the mode instead, reports `eval_return` and sends nothing. `seed` seeds the first reset
    and the draws. `name` is the actor's: another process that acts at the same time needs another.

    The environment stays open. Raises ConflictError when the run's spec does not fit.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    actor = Actor(name, url=url, token=token, ca=ca)
    with actor:
        rollout = Rollout(env, actor, rng=np.random.default_rng(seed), chunk_rows=chunk_rows)
        summary = rollout.summary

        def over() -> bool:
            late = deadline is not None and time.monotonic() >= deadline
            return late or (steps is not None and summary.steps >= steps)

        try:
            while not over() and (episodes is None or summary.episodes < episodes):
                if evaluate:
                    rollout.evaluate(seed)
                else:
                    rollout.episode(seed, over)
                seed = None  # later episodes go on with the environment's own generator
            rollout.send()
            actor.flush()
        except RunCompleteError:
            summary.complete = True
        finally:
            rollout.close()
    return summary
