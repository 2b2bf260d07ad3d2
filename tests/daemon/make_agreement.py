"""Golden numbers of test_agreement.c, by scikit-learn, statsmodels, irrCAC and krippendorff (PyPI).

python3 make_agreement.py > agreement_golden.h
"""
import itertools

import irrCAC.raw
import krippendorff
import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa


def draw(seed, items, raters, missing, noise):
    """Raters who hear one truth through noise; NaN: not rated."""
    rng = np.random.default_rng(seed)
    truth = rng.random(items) < 0.6
    said = np.empty((items, raters))
    for k in range(raters):
        wrong = rng.random(items) < noise * (k + 1)
        said[:, k] = truth ^ wrong
    said[rng.random((items, raters)) < missing] = np.nan
    return said


def of(said):
    pairs = []
    agreeing = compared = 0
    for a, b in itertools.combinations(range(said.shape[1]), 2):
        both = ~np.isnan(said[:, a]) & ~np.isnan(said[:, b])
        x, y = said[both, a], said[both, b]
        same = int((x == y).sum())
        agreeing, compared = agreeing + same, compared + len(x)
        kappa = cohen_kappa_score(x, y, labels=[0, 1]) if len(x) else np.nan
        pairs.append((a, b, len(x), same / len(x) if len(x) else 0.0, kappa))
    counts = (~np.isnan(said)).sum(axis=1)
    rated = said[counts > 0]
    fleiss = irrCAC.raw.CAC(pd.DataFrame(rated), digits=15).fleiss()["est"]["coefficient_value"]
    if not np.isnan(said).any():
        table, _ = aggregate_raters(said.astype(int))
        assert abs(fleiss - fleiss_kappa(table, method="fleiss")) < 1e-12
    alpha = krippendorff.alpha(reliability_data=said.T, level_of_measurement="nominal")
    return {"items": int((counts > 1).sum()), "raw": agreeing / compared, "fleiss": fleiss, "alpha": alpha, "pairs": pairs}


CASES = [(1, 40, 3, 0.0, 0.1), (2, 60, 4, 0.4, 0.08), (3, 25, 2, 0.2, 0.3), (4, 200, 6, 0.7, 0.05)]

print("/* Agreement of drawn ratings as other programs compute it: made by make_agreement.py. */")
print("/* clang-format off */")
print("static const struct golden golden[] = {")
for case in CASES:
    said = draw(*case)
    g = of(said)
    text = "".join("." if np.isnan(v) else str(int(v)) for v in said.ravel())
    print(f'    {{.items = {case[1]}, .raters = {case[2]},\n     .said = "{text}",')
    print(f'     .compared = {g["items"]}, .raw = {float(g["raw"])!r}, .fleiss = {float(g["fleiss"])!r}, .alpha = {float(g["alpha"])!r},')
    print("     .pair = {" + ", ".join(f"{{{a}, {b}, {n}, {float(raw)!r}, {float(k)!r}}}" for a, b, n, raw, k in g["pairs"]) + "}},")
print("};")
print("/* clang-format on */")
