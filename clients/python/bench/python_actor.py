#!/usr/bin/env python3
"""Tuples a second that one Python actor brings to a daemon, each of them on disk before it counts.

usage: python_actor.py [--json] [--seconds S] [--rows N] [--observation N] [--action N]

Starts pmpod (PMP_BIN, else build/release/bin) in a folder of its own with a learner that waits, and
sends trajectories from NumPy columns: (observation, action, reward, discount).
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

import pmpo

GOAL = 50_000
ROOT = pathlib.Path(__file__).resolve().parents[3]


def start(
    folder: pathlib.Path, observation: int, action: int, rows: int
) -> tuple[subprocess.Popen[bytes], str]:
    binary = pathlib.Path(os.environ.get("PMP_BIN", ROOT / "build/release/bin")) / "pmpod"
    settings = {
        "listen.desk": "tcp://127.0.0.1:0",
        "listen.data": "tcp://127.0.0.1:0",
        "spec.shape": "trajectories",
        "spec.observation": f"[{observation}]",
        "spec.action_dim": str(action),
        "label.judge": "critic",
        "policy.hidden": "[16]",
        "critic.hidden": "[16]",
        "learner.samples_per_insert": "0",
        "limits.chunk_rows": str(rows),
    }
    command = [str(binary), "--dir", str(folder / "run")]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stderr=log)
    endpoints = folder / "run/endpoints.json"
    for _ in range(3000):
        if process.poll() is not None:
            raise SystemExit((folder / "log").read_text())
        if endpoints.exists():
            return process, str(json.loads(endpoints.read_text())["desk"])
        time.sleep(0.01)
    raise SystemExit("pmpod does not start")


def measure(url: str, rows: int, observation: int, action: int, seconds: float) -> float:
    """Return acknowledged rows a second. Each chunk is one whole episode, new numbers in each."""
    rng = np.random.default_rng(1)
    t = np.arange(rows, dtype=np.uint32)
    flags = np.zeros(rows, np.uint8)
    flags[0], flags[-1] = pmpo.Flags.FIRST, pmpo.Flags.LAST | pmpo.Flags.TRUNCATED
    discount = np.ones(rows, np.float32)
    discount[-1] = 0
    with pmpo.Actor("bench", url=url) as actor:
        began = time.monotonic()
        episode = 0
        while time.monotonic() - began < seconds:
            actor.append_trajectory(
                rng.standard_normal((rows, observation), np.float32),
                rng.standard_normal((rows, action), np.float32),
                rng.random(rows, np.float32),
                discount,
                flags,
                t,
                episode=episode,
                ref_version=1,
            )
            episode += 1
        actor.flush()
        return actor.stats.rows_acked / (time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--observation", type=int, default=17)
    parser.add_argument("--action", type=int, default=6)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, url = start(pathlib.Path(folder), o.observation, o.action, o.rows)
        try:
            rate = measure(url, o.rows, o.observation, o.action, o.seconds)
        finally:
            process.kill()
            process.wait()
    holds = rate >= GOAL
    if o.json:
        row = {"name": "python_actor", "value": round(rate), "unit": "tuples/s"}
        print(json.dumps(row | {"goal": f">= {GOAL}", "holds": holds}))
    else:
        print(f"python_actor {rate:.0f} tuples/s >={GOAL} {str(holds).lower()}")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
