"""What the web page's tests in Python share: their environment, a daemon, items to judge.

Tests start by `enter_venv(__file__)`: it makes an environment with what requirements.txt pins, beside the build, and goes on
in it. Without network or without a browser they are skipped (exit status 77), and say so."""
import ctypes
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("PMP_SOURCE", HERE.parents[1]))
BUILD = pathlib.Path(os.environ.get("PMP_BUILD", SOURCE / "build" / "release"))
BIN = pathlib.Path(os.environ.get("PMP_BIN", BUILD / "bin"))
SKIPPED = 77


def skip(why):
    print(f"SKIPPED: {why}", flush=True)
    sys.exit(SKIPPED)


def _python():
    """Debian's own, where a version manager's shim is in the way."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def enter_venv(script):
    wanted = (HERE / "requirements.txt").read_bytes()
    root = pathlib.Path(os.environ.get("PMP_WEB_VENV", BUILD / "venv")) / hashlib.sha256(wanted).hexdigest()[:16]
    if pathlib.Path(sys.prefix) == root:
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{root}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            for python in (_python(), sys.executable):
                if subprocess.run([python, "-m", "venv", root], capture_output=True).returncode == 0:
                    break
            else:
                skip("python3 makes no virtual environment (Debian: python3-venv)")
            pip = subprocess.run([root / "bin" / "pip", "--disable-pip-version-check", "install", "-q", "-r", HERE / "requirements.txt"],
                                 capture_output=True, text=True)
            if pip.returncode:
                skip(f"what tests/web/requirements.txt names could not be installed: {pip.stderr.strip()[-300:]}")
            (root / "complete").touch()
    os.execv(root / "bin" / "python", [root / "bin" / "python", script, *sys.argv[1:]])


def browser_path():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    skip("there is no chromium (Debian: chromium)")


def eventually(what, seconds=30):
    """Asks until it holds."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def _die_with_the_test():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Daemon:
    """A pmpod of three-dimensional outcomes that people judge, in a folder of its own."""

    def __init__(self, *settings, config=None):
        """config: a YAML file in place of the settings here."""
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pmpo-web-"))
        self.dir = self.root / "run"
        self.config = config
        addresses = ["listen.desk=tcp://127.0.0.1:0", "listen.data=tcp://127.0.0.1:0"]
        self.settings = [*addresses, *settings] if config else [*addresses, "label.judge=people", "learner.batch=16",
                         "learner.min_size=16", "learner.capacity=4096", "limits.chunk_rows=256", "learner.metrics_ms=50",
                         "spec.action_dim=2", *settings]
        self.process = None
        self.actor = None
        self.trust = None  # of a daemon with TLS

    def pmpoctl(self, *arguments):
        done = subprocess.run([str(BIN / "pmpoctl"), *arguments, "-D", str(self.dir)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make_certificate(self):
        """For its next start."""
        self.pmpoctl("certificate", "--host", "127.0.0.1")
        tls = self.dir / "tls"
        self.settings += [f"listen.tls_cert={tls / 'server.pem'}", f"listen.tls_key={tls / 'server.key'}"]
        self.trust = ssl.create_default_context(cafile=str(tls / "ca.pem"))

    def make_token(self, name, role, *more):
        token = self.pmpoctl("token", "create", name, "--role", role, *more).split()[-1]
        if self.process.poll() is None:  # it looks once a second
            eventually(lambda: self.request("POST", "/api/session", {"token": token})[0] != 401)
        return token

    def start(self):
        arguments = [str(BIN / "pmpod"), "-d", str(self.dir)]
        arguments += ["-c", str(self.config)] if self.config else []
        for s in self.settings:
            arguments += ["-s", s]
        (self.dir / "endpoints.json").unlink(missing_ok=True)
        self.log = open(self.root / "log", "ab")
        self.process = subprocess.Popen(arguments, stderr=self.log, stdout=self.log, preexec_fn=_die_with_the_test)
        ok = eventually(lambda: (self.dir / "endpoints.json").exists() or self.process.poll() is not None)
        if not ok or self.process.poll() is not None:
            raise AssertionError("pmpod did not start: " + (self.root / "log").read_text()[-2000:])
        self.endpoints = json.loads((self.dir / "endpoints.json").read_text())
        self.url = (self.dir / "http.url").read_text().strip()
        self.base = self.endpoints["http"]
        self.token = self.url.partition("#token=")[2]
        return self

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.log.close()
        return code

    def end(self):
        if self.actor:
            self.actor.kill()
            self.actor.wait()
        if self.process and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)

    def act(self, *arguments):
        """An actor that goes on until the test ends."""
        with open(self.root / "actor.log", "ab") as log:
            self.actor = subprocess.Popen([str(BIN / "pmpo-actor"), *arguments, "--connect", self.endpoints["desk"], "--name", "actor-1"],
                                          stderr=log, stdout=log, preexec_fn=_die_with_the_test)

    def append(self, items, kind="media"):
        subprocess.run([str(BUILD / "tests" / "web_test_http"), "append", self.endpoints["data"], str(items), kind], check=True)

    def request(self, method, path, body=None, session=None):
        """(status, JSON or text)"""
        r = urllib.request.Request(self.base + path, method=method, data=None if body is None else json.dumps(body).encode())
        if session:
            r.add_header("Authorization", f"Bearer {session}")
        try:
            with urllib.request.urlopen(r, timeout=30, context=self.trust) as answer:
                status, text, kind = answer.status, answer.read(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            status, text, kind = error.code, error.read(), error.headers["Content-Type"]
        return status, json.loads(text) if kind == "application/json" else text.decode()

    def session(self, role, name="tester", token=None):
        hello = {"role": role, "name": name, "token": self.token} if token is None else {"token": token}
        status, said = self.request("POST", "/api/session", hello)
        assert status == 200, said
        return said["session"]

    def verdicts(self, token=None):
        """Everything that people said, oldest first; token: an observer's, where tokens are wanted."""
        session, out, after = self.session("observer", "eye", token), [], 0
        while True:
            status, said = self.request("GET", f"/api/review/verdicts?after={after}&count=500", session=session)
            assert status == 200, said
            if not said["verdicts"]:
                return out
            out += said["verdicts"]
            after = said["verdicts"][-1]["id"]
