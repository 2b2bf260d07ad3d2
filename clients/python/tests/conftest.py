"""A real pmpod for each test that wants one: its own folder, free ports, killed at the end."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

START_S = 60.0

ADDRESSES = {
    "listen.desk": "tcp://127.0.0.1:0",
    "listen.data": "tcp://127.0.0.1:0",
    "listen.http": "off",
}
SMALL = ADDRESSES | {
    "run.name": "test",
    "spec.shape": "outcomes",
    "spec.observation": "[]",
    "spec.action": "box",
    "spec.action_dim": "2",
    "policy.hidden": "[16]",
    "learner.batch": "16",
    "learner.min_size": "32",
    "learner.capacity": "100000",
    "learner.samples_per_insert": "1",
    "learner.refresh_period": "10",
    "learner.metrics_ms": "20",
    "optim.lr": "0.01",
}


def program(name: str) -> str:
    folder = os.environ.get("PMP_BIN")
    if not folder:
        pytest.skip("PMP_BIN is not set: the folder of pmpod and its programs")
    return str(pathlib.Path(folder) / name)


class Daemon:
    """One pmpod. `stop` and `kill` end it, `start` starts it again on the same addresses."""

    def __init__(
        self,
        folder: pathlib.Path,
        settings: dict[str, str],
        config: pathlib.Path | None = None,
    ) -> None:
        self.dir = folder / "run"
        self.log = folder / "log"
        self.config = config
        self.settings = {**(SMALL if config is None else ADDRESSES), **settings}
        self.process: subprocess.Popen[bytes] | None = None
        self.desk = self.data = ""

    def start(self) -> Daemon:
        command = [program("pmpod"), "--dir", str(self.dir)]
        if self.config is not None:
            command += ["--config", str(self.config)]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        until = time.monotonic() + START_S
        while not self._ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.01)
        self.settings |= {"listen.desk": self.desk, "listen.data": self.data}
        return self

    def _ready(self) -> bool:
        try:
            said = json.loads((self.dir / "endpoints.json").read_text())
        except (OSError, ValueError):
            return False
        self.desk, self.data = said["desk"], said["data"]
        assert self.process is not None
        return bool(said["pid"] == self.process.pid)

    def _end(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(60)
        self.process = None

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)


Start = Callable[..., Daemon]


@pytest.fixture
def pmpod(tmp_path: pathlib.Path) -> Iterator[Start]:
    """`pmpod({"run.seed": "2"})` starts a daemon with these settings over the small ones, or over a
    configuration."""
    daemons: list[Daemon] = []

    def start(settings: dict[str, str] | None = None, config: pathlib.Path | None = None) -> Daemon:
        folder = tmp_path / f"daemon-{len(daemons)}"
        folder.mkdir()
        daemons.append(Daemon(folder, settings or {}, config))
        return daemons[-1].start()

    yield start
    for daemon in daemons:
        if daemon.process is not None:
            daemon.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.01)
