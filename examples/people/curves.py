"""How a policy follows scripted labelers: hidden score against verdicts, for several kinds of labeler and several seeds.

    python examples/people/curves.py colors --dir curves            (minutes; a run that is there is not made again)
    python examples/people/curves.py cheetah --dir curves --jobs 2

Each run is a daemon, an actor and examples/people/scripted.py. CURVES.csv has, for every verdict, the mean hidden score of the
last items that were leased; the figure shows the mean over seeds. PMP_BIN names the folder of the programs.
"""

import argparse
import concurrent.futures
import csv
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("PMP_BIN", HERE.parent.parent / "build/release/bin"))

# variant -> settings of the daemon, options of the labeler
COLORS = {
    "both": ([], []),
    "accept-only": (["objective.alpha=1"], ["--only", "accept"]),
    "reject-only": (["objective.alpha=0", "objective.beta=6"], ["--only", "reject"]),
    "10-wrong": ([], ["--wrong", "0.1"]),
    "away-20s": ([], ["--away", "80", "20"]),
}
CHEETAH = {
    "both": ([], []),
    "10-wrong": ([], ["--wrong", "0.1"]),
    "away-30s": ([], ["--away", "300", "30"]),
}
STUDIES = {
    "colors": ("colors.yaml", ["bandit", "--unjudged"], "colors", 200, COLORS, 20),
    "cheetah": (
        "cheetah-reward.yaml",
        ["control", "--clips", "50", "--clip-every", "400", "--noise-correlation", "0.5", "--clip-blind"],
        "cheetah-backwards",
        1000,
        CHEETAH,
        50,
    ),
}


def run(study: str, variant: str, seed: int, out: pathlib.Path) -> pathlib.Path:
    """Make one run; its verdicts are in the file that is returned."""
    config, actor, taste, verdicts, variants, _ = STUDIES[study]
    settings, labeler = variants[variant]
    done = out / f"{study}.{variant}.{seed}.csv"
    if done.exists():
        return done
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pmpo-curves-"))
    part = folder / "verdicts.csv"
    sets = [f"run.seed={seed}", "listen.desk=tcp://127.0.0.1:0", "listen.data=tcp://127.0.0.1:0", "listen.http=off", *settings]
    children = []
    try:
        log = open(folder / "pmpod.log", "w")
        command = [BIN / "pmpod", "--config", HERE / config, "--dir", folder / "run"]
        children.append(subprocess.Popen([*command, *(a for s in sets for a in ("--set", s))], stderr=log))
        endpoints = folder / "run/endpoints.json"
        until = time.monotonic() + 30
        while not endpoints.exists():
            if time.monotonic() > until:
                raise RuntimeError(f"pmpod did not start: {folder}/pmpod.log")
            time.sleep(0.05)
        url = json.loads(endpoints.read_text())["desk"]
        children.append(subprocess.Popen([BIN / "pmpo-actor", *actor, "--connect", url], stderr=subprocess.DEVNULL))
        judge = [sys.executable, HERE / "scripted.py", taste, "--url", url, "--verdicts", str(verdicts), "--seed", str(seed)]
        subprocess.run([*judge, "--csv", part, *labeler], check=True, stdout=subprocess.DEVNULL)
        shutil.move(part, done)
    finally:
        for child in reversed(children):
            child.terminate()
        for child in children:
            child.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return done


def curve(path: pathlib.Path, window: int, verdicts: int) -> list[float]:
    """Return, after each verdict, the mean score of the last `window` items looked at."""
    seen: list[float] = []
    by_verdict = [float("nan")] * (verdicts + 1)
    with path.open() as f:
        for row in csv.DictReader(f):
            seen.append(float(row["score"]))
            by_verdict[int(row["verdicts"])] = statistics.fmean(seen[-window:])
    return by_verdict[1:]


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("study", choices=sorted(STUDIES))
    p.add_argument("--dir", type=pathlib.Path, required=True)
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    p.add_argument("--jobs", type=int, default=2)
    a = p.parse_args()
    a.dir.mkdir(parents=True, exist_ok=True)
    _, _, _, verdicts, variants, window = STUDIES[a.study]
    work = [(v, s) for s in a.seeds for v in variants]
    curves: dict[str, list[list[float]]] = {v: [] for v in variants}
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        jobs = {pool.submit(run, a.study, v, s, a.dir): (v, s) for v, s in work}
        for n, job in enumerate(concurrent.futures.as_completed(jobs), 1):
            v, s = jobs[job]
            curves[v].append(curve(job.result(), window, verdicts))
            print(f"{n} of {len(work)}: {v}, seed {s}: {curves[v][-1][-1]:.3f}", flush=True)
    table = a.dir / f"{a.study}.csv"
    with table.open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["verdicts", *(f"{v} {what}" for v in variants for what in ("mean", "least", "largest"))])
        for i in range(0, verdicts, max(1, verdicts // 100)):
            row: list[object] = [i + 1]
            for v in variants:
                at = [c[i] for c in curves[v] if c[i] == c[i]]
                row += [f"{x:.4f}" for x in (statistics.fmean(at), min(at), max(at))] if at else ["", "", ""]
            out.writerow(row)
    lines = ", ".join(f"'{table}' using 1:{2 + 3 * k} with lines lw 2 title '{v}'" for k, v in enumerate(variants))
    script = (
        f"set terminal pngcairo size 900,500 font 'DejaVu Sans,11'; set output '{a.dir / a.study}.png';"
        "set datafile separator ','; set key bottom right; set grid; set xlabel 'verdicts';"
        f"set ylabel 'hidden score, mean of {window} items'; plot {lines}"
    )
    subprocess.run(["gnuplot", "-e", script], check=True)
    print(f"{table}, {a.dir / a.study}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
