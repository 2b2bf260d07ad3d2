#!/usr/bin/env python3
"""Writes values of dm_control's tolerance function as a C table: tolerance.py > data/tolerance.inc

Needs the virtual environment of record.py.
"""

import numpy as np
from dm_control.utils import rewards

SIGMOIDS = ['gaussian', 'hyperbolic', 'long_tail', 'reciprocal', 'cosine', 'linear', 'quadratic',
            'tanh_squared']
ZERO_ALLOWED = ['cosine', 'linear', 'quadratic']
BOUNDS = [(0.0, 0.0, 1.0), (-0.25, 0.5, 0.3), (10.0, np.inf, 5.0), (0.995, 1.0, 0.0)]
POINTS = [-3.0, -0.2, 0.0, 0.6, 0.9951, 4.0, 9.0, 12.0]


def number(v):
  return 'INFINITY' if np.isinf(v) else repr(float(v))


def main():
  print('/* Written by tests/parity/control/tolerance.py. */')
  print('static const struct {')
  print('  double x, lower, upper, margin;')
  print('  enum pmp_sigmoid sigmoid;')
  print('  double at_margin, value;')
  print('} recorded[] = {')
  for sigmoid in SIGMOIDS:
    for at_margin in ([0.0] if sigmoid in ZERO_ALLOWED else []) + [0.1, 0.5]:
      for lower, upper, margin in BOUNDS:
        for x in POINTS:
          value = rewards.tolerance(x, (lower, upper), margin, sigmoid, at_margin)
          cells = [number(v) for v in (x, lower, upper, margin)]
          cells += [f'PMP_SIGMOID_{sigmoid.upper()}', str(at_margin), repr(float(value))]
          print(f'    {{{", ".join(cells)}}},')
  print('};')


if __name__ == '__main__':
  main()
