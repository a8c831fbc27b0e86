# SPDX-License-Identifier: Apache-2.0
"""Real programs in a throw-away folder: one server, any number of offices, killed and restarted at will, and a proxy between them.

Used by the tests that attack: test_kill9, test_isolation, test_hostile, test_catalogue_upgrade, test_bad_days, test_query. Where
tz.py has one server per test with its defaults, here catalogues, limits and addresses differ per program.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import tz

HERE = os.path.dirname(os.path.abspath(__file__))
CATALOGUE = os.path.join(tz.SOURCE, "common", "catalogue")
PROTO = os.path.join(tz.SOURCE, "proto")
TAIZHANGD, TAIZHANG, Failed = tz.TAIZHANGD, tz.TAIZHANG, tz.Failed
DONE, FAILED, USAGE, PARTLY, NOT_ENROLLED, UNREACHABLE, BUSY, INTEGRITY, BAD_INPUT, INCOMPATIBLE = range(10)
READY_TIMEOUT = 30

sys.path.insert(0, os.path.join(HERE, "pyclient"))


def check(truth, *what):
    if not truth:
        raise Failed(" ".join(str(w) for w in what))


def load_protocol(folder):
    """The second implementation's module with sync.proto compiled into @folder."""
    import taizhang_py
    os.makedirs(folder, exist_ok=True)
    taizhang_py.load_protocol(PROTO, folder)
    return taizhang_py


def environment():
    """tz.environment, with English messages."""
    return tz.environment(LC_ALL="en_US.UTF-8")


class Run:
    """A finished program."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line]

    def __repr__(self):
        return f"{' '.join(map(str, self.argv))}\n  exit {self.code}\n  {self.out[-1500:]}\n  {self.err[-1500:]}"


def run(argv, ok=(0,), timeout=60, env=None, preexec=None, text_in=None):
    """Run to the end; Failed when the exit code is not in @ok (None: any)."""
    done = subprocess.run(argv, input=text_in, capture_output=True, timeout=timeout, env=env or environment(), preexec_fn=preexec,
                          text=True, check=False)
    result = Run(argv, done.returncode, done.stdout, done.stderr)
    check(ok is None or result.code in ok, "unexpected exit:", result)
    return result


def wait_for(truth, seconds=15, what="", every=0.02):
    """Poll until @truth() is true; returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = truth()
        if value:
            return value
        check(time.monotonic() < end, "waited in vain for", what)
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One `taizhangd` data folder. @public: the address in invitations, when a proxy stands in front."""

    def __init__(self, folder, catalogue=None, public=None, flags=()):
        self.data, self.flags, self.process, self.port = folder, list(flags), None, 0
        self.env = environment()
        if catalogue:
            self.env["TAIZHANG_CATALOGUE"] = catalogue
        if public:
            self.env["TAIZHANGD_PUBLIC_ADDRESS"] = public
        self.log = open(folder + ".log", "ab")
        self.cli("init")

    def cli(self, *args, ok=(0,), timeout=120, preexec=None):
        return run([TAIZHANGD, *args, "--data", self.data], ok, timeout, self.env, preexec)

    def start(self, preexec=None, ok=True):
        """Serve; returns when the ready line was printed (or, with ok=False, when the program has ended)."""
        argv = [TAIZHANGD, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *self.flags]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log, env=self.env, preexec_fn=preexec, text=True)
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)\s*$", line.strip()) or re.search(r"address=\S*:(\d+)", line)
        if not ok:
            return self.process.wait(READY_TIMEOUT)
        check(found, "no ready line:", repr(line), self.tail())
        self.port = int(found.group(1))
        return self.port

    def tail(self, lines=20):
        self.log.flush()
        with open(self.data + ".log", encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def stop(self):
        """SIGTERM and a clean end."""
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        self.process = None
        check(code == 0, "the server ended with", code, self.tail())

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def status(self):
        return self.cli("status", "--json").json()

    def invite(self, role, area, name):
        return self.cli("invite", "--role", role, "--area", area, "--name", name, "--json").json()["code"]

    def dump_as(self, name):
        return self.cli("dump", "--as-device", name).out

    def sql(self, statement, *values):
        """Read the server's database beside the running server."""
        return read_sql(os.path.join(self.data, "server.db"), statement, *values)


def read_sql(path, statement, *values):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return db.execute(statement, values).fetchall()
    finally:
        db.close()


