"""Gymnasium environments as actors of a real daemon."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conftest import Start, wait_for

import pmpo

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402

from pmpo import gym  # noqa: E402

CRITIC = {
    "spec.shape": "trajectories",
    "label.judge": "critic",
    "critic.hidden": "[16]",
    "critic.v_min": "-50",
    "critic.v_max": "50",
    "learner.samples_per_insert": "0",
}


def settings_of(env: Any, bins: int = 0) -> dict[str, str]:
    """The daemon's settings, out of the YAML that pmpo.gym writes."""
    section, out = "", {}
    for line in gym.config(env, bins).splitlines():
        if not line.startswith(" "):
            section = line.rstrip(":")
        else:
            key, value = re.fullmatch(r"  (\w+): (.*)", line).groups()  # type: ignore[union-attr]
            out[f"{section}.{key}"] = value.strip('"')
    return CRITIC | out


class Walk(gymnasium.Env[Any, Any]):
    """Left or right on a line; a dictionary of what is seen. It remembers what it was told."""

    def __init__(self, action_space: Any) -> None:
        self.action_space = action_space
        self.observation_space = spaces.Dict(
            {"at": spaces.Box(-9, 9, (1,)), "turn": spaces.Discrete(2)}
        )
        self.told: list[Any] = []
        self.steps = 0

    def _see(self) -> dict[str, Any]:
        return {"at": np.array([self.steps], np.float32), "turn": self.steps % 2}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self._see(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        self.told.append(action)
        self.steps += 1
        return self._see(), 1.0, self.steps == 5, False, {}


@pytest.mark.parametrize(
    ("space", "bins"),
    [
        (spaces.Discrete(3, start=1), 0),
        (spaces.MultiDiscrete([4, 4]), 0),
        (spaces.Box(np.array([-2, 0], np.float32), np.array([2, 5], np.float32)), 0),
        (spaces.Box(-2, 2, (2, 1)), 0),
        (spaces.Box(-2, 2, (1,)), 5),
    ],
)
def test_any_action_space(pmpod: Start, space: Any, bins: int) -> None:
    env = Walk(space)
    d = pmpod(settings_of(env, bins))
    summary = gym.run(env, d.desk, episodes=8, seed=1, chunk_rows=7)
    assert summary.returns == [5.0] * 8 and summary.steps == 40
    assert len(np.unique([np.ravel(a) for a in env.told], axis=0)) > 1
    with pmpo.Client(d.desk) as client:
        status = client.status()
        assert status["store.rows"] == 48  # five steps and the last look, eight times
        (actor,) = status.actors
        assert actor.number["episodes"] == 8 and actor.value["return"] == 5.0
        wait_for(lambda: client.status()["replay.trainable"] == 40)


def test_pendulum_in_three_lines(pmpod: Start) -> None:
    env = gymnasium.make("Pendulum-v1")
    d = pmpod(settings_of(env))
    summary = gym.run(env, d.desk, steps=450, seed=3)
    assert summary.episodes == 2 and summary.steps == 450
    assert all(-2000 < r < 0 for r in summary.returns)
    gym.run(env, d.desk, name="judge", episodes=1, evaluate=True, seed=3)
    with pmpo.Client(d.desk) as client:
        actors = {a.name: a for a in client.status().actors}
        assert actors["gym"].rows == 453
        assert actors["judge"].rows == 0
        assert "eval_return" in actors["judge"].value


def test_an_environment_that_does_not_fit_is_refused(pmpod: Start) -> None:
    d = pmpod(settings_of(Walk(spaces.Discrete(3))))
    with pytest.raises(pmpo.ConflictError, match="bins 4"):
        gym.run(Walk(spaces.Discrete(4)), d.desk, episodes=1)
    with pytest.raises(pmpo.ConflictError, match="observations"):
        gym.run(gymnasium.make("CartPole-v1"), d.desk, episodes=1)
    with pytest.raises(pmpo.InvalidError, match="MultiBinary"):
        gym.spec_of(Walk(spaces.MultiBinary(3)))


def test_the_end_of_the_run_ends_the_actor(pmpod: Start) -> None:
    env = Walk(spaces.Discrete(3))
    change = {"run.max_steps": "3", "learner.samples_per_insert": "1", "learner.min_size": "16"}
    d = pmpod(settings_of(env) | change)
    assert gym.run(env, d.desk, seed=1, chunk_rows=8, seconds=60).complete


def test_two_runs_in_lockstep_are_the_same(pmpod: Start) -> None:
    hashes = []
    for _ in range(2):
        env = Walk(spaces.Box(-1, 1, (1,)))
        change = {"run.lockstep": "true", "learner.samples_per_insert": "2"}
        d = pmpod(settings_of(env) | change)
        gym.run(env, d.desk, episodes=40, seed=1, chunk_rows=12)
        with pmpo.Client(d.desk) as client:
            assert client.status()["learner.steps"] > 10
            hashes.append(client.weights(wait=30).hash)
    assert hashes[0] == hashes[1]
