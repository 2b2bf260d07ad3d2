"""The examples and the notebook, as they are, against a real daemon."""

from __future__ import annotations

import importlib.util
import pathlib
from types import ModuleType

import pytest
from conftest import Start

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
ROOT = HERE.parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bandit_actor(pmpod: Start) -> None:
    d = pmpod(config=ROOT / "examples/bandit/sphere.yaml")
    assert load("bandit_actor").main(d.desk, 800) < 1.0


def test_scripted_labeler(pmpod: Start) -> None:
    d = pmpod(config=ROOT / "examples/people/outcomes.yaml")
    before, after = load("scripted_labeler").main(d.desk, 320)
    assert after < 0.7 * before


def test_gym_pendulum(pmpod: Start) -> None:
    pytest.importorskip("gymnasium")
    d = pmpod(config=EXAMPLES / "pendulum.yaml")
    assert load("gym_pendulum").main(d.desk, 600).steps == 600


def test_notebook(pmpod: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    d = pmpod(config=ROOT / "examples/people/outcomes.yaml")
    monkeypatch.setenv("PMPO_URL", d.desk)
    notebook = nbformat.read(EXAMPLES / "pmpo.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "strip the outputs"
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
