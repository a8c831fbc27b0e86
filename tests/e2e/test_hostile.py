# SPDX-License-Identifier: Apache-2.0
"""P11: peers that lie, stall and flood get no session, no memory and nobody else's turn.

First every wrong way to open a connection; then a thousand hostile connections of every kind, with an office at work beside them, after
which the server must be as large as it was before; then more half-open connections than the cap allows.
"""
import contextlib
import datetime
import os
import random
import socket
import ssl
import struct
import threading
import time

import world as w
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SEED = int(os.environ.get("TZ_SEED", 7))
CONNECTIONS = 1000
OPEN_AT_ONCE = 120      # half of the cap of unauthenticated connections: an honest office still gets in
UNAUTHENTICATED_MAX = 256
MEMORY_FACTOR = int(os.environ.get("TZ_MEMORY_FACTOR", "1"))  # ThreadSanitizer keeps several bytes for one
GROWTH_MAX_KIB = 4 * 1024 * MEMORY_FACTOR
HANDSHAKE_SECONDS = 5
DEAF_MIB, DEAF_GROWTH_MAX_KIB = 64, 12 * 1024 * MEMORY_FACTOR  # sent to the server; what it may hold for a peer that never reads
MIB = 1024 * 1024
SESSION, ENROL = "taizhang/1", "taizhang-enrol/1"

PING = struct.pack(">IBBH", 2, 11, 0, 0) + b"\x08\x01"

py = None  # the second implementation


# ---- ways to connect ------------------------------------------------------------------------------------------------------------


def context(alpn=(SESSION,), chain=None, most=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if most:
        c.minimum_version, c.maximum_version = ssl.TLSVersion.TLSv1_2, most
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if chain:
        c.load_cert_chain(*chain)
    return c


def foreign_identity(folder):
    """A certificate of another CA, with everything else as it should be."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "taizhang")])
    ca, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime(2017, 1, 1)
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now.replace(year=2099))
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), False).sign(ca, hashes.SHA256()))
    paths = [os.path.join(folder, f"foreign.{kind}") for kind in ("crt", "key")]
    with open(paths[0], "wb") as f:
        f.write(cert.public_bytes(serialization.Encoding.PEM))
    with open(paths[1], "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


def hello():
    body = py.pb.Hello(protocol=1, software="hostile", catalogue_version=1, incarnation=1).SerializeToString()
    return frame(1, 0, body)


def frame(kind, lane, body, length=None, flags=0):
    return struct.pack(">IBBH", len(body) if length is None else length, kind, flags, lane) + body


def answer_to_hello(port, tls):
    """Type of the first frame that comes back, or None when the connection ends without one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=8) as raw, tls.wrap_socket(raw) as s:
            s.sendall(hello())
            head = s.recv(8)
            return head[4] if len(head) == 8 else None
    except (ssl.SSLError, ConnectionError):
        return None


def wrong_openings_get_no_session(server, folder, device):
    chain, foreign = identity(device), foreign_identity(folder)
    w.check(answer_to_hello(server.port, context(chain=chain)) == 2, "the right certificate gets no Welcome: nothing is tested")
    ways = {"no certificate": context(), "certificate of another CA": context(chain=foreign),
            "TLS 1.2": context(chain=chain, most=ssl.TLSVersion.TLSv1_2), "wrong ALPN": context(("http/1.1",), chain),
            "no ALPN": context((), chain), "ALPN of an unknown version": context(("taizhang/2",), chain)}
    for name, tls in ways.items():
        w.wait_for(lambda: server.status()["connections"] == 0, what="old connections to end")
        before = server.status()
        w.check(answer_to_hello(server.port, tls) is None, name, "is answered")
        w.wait_for(lambda: server.status()["refused_handshakes"] > before["refused_handshakes"], what=f"refusal of: {name}")
        after = server.status()
        w.check(after["frames"] == before["frames"], name, "got a frame through")
        w.check(after["sessions"] == 0, name, "has a session")
    w.check(answer_to_hello(server.port, context((ENROL,))) == 10, "Hello on the enrolment protocol is not refused")


