"""What needs no daemon: tensors, hashes, policies against golden numbers, generated code."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import program
from google.protobuf import descriptor_pb2

import pmpo
from pmpo import pmpo_pb2 as pb
from pmpo.labeler import verdict_of
from pmpo.tensors import pack, unpack

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]


# ---------------------------------------------------------------- tensors


def test_tensors_go_there_and_back() -> None:
    for dtype in ("f4", "f8", "i1", "u1", "i4", "u4", "i8", "u8"):
        want = np.arange(6).reshape(2, 3).astype(dtype)
        got = unpack(pack(want, dtype, (2, 3), "x"))
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("values", "dtype", "shape", "words"),
    [
        ([1.0, np.nan], "f4", (2,), "not finite"),
        ([1.0, 1e300], "f4", (2,), "not finite"),
        ([1.0, 2.0], "f4", (3,), "shape"),
        ([1.5, 2.0], "i4", (2,), "dtype"),
        ([1, 300], "u1", (2,), "no uint8"),
        ([-1, 3], "u4", (2,), "no uint32"),
        (["a"], "f4", (1,), "dtype"),
    ],
)
def test_columns_that_do_not_fit_are_named(values, dtype, shape, words) -> None:
    with pytest.raises(pmpo.InvalidError, match=f"outcome.*{words}"):
        pack(values, dtype, shape, "outcome")


def test_bytes_that_are_no_tensor() -> None:
    with pytest.raises(pmpo.InvalidError):
        unpack(pb.Tensor(dtype=pb.F32, shape=[3], data=b"\0" * 8))
    with pytest.raises(pmpo.InvalidError):
        unpack(pb.Tensor(dtype=pb.F32, shape=[1 << 40, 1 << 40], data=b""))


# ---------------------------------------------------------------- plain values


def test_items_are_named_as_the_protocol_writes_them() -> None:
    for text, ref in {"7:3": (7, 3, 1), "7:3+4": (7, 3, 4)}.items():
        assert pmpo.ItemRef.parse(text) == pmpo.ItemRef(*ref)
        assert str(pmpo.ItemRef(*ref)) == text
    for text in ("7", "7:", ":3", "7:-1", "a:b", "7:3+", "7:3+x", "7:²"):
        if text != "7:3+":
            with pytest.raises(pmpo.InvalidError):
                pmpo.ItemRef.parse(text)


def test_what_a_judge_may_say() -> None:
    ref = pmpo.ItemRef(1, 2)
    said = [True, False, None, pmpo.Judgement.WITHDRAW, (True, 0.25), (None, 1.0)]
    got = [verdict_of(ref, s) for s in said]
    J = pmpo.Judgement
    assert [v.judgement for v in got] == [J.ACCEPT, J.REJECT, J.SKIP, J.WITHDRAW, J.ACCEPT, J.SKIP]
    assert got[4].confidence == 0.25
    assert len({v.request_id for v in got}) == len(got)
    for confidence in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(pmpo.InvalidError):
            pmpo.Verdict(ref, J.ACCEPT, confidence)


def test_an_address_that_is_none() -> None:
    with pytest.raises(pmpo.InvalidError):
        pmpo.Client("nonsense", connect_timeout=0.1)
    with pytest.raises(pmpo.InvalidError, match="PMPO_CA"):
        pmpo.Client("tls+tcp://127.0.0.1:1", connect_timeout=0.1)
    with pytest.raises(pmpo.InvalidError, match="name"):
        pmpo.Client("tcp://127.0.0.1:1", name="a b", connect_timeout=0.1)
    with pytest.raises(pmpo.NoAnswerError):
        pmpo.Client("tcp://127.0.0.1:1", connect_timeout=0.2)


# ---------------------------------------------------------------- weights


def test_a_bit_that_fell_over_is_seen() -> None:
    views = [pmpo.View("policy/a", (2, 3), 0), pmpo.View("policy/b", (2,), 6)]
    flat = np.arange(8, dtype=np.float32)
    good = pmpo.weights_hash(views, flat)
    assert len(good) == 32
    pmpo.Weights(1, 0, "reference", "", good, views, flat).check()
    other = flat.copy()
    other[7] = np.nextafter(other[7], np.float32(9))
    renamed = [pmpo.View("policy/c", (2, 3), 0), views[1]]
    reshaped = [pmpo.View("policy/a", (3, 2), 0), views[1]]
    for v, f in ((views, other), (renamed, flat), (reshaped, flat)):
        with pytest.raises(pmpo.CorruptError):
            pmpo.Weights(1, 0, "reference", "", good, v, f).check()
    with pytest.raises(pmpo.CorruptError):
        pmpo.Weights(1, 0, "reference", "", good, [pmpo.View("x", (9,), 0)], flat)


# ---------------------------------------------------------------- policies

GOLDEN = json.loads((ROOT / "tests/parity/policy/golden.json").read_text())


def policy_json(dist: dict, **more: object) -> str:
    spec = {"obs": 0, "network": False, "hidden": [], "first_layer_norm": False}
    spec |= {"init_std": 0.0, "init_mean_range": 0.0, "dist": dist}
    return json.dumps(spec | more)


def named(spec: pmpo.PolicySpec, flat: np.ndarray) -> dict[str, np.ndarray]:
    out, at = {}, 0
    for name, shape in pmpo.Policy.shapes(spec).items():
        n = int(np.prod(shape))
        out[name] = flat[at : at + n].reshape(shape)
        at += n
    assert at == flat.size
    return out


@pytest.mark.parametrize("case", range(len(GOLDEN["nets"])))
def test_networks_are_the_golden_ones(case: int) -> None:
    """The numbers that policy/'s own network is held against."""
    c = GOLDEN["nets"][case]
    dist = GOLDEN["dists"][0]["dist"] | {"kind": "categorical", "dim": 1, "bins": c["out"]}
    obs = c["in_shared"] + c["in_own"]
    text = policy_json(
        dist,
        obs=obs,
        network=True,
        hidden=c["hidden"],
        first_layer_norm=c["norm"],
        layer_norm_all=c.get("norm_all", False),
    )
    spec = pmpo.PolicySpec.parse(text)
    policy = pmpo.Policy(spec, named(spec, np.array(c["params"], np.float32)))
    shared = np.array(c["shared"], np.float32).reshape(c["states"], c["in_shared"])
    x = np.repeat(shared, c["per"], axis=0)
    if c["in_own"]:
        own = np.array(c["own"], np.float32).reshape(len(x), c["in_own"])
        x = np.concatenate([x, own], axis=1)
    want = np.array(c["want"]["out"]).reshape(len(x), c["out"])
    np.testing.assert_allclose(policy.head(x), want, rtol=1e-5, atol=1e-5)


