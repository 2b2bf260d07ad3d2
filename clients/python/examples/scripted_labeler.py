#!/usr/bin/env python3
"""Judged by people, played by a function: whoever is near a hidden point is accepted.

usage: scripted_labeler.py [URL] [VERDICTS]

One half sends outcomes without verdicts, the other leases and judges them; the policy follows. A
person would take the other half's place with `pmpoctl label` or in the browser.
"""

from __future__ import annotations

import sys

import numpy as np

import pmpo

TARGET = np.array([1.0, -1.0])
ROWS = 32


def main(url: str | None = None, verdicts: int = 320) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    with pmpo.Actor("maker", url=url) as actor, pmpo.Labeler("script", url) as labeler:
        mirror = actor.follow()
        before = float(np.linalg.norm(mirror.policy.mean()[0] - TARGET))
        judged = 0
        while judged < verdicts:
            policy = mirror.policy
            y = policy.sample(rng, draws=ROWS)
            actor.append_outcomes(y, ref_version=policy.version).result()
            typical = float(np.median(np.linalg.norm(y - TARGET, axis=1)))

            def judge(item: pmpo.LeasedItem, typical: float = typical) -> bool:
                assert item.outcome is not None
                return float(np.linalg.norm(item.outcome[0] - TARGET)) < typical

            judged += labeler.label(judge, ROWS, wait=False, prefetch=ROWS)
            mirror.wait(policy.version + 1, timeout=30)
            mean = mirror.policy.mean()[0]
            after = float(np.linalg.norm(mean - TARGET))
            print(f"{judged} verdicts: mean {mean}, {after:.3f} from the hidden point")
    return before, after


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else 320)