def revoked_devices_get_the_order_to_wipe_and_nothing_else(server, device):
    server.cli("device", "revoke", device.name)
    w.check(answer_to_hello(server.port, context(chain=identity(device))) == 28, "a revoked device is not told to wipe")
    for kind, lane, body in ((5, 2, b""), (20, 0, b""), (22, 0, py.pb.DigestRequest(round=1).SerializeToString()),
                             (24, 0, py.pb.HistoryAsk(type=1, id=bytes(15) + b"1").SerializeToString()), (1, 0, hello()[8:])):
        answers = frames_after_hello(server.port, context(chain=identity(device)), frame(kind, lane, body))
        w.check(answers == [28, 10], "a revoked device asked for", kind, "and got", answers)


def frames_after_hello(port, tls, question):
    """Types of the frames that come until the server closes."""
    kinds, data = [], b""
    with socket.create_connection(("127.0.0.1", port), timeout=8) as raw, tls.wrap_socket(raw) as s:
        s.sendall(hello())
        while not data:
            data = s.recv(65536)
        s.sendall(question)
        while piece := s.recv(65536):
            data += piece
    while len(data) >= 8:
        length, kind, _, _ = struct.unpack(">IBBH", data[:8])
        kinds.append(kind)
        data = data[8 + length:]
    return kinds


def identity(device):
    return device._path("cert.pem"), device._path("key.pem")


# ---- kinds of attack -------------------------------------------------------------------------------------------------------------


