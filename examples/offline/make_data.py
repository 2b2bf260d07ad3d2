#!/usr/bin/env python3
"""Rows for the offline example: conditions x in [-1, 1], outcomes of somebody's mediocre policy, and whether each was good.

    make_data.py [ROWS] [SEED] > data.jsonl

The outcome is accepted when it lies within 0.3 of sin(3 x); the policy that drew the outcomes only has the sign right.
"""
import json
import math
import random
import sys

rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
random.seed(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
for _ in range(rows):
    x = random.uniform(-1, 1)
    y = random.gauss(0.5 * x, 0.8)
    good = abs(y - math.sin(3 * x)) < 0.3
    print(json.dumps({"x": [round(x, 6)], "y": [round(y, 6)], "verdict": "accept" if good else "reject"}))
