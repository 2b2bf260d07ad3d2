#!/usr/bin/env python3
"""An actor with a judge of its own: outcomes near a hidden point are worth more.

usage: bandit_actor.py [URL] [GROUPS]
"""

from __future__ import annotations

import sys

import numpy as np

import pmpo

TARGET = np.array([0.7, -1.3])


def worth(y: np.ndarray) -> np.ndarray:
    return -((y - TARGET) ** 2).sum(axis=1)


def main(url: str | None = None, groups: int = 4000) -> float:
    rng = np.random.default_rng(1)
    best = -np.inf
    with pmpo.Actor("bandit", url=url) as actor:
        mirror = actor.follow()
        draws = min(4, actor.run.limits.chunk_rows)
        for i in range(groups):
            policy = mirror.policy  # the newest reference
            y = policy.sample(rng, draws=draws)
            f = worth(y)
            best = max(best, float(f.max()))
            try:
                actor.append_outcomes(
                    y, group=np.zeros(draws), evaluation=f, ref_version=policy.version
                )
            except pmpo.RunCompleteError:
                break
            if i % 500 == 0:
                actor.report({"f_mean": float(f.mean())}, policy.version, i * draws)
                print(
                    f"reference {policy.version}: mean {policy.mean()[0]}, best so far {best:.5f}"
                )
        mean = mirror.policy.mean()[0]
    print(f"the mean is {np.linalg.norm(mean - TARGET):.3f} from the hidden point")
    return float(np.linalg.norm(mean - TARGET))


if __name__ == "__main__":
    main(
        sys.argv[1] if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    )
