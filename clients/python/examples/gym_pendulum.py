#!/usr/bin/env python3
"""Gymnasium's Pendulum as an actor.

usage: gym_pendulum.py [URL] [STEPS]
"""

from __future__ import annotations

import sys

import gymnasium

import pmpo.gym


def main(url: str | None = None, steps: int = 50_000) -> pmpo.gym.Summary:
    env = gymnasium.make("Pendulum-v1")
    summary = pmpo.gym.run(env, url, steps=steps)
    print(
        f"{summary.episodes} episodes; the last returns: {[round(r) for r in summary.returns[-5:]]}"
    )
    return summary


if __name__ == "__main__":
    main(
        sys.argv[1] if len(sys.argv) > 1 else None,
        int(sys.argv[2]) if len(sys.argv) > 2 else 50_000,
    )
