#!/usr/bin/env python3
"""What an exported policy of the offline example does: its mean and spread at some x, and the share of outcomes that would be accepted.

    pmpoctl -D run export --which policy policy.safetensors && check.py policy.safetensors [SHARE]

With SHARE, the exit code says whether at least that share is accepted. Also a reading example of an export without libraries:
the policy's shape is in the file's metadata, docs/protocol.md says what it means.
"""
import json
import math
import random
import struct
import sys


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8 : 8 + size])
    meta = head.pop("__metadata__")
    tensor = {}
    for name, t in head.items():
        first, last = (8 + size + offset for offset in t["data_offsets"])
        tensor[name] = struct.unpack(f"<{(last - first) // 4}f", data[first:last])
    return tensor, json.loads(meta["policy"])


def elu(v):
    return v if v > 0 else math.expm1(v)


def linear(tensor, layer, x):
    weight, bias = tensor[f"policy/linear_{layer}/weight"], tensor[f"policy/linear_{layer}/bias"]
    out = len(bias)
    return [bias[j] + sum(v * weight[i * out + j] for i, v in enumerate(x)) for j in range(out)]


def layer_norm(tensor, x):
    gain, shift = (tensor[f"policy/layer_norm/{part}"] for part in ("gain", "shift"))
    mean = sum(x) / len(x)
    var = sum((v - mean) ** 2 for v in x) / len(x)
    return [(v - mean) / math.sqrt(var + 1e-5) * g + s for v, g, s in zip(x, gain, shift)]


def moments(tensor, policy, x):
    layers = sum(name.endswith("/bias") and "linear" in name for name in tensor)
    h = [x]
    for layer in range(layers):
        h = linear(tensor, layer, h)
        if layer + 1 == layers:
            break
        if layer == 0 and policy["first_layer_norm"]:
            h = [math.tanh(v) for v in layer_norm(tensor, h)]
        else:
            h = [elu(v) for v in h]
    dist = policy["dist"]
    mean = math.tanh(h[0]) if dist["squash_mean"] else h[0]
    return mean, math.log1p(math.exp(h[1])) * dist["std_scale"] + dist["std_min"]


tensor, policy = load(sys.argv[1])
random.seed(1)
print("    x   sin(3x)  mean    std")
for k in range(-4, 5):
    x = k / 4
    print("%6.2f  %6.2f  %6.2f  %5.2f" % (x, math.sin(3 * x), *moments(tensor, policy, x)))
accepted, n = 0, 2000
for _ in range(n):
    x = random.uniform(-1, 1)
    accepted += abs(random.gauss(*moments(tensor, policy, x)) - math.sin(3 * x)) < 0.3
print("accepted: %.0f%%" % (100 * accepted / n))
if len(sys.argv) > 2:
    sys.exit(accepted < float(sys.argv[2]) * n)
