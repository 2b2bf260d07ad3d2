"""Tokens and TLS."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
from conftest import Daemon, Start, program

import pmpo
from pmpo._token import find, pick


def test_which_token_is_for_which_role(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = "observer pmp_a operator pmp_b\npmp_c"
    assert pick(several, "observer", "x") == "pmp_a"
    assert pick(several, "operator", "x") == "pmp_b"
    assert pick(several, "actor", "x") == "pmp_c"
    with pytest.raises(pmpo.InvalidError, match="labeler") as refused:
        pick("observer pmp_a", "labeler", "x")
    assert "pmp_" not in str(refused.value)
    monkeypatch.delenv("PMPO_TOKEN", raising=False)
    monkeypatch.delenv("PMPO_TOKEN_FILE", raising=False)
    assert find(None, "actor") == "" and find("pmp_z", "actor") == "pmp_z"
    file = tmp_path / "token"
    file.write_text(several)
    file.chmod(0o644)
    monkeypatch.setenv("PMPO_TOKEN_FILE", str(file))
    with pytest.raises(pmpo.InvalidError, match="chmod"):
        find(None, "observer")
    file.chmod(0o600)
    assert find(None, "observer") == "pmp_a"
    monkeypatch.setenv("PMPO_TOKEN", "pmp_d")
    assert find(None, "observer") == "pmp_d"


def pmpoctl(d: Daemon, *arguments: str) -> str:
    command = [program("pmpoctl"), *arguments, "--dir", str(d.dir)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_over_tls_with_tokens(pmpod: Start, tmp_path: pathlib.Path) -> None:
    d = pmpod()
    d.stop()
    pmpoctl(d, "certificate", "--host", "localhost")
    token = {
        role: pmpoctl(d, "token", "create", role, "--role", role).split()[0]
        for role in ("observer", "actor", "operator")
    }
    d.settings |= {
        "listen.desk": "tls+tcp://127.0.0.1:0",
        "listen.data": "tls+tcp://127.0.0.1:0",
        "listen.tls_cert": str(d.dir / "tls/server.pem"),
        "listen.tls_key": str(d.dir / "tls/server.key"),
    }
    d.start()
    url = "tls+tcp://localhost:" + d.desk.rpartition(":")[2]
    ca = str(d.dir / "tls/ca.pem")
    both = f"operator {token['operator']} observer {token['observer']}"
    with pmpo.Client(url, token=token["observer"], ca=ca) as client:
        assert client.weights(wait=30).version > 0
        with pytest.raises(pmpo.ForbiddenError):
            client.pause()
    with pmpo.Client(url, "operator", token=both, ca=ca) as operator:
        assert operator.pause()["done"] == "pause"
        assert operator.status().text["run_name"] == "test"
    with pmpo.Actor("actor", url=url, token=token["actor"], ca=ca) as actor:
        actor.append_outcomes([[0.1, 0.2]], evaluation=[1.0]).result(30)
    for wrong in ("", "pmp_" + "A" * 43, token["actor"]):
        with pytest.raises((pmpo.UnauthenticatedError, pmpo.ForbiddenError)) as refused:
            pmpo.Client(url, token=wrong, ca=ca)
        assert not wrong or wrong not in str(refused.value)
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(
        [program("pmpoctl"), "certificate", "--host", "localhost", "--dir", str(other)], check=True
    )
    with pytest.raises(pmpo.NoAnswerError):
        pmpo.Client(url, token=token["observer"], ca=str(other / "tls/ca.pem"), connect_timeout=1)