class Attacker:
    def __init__(self, server, device):
        self.server, self.device, self.random = server, device, random.Random(SEED)
        self.anonymous, self.enrolled = context((ENROL,)), context(chain=identity(device))
        self.open = []

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=8)

    def tls(self, how):
        return how.wrap_socket(self.tcp())

    def session(self):
        """An enrolled device's connection after Welcome."""
        s = self.tls(self.enrolled)
        s.sendall(hello())
        self.read_frame(s)
        return s

    @staticmethod
    def read_frame(s):
        data = b""
        while len(data) < 8:
            data += s.recv(8 - len(data)) or raise_closed()
        length, kind = struct.unpack(">IB", data[:5])
        while length:
            length -= len(s.recv(min(length, 65536)) or raise_closed())
        w.check(kind == 2, "no Welcome but", kind)

    def keep(self, s):
        """Leave it open; the oldest goes when there are many."""
        self.open.append(s)
        while len(self.open) > OPEN_AT_ONCE:
            self.drop(self.open.pop(0))

    @staticmethod
    def drop(s):
        with contextlib.suppress(OSError):
            s.close()

    def drop_all(self):
        while self.open:
            self.drop(self.open.pop())

    def attack(self, kind):
        """One connection; whatever the server does to it is fine."""
        try:
            getattr(self, kind)()
        except (OSError, ssl.SSLError):
            pass

    # before authentication

    def random_bytes(self):
        s = self.tcp()
        s.sendall(self.random.randbytes(self.random.randrange(1, 4000)))
        self.keep(s)

    def silence(self):
        self.keep(self.tcp())

    def client_hello(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            self.enrolled.wrap_bio(incoming, outgoing).do_handshake()
        return outgoing.read()

    def half_client_hello(self):
        data, s = self.client_hello(), self.tcp()
        s.sendall(data[:self.random.randrange(1, len(data))])
        self.keep(s)

    def half_handshake(self):
        s = self.tcp()
        s.sendall(self.client_hello())
        self.keep(s)

    def handshake_then_silence(self):
        self.keep(self.tls(self.enrolled))

    def oversized_early(self):
        how = self.random.choice((self.anonymous, self.enrolled))
        s = self.tls(how)
        s.sendall(frame(self.random.choice((1, 14, 3)), 0, b"x" * 100, self.random.choice((4097, MIB, 2**32 - 1))))
        self.keep(s)

    def early_push(self):
        s = self.tls(self.enrolled)
        s.sendall(frame(3, 1, b"\x0a\x02xx"))
        self.keep(s)

    def slow_hello(self):
        s = self.tls(self.enrolled)
        for byte in hello()[:12]:
            s.sendall(bytes((byte,)))
        self.keep(s)

    def guessed_invitation(self):
        s = self.tls(self.anonymous)
        s.sendall(frame(14, 0, py.pb.Enrol(protocol=1, software="hostile", secret=self.random.randbytes(16),
                                           csr=self.random.randbytes(300)).SerializeToString()))
        self.keep(s)

    # after authentication

    def oversized(self):
        s = self.session()
        s.sendall(frame(3, 1, b"x" * 1000, self.random.choice((MIB + 1, 2**31, 2**32 - 1))))
        self.keep(s)

    def nested(self):
        s = self.session()
        s.sendall(frame(3, 1, nest(64 * 1024, self.random.choice((1, 11, 15, 100)))))
        self.keep(s)

    def nested_changeset(self):
        s = self.session()
        s.sendall(frame(3, 1, field(1, nest(64 * 1024, self.random.choice((11, 14, 200))))))
        self.keep(s)

    def many_changesets(self):
        s = self.session()
        s.sendall(frame(3, 1, field(1, b"x") * 300_000))
        self.keep(s)

    def many_ops(self):
        s = self.session()
        s.sendall(frame(3, 1, field(1, field(11, b"") * 100_000)))
        self.keep(s)

    def many_numbers(self):
        s = self.session()
        s.sendall(frame(3, 1, field(1, field(11, field(7, b"\x01" * 200_000)))))
        self.keep(s)

    def many_cursors(self):
        s = self.session()
        s.sendall(frame(5, 2, field(1, b"") * 400_000))
        self.keep(s)

    def wrong_ack(self):
        s = self.session()
        s.sendall(frame(8, 2, b"\x08\xff\xff\xff\xff\x0f"))
        self.keep(s)

    def unknown_frames(self):
        s = self.session()
        s.sendall(frame(self.random.choice((0, 2, 9, 13, 31, 255)), self.random.choice((0, 1, 2, 9)), b"", flags=self.random.choice((0, 1, 128))))
        self.keep(s)

    def slow_push(self):
        s = self.session()
        s.sendall(frame(3, 1, b"", MIB))
        for _ in range(20):
            s.sendall(b"\x0a")
        self.keep(s)

    def deaf(self):
        """Asks and never reads."""
        s = self.session()
        s.settimeout(0.05)
        with contextlib.suppress(OSError):
            s.sendall(city_and_home())
            for _ in range(20):
                s.sendall(PING * 500)
        self.keep(s)


KINDS = ["random_bytes", "silence", "half_client_hello", "half_handshake", "handshake_then_silence", "oversized_early", "early_push",
         "slow_hello", "guessed_invitation", "oversized", "nested", "nested_changeset", "many_changesets", "many_ops", "many_numbers", "many_cursors",
         "wrong_ack", "unknown_frames", "slow_push", "deaf"]


def city_and_home():
    """A Pull of everything the device may have."""
    cursors = [field(1, field(1, d.encode()) + b"\x18" + bytes((tier,))) for d in ("", "120101") for tier in (0, 1)]
    return frame(5, 2, b"".join(cursors))


def raise_closed():
    raise ConnectionResetError


def field(number, body):
    return py.v.put_varint(number << 3 | 2) + py.v.put_varint(len(body)) + body


def nest(size, number):
    """Length-delimited fields inside each other, @size bytes in all."""
    parts, inner = [], 0
    while inner < size:
        head = py.v.put_varint(number << 3 | 2) + py.v.put_varint(inner)
        parts.append(head)
        inner += len(head)
    return b"".join(reversed(parts))


# ---- under attack ----------------------------------------------------------------------------------------------------------------


class Worker(threading.Thread):
    """An honest office: saves and syncs without pause."""

    def __init__(self, office):
        super().__init__(daemon=True)
        self.office, self.stopping, self.rounds, self.broken, self.slowest = office, threading.Event(), 0, None, 0.0

    def run(self):
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                self.office.add("organisation", f"name=平安{self.rounds}号")
                self.office.sync(ok=(0,))
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.rounds += 1
                self.stopping.wait(0.3)
        except Exception as e:  # noqa: BLE001 - reported by the main thread
            self.broken = e


def rest(server, attacker, seconds=20):
    """Everything hostile is gone."""
    attacker.drop_all()
    w.wait_for(lambda: server.status()["unauthenticated"] == 0, seconds, "hostile connections to end")


def a_thousand_hostile_connections(server, attacker, office):
    for kind in KINDS * 12:
        attacker.attack(kind)
    worker = Worker(office)
    worker.start()
    w.wait_for(lambda: worker.rounds >= 2 or worker.broken, 60, "the honest office to start")
    grown = []
    for _ in range(2):  # a leak grows every time, a cache that fills up does so once
        grown.append(flood(server, attacker))
        if grown[-1] <= GROWTH_MAX_KIB:
            break
    worker.stopping.set()
    worker.join(60)
    w.check(worker.broken is None, "the honest office was disturbed:", worker.broken)
    w.check(worker.rounds >= 10, "the honest office only got", worker.rounds, "rounds done")
    print(f"the office beside them synced {worker.rounds} times, the slowest in {worker.slowest:.1f} s")
    w.check(grown[-1] <= GROWTH_MAX_KIB, "the server grew by", grown, "KiB")


def flood(server, attacker):
    """A thousand connections; KiB by which the server is larger when they are gone."""
    rest(server, attacker)
    before, most = server.rss_kib(), 0
    for n in range(CONNECTIONS):
        attacker.attack(KINDS[n % len(KINDS)])
        if n % 100 == 50:
            status = server.status()
            most = max(most, status["unauthenticated"])
            w.check(status["unauthenticated"] <= UNAUTHENTICATED_MAX, status)
    rest(server, attacker)
    after = server.rss_kib()
    print(f"{CONNECTIONS} hostile connections: server {before} KiB before, {after} KiB after; at most {most} unauthenticated at a time")
    return after - before


def a_peer_that_never_reads_is_held_to_its_queue(server, attacker):
    """Pings without end and never a look at the answers: the server stops reading or hangs up, and holds one queue at most."""
    rest(server, attacker)
    before = server.rss_kib()
    s = attacker.session()
    s.settimeout(2)
    sent = most = 0
    try:
        while sent < DEAF_MIB * MIB:
            s.sendall(PING * 5000)
            sent += len(PING) * 5000
            most = max(most, server.rss_kib())
    except (OSError, ssl.SSLError):
        pass
    attacker.drop(s)
    print(f"a deaf peer got {sent // 1024} KiB of questions in; the server grew by {most - before} KiB meanwhile")
    w.check(sent < DEAF_MIB * MIB, "the server read", sent, "bytes of a peer that takes no answer")
    w.check(most - before <= DEAF_GROWTH_MAX_KIB, "the server grew by", most - before, "KiB for a peer that takes no answer")
    w.wait_for(lambda: server.status()["connections"] <= 1, 10, "the deaf peer's connection to end")


def the_cap_holds_and_deadlines_free_it(server, attacker, office):
    """More half-open connections than allowed: the rest is turned away, sessions go on, and after the deadline there is room."""
    before = server.status()
    agent = office.popen("agent")
    try:
        w.wait_for(lambda: server.status()["devices_online"] >= 1, what="the agent")
        held = []
        for _ in range(UNAUTHENTICATED_MAX + 150):
            with contextlib.suppress(OSError):
                held.append(attacker.tcp())
        status = server.status()
        w.check(status["unauthenticated"] <= UNAUTHENTICATED_MAX, "cap of unauthenticated connections broken:", status)
        w.check(status["refused_connections"] > before["refused_connections"], "nobody was turned away:", status)
        rid = office.add("organisation", "name=限额之下")
        w.wait_for(lambda: server.sql("SELECT 1 FROM organisation WHERE lower(hex(_id))=?", rid), 10, "the session that was there already")
        w.wait_for(lambda: server.status()["unauthenticated"] == 0, HANDSHAKE_SECONDS + 5, "the handshake deadline")
    finally:
        agent.terminate()
        agent.wait(20)
        for s in held:
            attacker.drop(s)
    office.sync(ok=(0,))


def hostile_peers():
    global py
    with w.world() as folder:
        py = w.load_protocol(os.path.join(folder, "pb"))
        server = w.Server(os.path.join(folder, "server"))
        server.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=16"
        with w.running(server):
            device = py.Device(os.path.join(folder, "turncoat"), py.v.Catalogue(w.CATALOGUE))
            device.enrol(server.invite("D_CLERK", "120101", "turncoat"))
            device.name = "turncoat"
            office = w.Office(os.path.join(folder, "honest")).join(server, "D_CLERK", "120102")
            wrong_openings_get_no_session(server, folder, device)
            attacker = Attacker(server, device)
            a_thousand_hostile_connections(server, attacker, office)
            a_peer_that_never_reads_is_held_to_its_queue(server, attacker)
            the_cap_holds_and_deadlines_free_it(server, attacker, office)
            revoked_devices_get_the_order_to_wipe_and_nothing_else(server, device)
            w.check(server.alive(), "the server died:", server.tail())
            w.check(office.dump() == server.dump_as("honest"), "the honest office differs from the server")
            server.stop()


if __name__ == "__main__":
    w.main(hostile_peers)
