"""A labeler of a few lines that hides what it likes: to try a run of people without people.

    pip install clients/python
    python examples/people/scripted.py cheetah-backwards --verdicts 1000 --csv verdicts.csv

It leases items, scores them by a hidden taste, and accepts what is better than the median of the last items that it saw:
what goes over the wire are accepts and rejects alone. `--url` or PMPO_URL name the run's desk.
"""

import argparse
import collections
import csv
import random
import statistics
import sys
import time

import numpy as np

import pmpo

FORWARD_VELOCITY = 8  # where cheetah_run's observation has it
COLOR = np.array([0.1, 0.75, 0.7])  # a taste for turquoise


def backwards(item: pmpo.LeasedItem) -> float:
    """Return how fast the body went backwards, in metres a second."""
    return -float(np.mean(item.condition[0][:, FORWARD_VELOCITY]))


def turquoise(item: pmpo.LeasedItem) -> float:
    """Return how near a colour is: 0 is the best."""
    return -float(np.linalg.norm((np.clip(item.outcome[0], -1, 1) + 1) / 2 - COLOR))


TASTES = {"cheetah-backwards": backwards, "colors": turquoise}


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("taste", choices=sorted(TASTES))
    p.add_argument("--url", help="the run's desk (PMPO_URL)")
    p.add_argument("--name", default="scripted")
    p.add_argument("--verdicts", type=int, default=200, help="accepts and rejects to give (200)")
    p.add_argument("--only", choices=["accept", "reject"], help="skip what would be the other")
    p.add_argument("--wrong", type=float, default=0.0, help="share of verdicts that say the opposite (0)")
    p.add_argument("--away", nargs=2, type=int, metavar=("AFTER", "SECONDS"), help="leave for a while after so many verdicts")
    p.add_argument("--recent", type=int, default=40, help="items whose median is the standard (40)")
    p.add_argument("--pause", type=float, default=0.0, help="seconds that one look takes (0)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--csv", help="write verdict, seconds, reference version, hidden score, said")
    return p.parse_args()


def main() -> int:
    a = parse()
    taste, rng = TASTES[a.taste], random.Random(a.seed)
    recent: collections.deque[float] = collections.deque(maxlen=a.recent)
    started, given, away = time.monotonic(), 0, a.away
    out = open(a.csv, "w", newline="") if a.csv else None
    rows = csv.writer(out) if out else None
    if rows:
        rows.writerow(["verdicts", "seconds", "ref_version", "score", "said"])
    with pmpo.Labeler(a.name, a.url) as labeler:
        while given < a.verdicts:
            items = labeler.lease(1)
            if not items:
                time.sleep(0.05)
                continue
            item = items[0]
            score = taste(item)
            standard = statistics.median(recent) if recent else score
            recent.append(score)
            good = score > standard or (score == standard and rng.random() < 0.5)
            if rng.random() < a.wrong:
                good = not good
            said = "accept" if good else "reject"
            time.sleep(a.pause)
            if a.only and said != a.only:
                said = "skip"
                labeler.skip(item)
            elif good:
                labeler.accept(item)
            else:
                labeler.reject(item)
            given += said != "skip"
            if rows:
                rows.writerow([given, f"{time.monotonic() - started:.3f}", item.ref_version, f"{score:.6g}", said])
            if given % 50 == 0 and said != "skip":
                if out:
                    out.flush()
                mean = statistics.fmean(list(recent)[-20:])
                print(f"{given} verdicts, {time.monotonic() - started:.0f} s: the last 20 items score {mean:.3f}", flush=True)
            if away and given >= away[0]:
                print(f"away for {away[1]} s", flush=True)
                time.sleep(away[1])
                away = None
    if out:
        out.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