def free_policies(c: dict) -> list[pmpo.Policy]:
    """One policy without a network for each head of a golden case."""
    spec = pmpo.PolicySpec.parse(policy_json(c["dist"]))
    heads = np.array(c["head"], np.float32).reshape(c["b"], -1)
    return [pmpo.Policy(spec, named(spec, head)) for head in heads]


@pytest.mark.parametrize("case", range(len(GOLDEN["dists"])))
def test_likelihoods_are_the_golden_ones(case: int) -> None:
    c = GOLDEN["dists"][case]
    if c["dist"]["split"]:
        pytest.skip("parts of a split likelihood are the objective's")
    y = np.array(c["y"]).reshape(c["b"], c["m"], -1)
    got = [p.log_prob(y[i]) for i, p in enumerate(free_policies(c))]
    want = np.array(c["want"]["lp"]).reshape(c["b"], c["m"])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", range(len(GOLDEN["dists"])))
def test_likelihoods_are_those_of_pmpo_eval(case: int) -> None:
    """The C library's, of the numbers that this package makes of the head."""
    c = GOLDEN["dists"][case]
    policies = free_policies(c)
    kind = policies[0].spec.kind
    if kind == "diag_gaussian":
        pi = {n: np.concatenate([getattr(p, n)() for p in policies]) for n in ("mean", "std")}
    elif kind == "gaussian":
        pi = {n: np.concatenate([getattr(p, n)() for p in policies]) for n in ("mean", "chol")}
    else:
        pi = {"logits": np.log(np.concatenate([p.probabilities() for p in policies]))}
    y = np.array(c["y"], np.float64).reshape(c["b"], c["m"], -1)
    line = {
        "objective": "pmpo",
        "policy": kind,
        "pi": {k: v.astype(float).tolist() for k, v in pi.items()},
        "ref": {k: v.astype(float).tolist() for k, v in pi.items()},
        "y": y.reshape(c["b"] * c["m"], -1).tolist(),
        "x": np.repeat(np.arange(c["b"]), c["m"]).tolist(),
        "verdict": [1] * (c["b"] * c["m"]),
    }
    run = subprocess.run(
        [program("pmpo-eval"), "--verbose"],
        input=json.dumps(line),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(run.stdout)
    assert "error" not in answer, answer
    got = np.concatenate([p.log_prob(y[i]) for i, p in enumerate(policies)])
    np.testing.assert_allclose(got, np.ravel(answer["log_pi"]), rtol=1e-5, atol=1e-5)


def test_draws_have_the_moments_that_they_should_have() -> None:
    rng = np.random.default_rng(3)
    dist = {"dim": 2, "bins": 0, "split": False, "per_dim": False, "squash_mean": True}
    dist |= {"std_scale": 1.0, "std_min": 0.01, "low": -1.0, "high": 1.0}
    spec = pmpo.PolicySpec.parse(policy_json(dist | {"kind": "gaussian"}))
    policy = pmpo.Policy(spec, named(spec, np.array([0.3, -0.2, 0.1, 0.7, -0.4], np.float32)))
    y = policy.sample(rng, draws=40000)
    chol = policy.chol()[0]
    np.testing.assert_allclose(y.mean(axis=0), policy.mean()[0], atol=0.03)
    np.testing.assert_allclose(np.cov(y.T), chol @ chol.T, atol=0.04)
    np.testing.assert_allclose(policy.std()[0] ** 2, np.diag(chol @ chol.T), rtol=1e-5)
    assert policy.action([[3.0, -3.0]]).tolist() == [[1.0, -1.0]]

    spec = pmpo.PolicySpec.parse(policy_json(dist | {"kind": "categorical", "bins": 3}))
    logits = np.array([0.0, 1.0, -np.inf, 2.0, 0.0, 0.0], np.float32)
    policy = pmpo.Policy(spec, named(spec, logits))
    y = policy.sample(rng, draws=40000)
    assert y.dtype == np.int32 and y.shape == (40000, 2)
    share = np.stack([np.bincount(y[:, d], minlength=3) / len(y) for d in range(2)])
    np.testing.assert_allclose(share, policy.probabilities()[0], atol=0.01)
    assert policy.mode().tolist() == [[1, 0]]
    assert policy.action([[0, 1], [2, 2]]).tolist() == [[-1.0, 0.0], [1.0, 1.0]]


def test_a_policy_that_is_not_known_is_refused() -> None:
    dist = GOLDEN["dists"][0]["dist"]
    good = json.loads(policy_json(dist))
    for change in (
        {"novel": 1},
        {"dist": dist | {"novel": 1}},
        {"dist": dist | {"kind": "mixture"}},
        {"obs": "3"},
        {"hidden": [0]},
    ):
        with pytest.raises(pmpo.InvalidError):
            pmpo.PolicySpec.parse(json.dumps(good | change))
    with pytest.raises(pmpo.InvalidError):
        pmpo.PolicySpec.parse("[]")


# ---------------------------------------------------------------- the generated protocol


def test_the_generated_protocol_is_current(tmp_path: pathlib.Path) -> None:
    protoc = shutil.which("protoc")
    if protoc is None:
        pytest.skip("no protoc")
    out = tmp_path / "set"
    subprocess.run(
        [protoc, "-I", str(ROOT / "proto"), f"--descriptor_set_out={out}", "pmpo.proto"], check=True
    )
    want = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    for message in want.message_type:
        for field in message.field:
            field.ClearField("json_name")  # protoc leaves it out of the module
    have = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    assert have == want, "run clients/python/generate.sh"


def test_the_generated_types_are_current(tmp_path: pathlib.Path) -> None:
    plugin = pathlib.Path(sys.executable).parent / "protoc-gen-mypy"
    if shutil.which("protoc") is None or not plugin.exists():
        pytest.skip("no protoc, or no mypy-protobuf")
    script = HERE.parent / "generate.sh"
    env = os.environ | {"PYTHON": sys.executable}
    subprocess.run(["bash", str(script), str(tmp_path)], check=True, env=env)
    have = (HERE.parent / "src/pmpo/pmpo_pb2.pyi").read_text()
    assert have == (tmp_path / "pmpo_pb2.pyi").read_text(), "run clients/python/generate.sh"


def test_pip_installs_the_package_whole(tmp_path: pathlib.Path) -> None:
    """From a copy, because setuptools writes beside what it builds."""
    source = tmp_path / "source"
    shutil.copytree(HERE.parent, source, ignore=shutil.ignore_patterns("*.egg-info", "build"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    there = tmp_path / "there"
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(there), str(source)], check=True
    )
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(there)}
    run = subprocess.run(
        [sys.executable, "-c", "import pmpo; print(pmpo.__file__, pmpo.__version__)"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert run.stdout.split() == [str(there / "pmpo/__init__.py"), "0.1.0"]
    assert {"py.typed", "pmpo_pb2.pyi"} <= {f.name for f in (there / "pmpo").iterdir()}
