#!/usr/bin/env python3
"""Exact improvement against CMA-ES: evaluations until one outcome is 1e-9 or better, in 10 dimensions, 20 starts.

CMA-ES reads the values of f, ours only which outcomes of a group were accepted or rejected. Both begin at the same
means with standard deviation 1; CMA-ES has its default settings (package cma, in an environment of its own that is made
on the first run), ours the recommended ones (pmp_improve_recommend). A run that never gets there counts as infinite.
usage: exact_cmaes.py [--json]
"""
import csv
import hashlib
import io
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import venv

PACKAGES = ["cma==4.5.0", "numpy==2.4.6"]
TARGET = 1e-9
GOAL = {"ar": 3, "r": 10, "a": None}
ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = pathlib.Path(os.environ.get("PMP_BIN", ROOT / "build/release/bin"))
PROGRAM = FOLDER / "bench_exact_runs"


def line(name, value, unit, goal, holds, reason=""):
    if "--json" in sys.argv:
        finite = value if value is not None and math.isfinite(value) else None
        print(json.dumps(dict(name=name, value=finite, unit=unit, goal=goal, holds=holds, reason=reason)))
    else:
        text = "-" if value is None else f"{value:.4g}"
        print(f"{name} {text} {unit} {goal} {'true' if holds else 'false'}{' ' if reason else ''}{reason}")
    sys.stdout.flush()


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("PMPO_CACHE") or pathlib.Path(home) / "pmpod")


def with_packages():
    """Goes on in an environment that has the packages."""
    key = hashlib.sha256(repr((PACKAGES, sys.version)).encode()).hexdigest()[:12]
    home = cache() / f"bench-cmaes-{key}"
    if not (home / "complete").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin/python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
        (home / "complete").touch()
    environment = dict(os.environ, PMP_CMAES_READY="1", PYTHONWARNINGS="ignore")
    python = str(home / "bin/python")
    os.execve(python, [python, os.path.abspath(__file__), *sys.argv[1:]], environment)


def functions(np, n):
    place = np.arange(n) / (n - 1)
    return {
        "sphere": lambda x: (x * x).sum(),
        "rosenbrock": lambda x: (100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2).sum(),
        "schwefel": lambda x: (np.cumsum(x) ** 2).sum(),
        "cigar": lambda x: x[0] ** 2 + 1e6 * (x[1:] ** 2).sum(),
        "diffpow": lambda x: (np.abs(x) ** (2 + 10 * place)).sum(),
        "elli": lambda x: ((1000**place * x) ** 2).sum(),
    }


def evaluations_of_cmaes(cma, f, start, seed):
    options = {"seed": seed + 1, "ftarget": TARGET, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(start, 1.0, options)
    strategy.optimize(f)
    return strategy.result.evaluations if strategy.best.f <= TARGET else math.inf


def our_runs():
    """(feedback, function) -> outcomes of each seed."""
    said = subprocess.run([PROGRAM, "--runs"], check=True, capture_output=True, text=True).stdout
    runs = {}
    for row in csv.DictReader(io.StringIO(said)):
        count = int(row["outcomes"]) or math.inf
        runs.setdefault((row["feedback"], row["function"]), []).append(count)
    return runs


def share(runs):
    return sum(map(math.isfinite, runs)) / len(runs)


def compare(name, ours, theirs, goal):
    """One line for the ratio of medians, and one for how many seeds got there at all."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = mine / other if math.isfinite(other) else 0.0
    holds = goal is None or ratio <= goal
    line(name, ratio, "x", "-" if goal is None else f"<={goal}", holds,
         f"{mine:g} outcomes, CMA-ES {other:g} evaluations (medians)")


def compare_shares(name, ours, theirs, wanted):
    mine, other = share(ours), share(theirs)
    line(name, mine, "of_seeds", f">={other:g}" if wanted else "-", not wanted or mine >= other, f"CMA-ES {other:g}")


def main():
    import cma
    import numpy as np

    said = subprocess.run([PROGRAM, "--starts"], check=True, capture_output=True, text=True).stdout
    starts = [np.array([float(x) for x in row.split(",")]) for row in said.split()]
    runs = our_runs()
    for function, f in functions(np, len(starts[0])).items():
        theirs = [evaluations_of_cmaes(cma, f, start, seed) for seed, start in enumerate(starts)]
        for feedback, goal in GOAL.items():
            ours = runs[feedback, function]
            compare(f"exact_cmaes.{feedback}.{function}", ours, theirs, goal)
            if function == "rosenbrock" or share(ours) < 1:
                compare_shares(f"exact_cmaes.{feedback}.{function}.share", ours, theirs, goal is not None)


if __name__ == "__main__":
    if not PROGRAM.exists():
        sys.exit(f"exact_cmaes: {PROGRAM} is not built")
    if os.environ.get("PMP_CMAES_READY"):
        main()
    else:
        try:
            with_packages()
        except (OSError, subprocess.CalledProcessError) as problem:
            line("exact_cmaes", None, "x", "-", False, f"the packages of the comparison cannot be installed: {problem}")