class Office:
    """One `taizhang` data folder."""

    def __init__(self, folder, catalogue=None):
        self.data, self.name, self.agent = folder, os.path.basename(folder), None
        self.env = environment()
        self.catalogue(catalogue)

    def catalogue(self, folder):
        if folder:
            self.env["TAIZHANG_CATALOGUE"] = folder

    def argv(self, *args):
        return [TAIZHANG, *args, "--data", self.data]

    def __call__(self, *args, ok=(0,), timeout=60, preexec=None):
        return run(self.argv(*args), ok, timeout, self.env, preexec)

    def join(self, server, role, area, sync=True):
        self.area = area
        self("join", server.invite(role, area, self.name))
        if sync:
            self.sync()
        return self

    def sync(self, ok=(0, 3), timeout=60):
        return self("sync", ok=ok, timeout=timeout)

    def add(self, rtype, *fields, ok=(0,)):
        """Returns the new record's id. A record without a district goes into the office's own."""
        if not any(f.startswith("district_code=") for f in fields):
            fields = (*fields, f"district_code={self.area}")
        return self("add", rtype, *fields, "--json", ok=ok).json()["id"]

    def edit(self, rtype, rid, *fields, ok=(0,), **more):
        return self("edit", rtype, rid, *fields, ok=ok, **more)

    def show(self, rtype, rid):
        return self("show", rtype, rid, "--json").json()

    def status(self):
        return self("status", "--json", ok=(0, 3)).json()

    def dump(self):
        return self("dump").out

    def balance(self):
        return self("balance", "--json").json()

    def popen(self, *args):
        return subprocess.Popen(self.argv(*args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env)

    def database(self):
        found = [f for f in os.listdir(self.data) if f.endswith(".db")]
        check(len(found) == 1, "databases in", self.data, found)
        return os.path.join(self.data, found[0])

    def sql(self, statement, *values):
        return read_sql(self.database(), statement, *values)


@contextlib.contextmanager
def world():
    """A folder that goes away; stays with TZ_KEEP=1."""
    folder = tempfile.mkdtemp(prefix="tz-e2e-")
    try:
        yield folder
    finally:
        if os.environ.get("TZ_KEEP") == "1":
            print("kept", folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(server):
    """Start @server; whatever happens, nothing keeps running."""
    server.start()
    try:
        yield server
    finally:
        if server.alive():
            with contextlib.suppress(ProcessLookupError):
                server.process.send_signal(signal.SIGKILL)
            server.process.wait()


@contextlib.contextmanager
def a_server():
    """A folder and a server that runs in it, whatever the test does to it meanwhile."""
    with world() as folder, running(Server(os.path.join(folder, "server"))) as server:
        yield folder, server


class Proxy:
    """Stands between offices and the server: sees how many bytes go which way, can hold the answers and cut every line.

    A link counts turns (bytes up, down, up …). TLS hides the content, but the fifth turn is the first after Welcome: from there on
    an up-turn of PUSH_BYTES without an answer carries a Push.
    """

    PUSH_BYTES = 700
    FIRST_TURN_AFTER_WELCOME = 5

    def __init__(self):
        self.server = None           # the Server behind; its port is looked up at each connection
        self.gate = threading.Event()  # clear: nobody gets through
        self.gate.set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Condition()
        self.links = set()
        self.armed = False  # hold the answers of a link once a Push went up
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            if not self.gate.is_set():
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.server.port), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        link = Link(client, server)
        with self.lock:
            self.links.add(link)
        threads = [threading.Thread(target=self._copy, args=(link, up), daemon=True) for up in (True, False)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        link.close()
        with self.lock:
            self.links.discard(link)
            self.lock.notify_all()

    def _copy(self, link, up):
        source, target = (link.client, link.server) if up else (link.server, link.client)
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                with self.lock:
                    if not up:
                        while self.armed and link.push_on_wire and not link.closed:
                            self.lock.wait(0.05)
                        if link.closed:
                            break
                    link.count(up, len(data), self)
                    self.lock.notify_all()
                target.sendall(data)
        except OSError:
            pass
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        if not up:
            link.close()

    def arm(self):
        with self.lock:
            self.armed = True

    def wait_for_push(self, seconds):
        """A link with a Push on its way and no byte of the answer delivered, or None."""
        end = time.monotonic() + seconds
        with self.lock:
            while True:
                for link in self.links:
                    if link.push_on_wire:
                        return link
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self.lock.wait(left)

    def open_links(self):
        with self.lock:
            return len(self.links), sum(1 for link in self.links if link.push_on_wire)

    def cut(self):
        """Every line breaks; nothing that was held is delivered."""
        with self.lock:
            self.armed = False
            for link in self.links:
                link.close()
            self.lock.notify_all()

    def close(self):
        self.listener.close()
        self.cut()


class Link:
    def __init__(self, client, server):
        self.client, self.server = client, server
        self.turn, self.last_up, self.turn_bytes = 0, None, 0
        self.push_on_wire = self.closed = False

    def count(self, up, n, proxy):
        if up != self.last_up:
            self.turn, self.last_up, self.turn_bytes = self.turn + 1, up, 0
        self.turn_bytes += n
        self.push_on_wire = up and self.turn >= proxy.FIRST_TURN_AFTER_WELCOME and self.turn_bytes >= proxy.PUSH_BYTES

    def close(self):
        self.closed = True
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


def main(*tests):
    """Run the functions given, print one line each, exit 1 when one failed."""
    wanted = sys.argv[1:]
    failed = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        began = time.monotonic()
        try:
            test()
            print(f"ok    {test.__name__}  {time.monotonic() - began:.1f} s", flush=True)
        except Exception as e:  # noqa: BLE001 - the other tests still run
            failed += 1
            print(f"FAIL  {test.__name__}  {time.monotonic() - began:.1f} s\n{e}", flush=True)
            if not isinstance(e, Failed):
                traceback.print_exc()
    sys.exit(1 if failed else 0)
