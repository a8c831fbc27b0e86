# SPDX-License-Identifier: Apache-2.0
"""Helpers of the end-to-end tests: temporary folders, a server on a free port, commands and their JSON.

Environment: TAIZHANGD, TAIZHANG (paths of the programs), TZ_SOURCE (the source tree). Everything a test starts ends with it.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

TAIZHANGD = os.environ.get("TAIZHANGD", "taizhangd")
TAIZHANG = os.environ.get("TAIZHANG", "taizhang")
SOURCE = os.environ.get("TZ_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
COMMAND_SECONDS = 60  # sanitizer builds on busy machines


def environment(**extra):
    """The environment of a program under test: no settings of the machine's leak in."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TAIZHANG") and k not in ("LANG", "LC_ALL")}
    env["TAIZHANG_CATALOGUE"] = os.path.join(SOURCE, "common", "catalogue")
    env.update(extra)
    return env


class Failed(AssertionError):
    pass


class Done:
    """What a command left behind."""

    def __init__(self, args, process):
        self.args = args
        self.code = process.returncode
        self.out = process.stdout.decode("utf-8", "replace")
        self.err = process.stderr.decode("utf-8", "replace")

    def json(self):
        """The one object on stdout."""
        return json.loads(self.out)

    def lines(self):
        """JSON Lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(program, *args, code=0, env=None, input=None):
    """Run a command to its end. `code` is the exit code it must have; None accepts any."""
    argv = [program, *map(str, args)]
    p = subprocess.run(argv, env=env or environment(), input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=COMMAND_SECONDS, check=False)
    done = Done(argv, p)
    if code is not None and done.code != code:
        raise Failed(f"{argv}: exit {done.code}, expected {code}\n{done.out}\n{done.err}")
    return done


def taizhangd(*args, **kw):
    return run(TAIZHANGD, *args, **kw)


def taizhang(*args, **kw):
    return run(TAIZHANG, *args, **kw)


class Server:
    """A server with a data folder of its own. start() and stop() may alternate; the port stays the same."""

    def __init__(self, folder, init=True):
        self.data = os.path.join(folder, "server")
        self.log = os.path.join(folder, "server.log")
        self.port = 0
        self.process = None
        self.ready = None
        if init:
            taizhangd("init", "--data", self.data)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, *args, env=None):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [TAIZHANGD, "serve", "--data", self.data, "--listen", self.address, "--json", *map(str, args)],
                env=env or environment(), stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise Failed(f"the server did not start: exit {code}\n{self.logged()}")
        self.ready = json.loads(line)
        self.port = int(self.ready["address"].rsplit(":", 1)[1])
        return self

    def stop(self, seconds=20):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        self.process.kill()
        return self.wait(20)

    def wait(self, seconds):
        try:
            code = self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
        self.process = None
        return code

    def file(self, name):
        """Content of a file of the data folder."""
        with open(os.path.join(self.data, name), "rb") as f:
            return f.read()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def logged(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def __call__(self, *args, **kw):
        """Run an administrator's command: words first, options after them."""
        return taizhangd(*args, "--data", self.data, **kw)

    def status(self):
        return self("status", "--json").json()

    def invite(self, name, role="D_CLERK", area="120101"):
        address = [] if self.alive() else ["--address", self.address]
        return self("invite", "--role", role, "--area", area, "--name", name, "--json", *address).json()["code"]


class TestCase(unittest.TestCase):
    """A temporary folder per test, and no process that outlives it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tz-e2e-")
        self.servers = []
        self.addCleanup(self._clean)

    def _clean(self):
        for s in self.servers:
            if s.alive():
                s.kill()
            elif s.process is not None:
                s.wait(1)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def server(self, start=True, name="a", **kw):
        folder = self.path(name)
        os.makedirs(folder)
        s = Server(folder, **kw)
        self.servers.append(s)
        return s.start() if start else s
