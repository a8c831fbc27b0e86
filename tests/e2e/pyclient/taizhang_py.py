# SPDX-License-Identifier: Apache-2.0
"""A second Taizhang client, written from proto/README.md and proto/sync.proto alone.

It exists to prove that the specification is enough; it is not a product. One Device is one folder with a key, a certificate and
state.json; one Session is one TLS connection, driven by the caller from one thread. Rows become visible at checkpoints, in
one durable write together with the cursors. Own edits lie over the confirmed rows until the feed has passed them.
"""
import hashlib
import importlib
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import values as v

PROTOCOL = 1
SOFTWARE = "taizhang-py 1"
UNASKED_NONCE = 1  # any will do
ALPN_SESSION, ALPN_ENROL = "taizhang/1", "taizhang-enrol/1"
FRAME_MAX, FRAME_MAX_EARLY = 1024 * 1024, 4 * 1024
LANE_UP, LANE_DOWN = 1, 2
CHANGESET_MAX, CHANGESETS_IN_PUSH = 256 * 1024, 256
CITY = ("", "")

pb = None  # the module that protoc makes from sync.proto; see load_protocol


def load_protocol(proto_folder, work_folder):
    """Compile sync.proto into @work_folder and import it."""
    global pb
    subprocess.run(["protoc", f"--python_out={work_folder}", "-I", proto_folder, "sync.proto"], check=True)
    sys.path.insert(0, work_folder)
    pb = importlib.import_module("sync_pb2")
    return pb


class ProtocolError(Exception):
    """The peer broke the protocol."""


class PinMismatch(Exception):
    """This is not the server of the invitation; nothing was sent to it."""


class Closed(Exception):
    """The connection ended; @clean tells whether with close_notify."""

    def __init__(self, clean):
        super().__init__("closed" if clean else "broken")
        self.clean = clean


class ServerError(Exception):
    """An Error frame."""

    def __init__(self, message, lane):
        super().__init__(f"error {message.code} {list(message.args)}")
        self.code, self.args_given, self.fatal, self.lane = message.code, list(message.args), message.fatal, lane


# ---- invitation ----------------------------------------------------------------------------------------------------------

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Invitation:
    def __init__(self, pin, secret, address):
        self.pin, self.secret, self.address = pin, secret, address

    def checksum(self):
        return hashlib.sha256(b"TZ1" + self.pin + self.secret + self.address.encode()).digest()[:4]

    @staticmethod
    def parse(code):
        text = "".join(c for c in code.upper() if c != "-" and not c.isspace())
        text = text.replace("O", "0").replace("I", "1").replace("L", "1")
        if not text.startswith("TZ1") or any(c not in CROCKFORD for c in text):
            raise ValueError("not an invitation")
        bits = "".join(f"{CROCKFORD.index(c):05b}" for c in text[3:])
        spare = len(bits) % 8
        if spare >= 5 or "1" in bits[len(bits) - spare:]:
            raise ValueError("invitation cut short")
        raw = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits) - spare, 8))
        address = raw[48:-4]
        if not 1 <= len(address) <= 127 or any(not 0x21 <= c <= 0x7E for c in address):
            raise ValueError("invitation: address")
        made = Invitation(raw[:32], raw[32:48], address.decode())
        if made.checksum() != raw[-4:]:
            raise ValueError("invitation mistyped")
        return made

    def text(self):
        raw = self.pin + self.secret + self.address.encode() + self.checksum()
        bits = "".join(f"{b:08b}" for b in raw)
        bits += "0" * (-len(bits) % 5)
        letters = "".join(CROCKFORD[int(bits[i:i + 5], 2)] for i in range(0, len(bits), 5))
        return "-".join(["TZ1"] + [letters[i:i + 5] for i in range(0, len(letters), 5)])

    def endpoint(self):
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)


def spki_sha256(certificate):
    public = x509.load_der_x509_certificate(certificate).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()


# ---- connection ----------------------------------------------------------------------------------------------------------

class Connection:
    """TLS 1.3, ALPN, pin, frames. Blocking, with a deadline per read."""

    TYPES = {1: "Hello", 2: "Welcome", 3: "Push", 4: "Results", 5: "Pull", 6: "Rows", 7: "Checkpoint", 8: "Ack", 10: "Error",
             11: "Ping", 12: "Pong", 14: "Enrol", 15: "Enrolled", 20: "Verify", 21: "Verified",
             22: "DigestRequest", 23: "Digest", 24: "HistoryAsk", 25: "History", 26: "ReOffer", 27: "LostRows", 28: "WipeOrder", 29: "WipeReceipt", 32: "Damage", 33: "DamageNoted",
             34: "Renumber", 35: "Renumbered", 36: "LostTaken", 37: "WipeNoted"}
    NUMBERS = {name: number for number, name in TYPES.items()}
    LANES = {"Push": LANE_UP, "ReOffer": LANE_UP, "Results": LANE_UP, "Pull": LANE_DOWN, "Rows": LANE_DOWN, "Checkpoint": LANE_DOWN,
             "Ack": LANE_DOWN}
    FROM_SERVER = {"Welcome", "Results", "Rows", "Checkpoint", "Error", "Ping", "Pong", "Enrolled", "Verified",
                   "Digest", "DamageNoted", "History", "Renumbered", "LostTaken", "WipeOrder", "WipeNoted"}

    def __init__(self, endpoint, pin, alpn, cert_and_key=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin decides, right below; certificate dates are judged by nobody
        context.set_alpn_protocols([alpn])
        if cert_and_key:
            context.load_cert_chain(*cert_and_key)
        self.buffer = b""
        raw = socket.create_connection(endpoint, timeout=10)
        try:
            self.tls = context.wrap_socket(raw, suppress_ragged_eofs=False)
        except BaseException:
            raw.close()
            raise
        if spki_sha256(self.tls.getpeercert(binary_form=True)) != pin:
            self.abort()
            raise PinMismatch()
        if self.tls.selected_alpn_protocol() != alpn:
            self.abort()
            raise ProtocolError("alpn")

    def frame(self, name, message):
        body = message.SerializeToString(deterministic=True)
        return struct.pack(">IBBH", len(body), self.NUMBERS[name], 0, self.LANES.get(name, 0)) + body

    def send(self, name, message):
        self._write(self.frame(name, message))

    def send_raw(self, number, lane, body, flags=0):
        self._write(struct.pack(">IBBH", len(body), number, flags, lane) + body)

    def _write(self, data):
        try:
            self.tls.sendall(data)
        except (ConnectionError, ssl.SSLError) as e:
            raise Closed(False) from e

    def _fill(self, length, deadline):
        while len(self.buffer) < length:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.tls.settimeout(left)
            try:
                data = self.tls.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                return False
            except (ConnectionError, ssl.SSLError) as e:
                raise Closed(False) from e
            if not data:
                raise Closed(True)
            self.buffer += data
        return True

    def receive(self, timeout):
        """(name, message, lane), or None after @timeout seconds of nothing whole."""
        deadline = time.monotonic() + timeout
        if not self._fill(8, deadline):
            return None
        length, number, flags, lane = struct.unpack(">IBBH", self.buffer[:8])
        name = self.TYPES.get(number)
        if length > FRAME_MAX or flags or name not in self.FROM_SERVER:
            raise ProtocolError(f"frame {number} of {length}")
        if name != "Error" and lane != self.LANES.get(name, 0):
            raise ProtocolError(f"{name} in lane {lane}")
        if not self._fill(8 + length, deadline):
            return None
        body, self.buffer = self.buffer[8:8 + length], self.buffer[8 + length:]
        return name, getattr(pb, name).FromString(body), lane

    def close(self):
        try:
            self.tls.settimeout(5)
            self.tls.unwrap()
        except (OSError, ValueError):
            pass  # the other side closed first
        self.abort()

    def abort(self):
        self.tls.close()


# ---- device --------------------------------------------------------------------------------------------------------------

class Row:
    """A row as received; the body is kept raw."""

    def __init__(self, type_id, rid, ver, district, street, state, body):
        self.type, self.id, self.ver = type_id, rid, ver
        self.district, self.street, self.state, self.body = district, street, state, body

    def to_list(self):
        return [self.type, self.id.hex(), self.ver, self.district, self.street, self.state, self.body.hex()]

    @staticmethod
    def from_list(data):
        return Row(data[0], bytes.fromhex(data[1]), data[2], data[3], data[4], data[5], bytes.fromhex(data[6]))


def digest_of(rows):
    """4.5, over an iterable of live Rows."""
    out = hashlib.sha256()
    for row in sorted(rows, key=lambda r: (r.type, r.id)):
        out.update(struct.pack(">I16sQI", row.type, row.id, row.ver, len(row.body)) + row.body)
    return out.digest()


def range_of(rid):
    """4.6: the range of a record in its bucket."""
    return hashlib.sha256(rid).digest()[0]


def bucket_sums(rows, ranges):
    """4.6, over an iterable of live Rows: {(type, district, street, range): (rows, digest)}; range 0 unless @ranges."""
    sums = {}
    for row in rows:
        key = (row.type, row.district, row.street, range_of(row.id) if ranges else 0)
        one = hashlib.sha256(struct.pack(">I16sQI", row.type, row.id, row.ver, len(row.body)) + row.body).digest()
        count, digest = sums.get(key, (0, bytes(32)))
        sums[key] = count + 1, bytes(a ^ b for a, b in zip(digest, one))
    return sums


class Seen:
    """What a person saw of a record: values, and per field the base that an edit of it names."""

    def __init__(self, rtype, rid, shown, base, own):
        self.type, self.id, self.shown, self.base, self.own = rtype, rid, shown, base, own

    def base_of(self, name):
        return self.own.get(name, self.base)


class Device:
    """The durable side: key, certificate, replica, outbox."""

    def __init__(self, folder, catalogue):
        self.folder, self.catalogue = folder, catalogue
        os.makedirs(folder, exist_ok=True)
        self.rows = {}  # (type id, id) -> Row; confirmed and visible
        self.cursors = {}  # ((district, street), tier) -> ver
        self.outbox = {}  # (incarnation, seq) -> {"bytes", "result": serialised Result or empty, "mac"}
        self.meta = {"incarnation": 0, "last_seq": 0, "hlc": 0, "checkpoint": 0, "audit": [0, ""], "areas": []}
        if os.path.exists(self._path("state.json")):
            self._load()
        self.ids = v.IdMaker(self.meta.get("device", 0))
        self.hlc = v.Hlc(self.meta["hlc"])

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _write(self, name, data):
        with open(self._path(name + ".new"), "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(self._path(name + ".new"), self._path(name))

    def save_state(self):
        self.meta["hlc"] = self.hlc.last
        state = {"meta": self.meta, "rows": [r.to_list() for r in self.rows.values()],
                 "cursors": [[*area, tier, ver] for (area, tier), ver in self.cursors.items()],
                 "outbox": [[*key, e["bytes"].hex(), e["result"].hex(), e["mac"].hex()] for key, e in self.outbox.items()]}
        self._write("state.json", json.dumps(state).encode())

    def _load(self):
        with open(self._path("state.json"), encoding="utf-8") as f:
            state = json.load(f)
        self.meta = state["meta"]
        rows = map(Row.from_list, state["rows"])
        self.rows = {(r.type, r.id): r for r in rows}
        self.cursors = {((d, s), tier): ver for d, s, tier, ver in state["cursors"]}
        self.outbox = {(i, q): {"bytes": bytes.fromhex(b), "result": bytes.fromhex(r), "mac": bytes.fromhex(m)}
                       for i, q, b, r, m in state["outbox"]}

    # -- enrolment

    def key(self):
        """The device's key, made and written down at first use: a repeated attempt must use the same one."""
        if not os.path.exists(self._path("key.pem")):
            made = ec.generate_private_key(ec.SECP256R1())
            self._write("key.pem", made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                      serialization.NoEncryption()))
        with open(self._path("key.pem"), "rb") as f:
            return serialization.load_pem_private_key(f.read(), None)

    def enrol(self, code):
        """Returns Enrolled; raises ServerError or PinMismatch."""
        invitation = Invitation.parse(code)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "taizhang")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key(), hashes.SHA256())
        conn = Connection(invitation.endpoint(), invitation.pin, ALPN_ENROL)
        try:
            conn.send("Enrol", pb.Enrol(protocol=PROTOCOL, software=SOFTWARE, secret=invitation.secret,
                                        csr=csr.public_bytes(serialization.Encoding.DER)))
            kind, message, lane = expect(conn.receive(10))
            if kind == "Error":
                raise ServerError(message, lane)
            if kind != "Enrolled":
                raise ProtocolError(kind)
        finally:
            conn.close()
        self._take_enrolled(message, invitation)
        return message

    def _take_enrolled(self, message, invitation):
        certificate = x509.load_der_x509_certificate(message.certificate)
        if certificate.public_key().public_numbers() != self.key().public_key().public_numbers():
            raise ProtocolError("certificate of another key")
        self._write("cert.pem", certificate.public_bytes(serialization.Encoding.PEM))
        if "device" not in self.meta:
            self.meta.update(device=message.device, incarnation=message.incarnation, user=message.user.hex(),
                             pin=invitation.pin.hex(), address=invitation.address)
            self.ids = v.IdMaker(message.device)
        self.save_state()

    # -- reading

    def confirmed(self, type_name, rid):
        """Values of the confirmed live record, or None."""
        rtype = self.catalogue.types[type_name]
        row = self.rows.get((rtype.id, rid))
        return v.decode_body(rtype, row.body)[0] if row and row.state == pb.ROW_LIVE else None

    def live(self, type_name=None):
        wanted = self.catalogue.types[type_name].id if type_name else None
        return [r for r in self.rows.values() if r.state == pb.ROW_LIVE and wanted in (None, r.type)]

    def find(self, type_name, **wanted):
        """Ids of the live confirmed records that have these values."""
        rtype = self.catalogue.types[type_name]
        found = []
        for row in self.live(type_name):
            body = v.decode_body(rtype, row.body)[0]
            if all(body.get(name) == value for name, value in wanted.items()):
                found.append(row.id)
        return found

    def digest(self):
        return len(self.live()), digest_of(self.live())

    def pending(self):
        """Own changesets in the overlay (4.4), oldest first: unsent, not final, or not yet passed by the checkpoint."""
        for key in sorted(self.outbox):
            entry = self.outbox[key]
            result = pb.Result.FromString(entry["result"])
            if result.outcome in self.open_outcomes() or result.ver > self.meta["checkpoint"]:
                yield key, pb.Changeset.FromString(entry["bytes"]), result

    def read(self, type_name, rid):
        """A Seen token: confirmed values with the own pending edits on top."""
        rtype = self.catalogue.types[type_name]
        row = self.rows.get((rtype.id, rid))
        shown = self.confirmed(type_name, rid) or {}
        base, own = (row.ver if row else 0, self.meta["last_seq"]), {}
        for _, changeset, _ in self.pending():
            for op in changeset.ops:
                if op.id != rid or op.kind not in (pb.OP_CREATE, pb.OP_APPEND, pb.OP_SET):
                    continue
                new = v.decode_body(rtype, op.values)[0]
                for number in op.cleared:
                    shown.pop(rtype.by_id[number].name, None)
                shown.update(new)
                own.update({name: (op.base_ver, base[1]) for name in [*new, *(rtype.by_id[n].name for n in op.cleared)]})
        return Seen(rtype, rid, shown, base, own)

    # -- saving

    def create(self, type_name, kind=None, **fields):
        """A CREATE (or APPEND) op."""
        rtype = self.catalogue.types[type_name]
        stored = {name: v.canonical(rtype.fields[name], value) for name, value in fields.items()}
        return pb.Op(kind=kind or pb.OP_CREATE, type=rtype.id, id=self.ids.make(), values=v.encode_body(rtype, stored))

    def withdrawal(self, key):
        """An op that takes back the own save @key."""
        return pb.Op(kind=pb.OP_WITHDRAW, target_seq=key[1], target_hash=hashlib.sha256(self.outbox[key]["bytes"]).digest())

    def change(self, seen, **fields):
        """SET ops for what differs from @seen; one per base, since an op has one base."""
        by_base = {}
        for name, value in fields.items():
            value = v.canonical(seen.type.fields[name], value)
            if value != seen.shown.get(name):
                by_base.setdefault(seen.base_of(name), {})[name] = value
        return [pb.Op(kind=pb.OP_SET, type=seen.type.id, id=seen.id, base_ver=base[0], base_seq=base[1],
                      values=v.encode_body(seen.type, changed),
                      cleared=sorted(seen.type.fields[n].id for n, value in changed.items() if value is None))
                for base, changed in sorted(by_base.items())]

    def save(self, ops, reason="", independent=False):
        """One changeset into the outbox; returns its key, or None when there is nothing to save."""
        if not ops:
            return None
        self.meta["last_seq"] += 1
        changeset = pb.Changeset(format=1, device=self.meta["device"], incarnation=self.meta["incarnation"],
                                 seq=self.meta["last_seq"], user=bytes.fromhex(self.meta["user"]), hlc=self.hlc.tick(),
                                 catalogue_version=self.catalogue.version, reason=reason, independent=independent,
                                 base_checkpoint=self.meta["checkpoint"], ops=ops)
        data = changeset.SerializeToString(deterministic=True)
        if len(data) > CHANGESET_MAX:
            raise ValueError("changeset over 256 KiB")
        key = (changeset.incarnation, changeset.seq)
        self.outbox[key] = {"bytes": data, "result": b"", "mac": b""}
        self.save_state()
        return key

    def result(self, key):
        return pb.Result.FromString(self.outbox[key]["result"])

    def unsent(self):
        """Keys of this incarnation without a final result, ascending."""
        return [k for k in sorted(self.outbox)
                if k[0] == self.meta["incarnation"] and self.result(k).outcome in self.open_outcomes()]

    @staticmethod
    def open_outcomes():
        return (pb.OUTCOME_NONE, pb.OUTCOME_WAITING, pb.OUTCOME_HELD)

    def take_welcome(self, welcome):
        """4.1: what the grant no longer covers goes; what is new starts from the beginning."""
        areas = [(a.district, a.street) for a in welcome.areas]
        if "reads_secret" in self.meta and self.meta["reads_secret"] != welcome.reads_secret:
            self.cursors.clear()
        self._take_lost(welcome)
        self.cursors = {pair: ver for pair, ver in self.cursors.items() if pair[0] in areas}
        self.rows = {k: r for k, r in self.rows.items() if any(v.covers(a, r.district, r.street) for a in areas)}
        self.meta.update(areas=areas, reads_secret=welcome.reads_secret)
        if welcome.incarnation != self.meta["incarnation"]:
            self._renumber(welcome.incarnation)
        self.save_state()

    def _take_lost(self, welcome):
        """4.1: a restore of the server undid versions. Rows of them are no longer confirmed, and everything is fetched anew."""
        for lost in welcome.lost:
            if [lost.above, lost.upto] in self.meta.get("lost", []):
                continue
            for key in [k for k, row in self.rows.items() if lost.above < row.ver <= lost.upto]:
                self.meta.setdefault("set_aside", []).append(self.rows.pop(key).to_list())
            self.cursors = {pair: ver for pair, ver in self.cursors.items()
                            if ver == self.meta["checkpoint"] and not lost.above < ver <= lost.upto}
            self.meta["audit"] = [0, ""]
        self.meta["lost"] = [[lost.above, lost.upto] for lost in welcome.lost]

    def heard_seq(self):
        """The greatest own seq of this incarnation with an answer."""
        return max((key[1] for key in self.outbox if key[0] == self.meta["incarnation"] and self.outbox[key]["result"]), default=0)

    def _renumber(self, incarnation):
        """The server gave a new incarnation: what has no result yet gets new seqs, and so new bytes, under it."""
        old = [key for key in self.unsent() if not self.outbox[key]["result"]]
        seqs = {key[1]: n for n, key in enumerate(old, 1)}
        for key in old:
            changeset = pb.Changeset.FromString(self.outbox.pop(key)["bytes"])
            changeset.incarnation, changeset.seq = incarnation, seqs[key[1]]
            for op in changeset.ops:
                op.base_seq = max((new for was, new in seqs.items() if was <= op.base_seq), default=0)
                if op.target_seq:
                    target = (incarnation, seqs.get(op.target_seq, 0))
                    op.target_seq = target[1]
                    op.target_hash = hashlib.sha256(self.outbox[target]["bytes"]).digest() if target in self.outbox else b""
            data = changeset.SerializeToString(deterministic=True)
            self.outbox[(incarnation, changeset.seq)] = {"bytes": data, "result": b"", "mac": b""}
        self.meta.update(incarnation=incarnation, last_seq=len(old))

    def take_checkpoint(self, rows, cursors, checkpoint):
        """All staged rows, their cursors and the checkpoint in one durable step."""
        for row in rows:
            held = self.rows.get((row.type, row.id))
            if row.state == pb.ROW_LEFT:
                if held and held.ver < row.ver:
                    del self.rows[(row.type, row.id)]
            elif not held or row.ver > held.ver:
                self.rows[(row.type, row.id)] = row
        self.cursors.update(cursors)
        self.meta.update(checkpoint=checkpoint.ver, audit=[checkpoint.audit_n, checkpoint.audit_hash.hex()])
        self.save_state()


def expect(received):
    if received is None:
        raise ProtocolError("silence")
    return received


# ---- session -------------------------------------------------------------------------------------------------------------

class Session:
    """Hello, then push, pull and verify over one connection. @auto_ack off: the caller acknowledges by ack()."""

    def __init__(self, device, auto_ack=True, protocol=PROTOCOL, lost_seqs=()):
        self.device, self.auto_ack = device, auto_ack
        self.staged_rows, self.staged_cursors, self.unacked, self.rows_seen = [], {}, 0, 0
        self.checkpoints, self.verified, self.pongs, self.in_flight = [], [], [], []
        self.digests, self.noted = [], []
        self.wiping, self.wipes_noted = False, []  # wiping: the device is revoked; it may push, and send WipeReceipt
        self.histories = []
        meta = device.meta
        host, _, port = meta["address"].rpartition(":")
        self.conn = Connection((host.strip("[]"), int(port)), bytes.fromhex(meta["pin"]), ALPN_SESSION,
                               (device._path("cert.pem"), device._path("key.pem")))
        try:
            self.conn.send("Hello", pb.Hello(
                protocol=protocol, software=SOFTWARE, catalogue_version=device.catalogue.version,
                incarnation=meta["incarnation"], wall_ms=v.wall_ms(), checkpoint=meta["checkpoint"],
                audit_n=meta["audit"][0], audit_hash=bytes.fromhex(meta["audit"][1]), lost_seqs=lost_seqs,
                last_seq=meta["last_seq"], heard_seq=device.heard_seq()))
            kind, self.welcome, lane = expect(self.conn.receive(10))
            if kind == "Error":
                raise ServerError(self.welcome, lane)
            if kind == "WipeOrder":
                self.wiping = True
                return
            if kind != "Welcome" or self.welcome.protocol != PROTOCOL:
                raise ProtocolError(kind)
        except BaseException:
            self.conn.close()
            raise
        device.take_welcome(self.welcome)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    # -- frames from the server

    def pump(self, until, timeout=20):
        """Handle frames until @until() is true; False after @timeout seconds without it."""
        deadline = time.monotonic() + timeout
        while not until():
            left = deadline - time.monotonic()
            received = self.conn.receive(left) if left > 0 else None
            if received is None:
                return False
            self._handle(*received)
        return True

    def _handle(self, kind, message, lane):
        handler = getattr(self, "_on_" + kind.lower(), None)
        if kind == "Error":
            raise ServerError(message, lane)
        if handler is None:
            raise ProtocolError(f"{kind} now")
        handler(message)

    def _on_ping(self, message):
        self.conn.send("Pong", pb.Pong(nonce=message.nonce))

    def _on_pong(self, message):
        self.pongs.append(message.nonce)

    def _on_verified(self, message):
        self.verified.append(message)

    def _on_digest(self, message):
        self.digests.append(message)

    def _on_wipenoted(self, message):
        self.wipes_noted.append(message.noted)

    def receipt(self, ver=0, everything=False, timeout=20):
        """Says that nothing outside the grant (or nothing at all) is held; whether the server noted it."""
        self.conn.send("WipeReceipt", pb.WipeReceipt(**{"ver": ver, "all": everything}))
        self.pump(lambda: self.wipes_noted, timeout)
        return self.wipes_noted.pop()

    def _on_damagenoted(self, message):
        self.noted.append(message)

    def _on_history(self, message):
        self.histories.append(message)

    def _on_results(self, message):
        """An entry per changeset of the oldest Push, in its order; then those of earlier ones that this Push set free. What
        comes unasked is about earlier ones only."""
        sent = [] if message.unasked else self.in_flight.pop(0)
        if message.unasked:
            self.conn.send("Ping", pb.Ping(nonce=UNASKED_NONCE))
        for signed in message.results:
            result = pb.Result.FromString(signed.result)
            key = (result.incarnation, result.seq)
            if sent and key != sent.pop(0):
                raise ProtocolError("results do not answer the push")
            entry = self.device.outbox.get(key)
            if entry is None or result.hash != hashlib.sha256(entry["bytes"]).digest():
                continue  # of another installation's changeset
            entry.update(result=signed.result, mac=signed.mac)
        self.device.save_state()
        if sent:  # an Error about the next one follows
            self.in_flight.insert(0, sent)

    def _on_rows(self, message):
        for r in message.rows:
            row = Row(r.type, r.id, r.ver, r.district, r.street, r.state, r.body)
            known = self.device.catalogue.by_id.get(row.type)
            if known and row.state != pb.ROW_LEFT:
                v.decode_body(known, row.body)
            elif row.body:
                v.scan_body(row.body)
            self.staged_rows.append(row)
        self.rows_seen += len(message.rows)
        self.staged_cursors.update({((c.district, c.street), c.tier): c.ver for c in message.progress})
        self._taken_in()

    def _on_checkpoint(self, message):
        if any(ver > message.ver for ver in self.staged_cursors.values()):
            raise ProtocolError("checkpoint below a progress")
        self.device.take_checkpoint(self.staged_rows, self.staged_cursors, message)
        self.staged_rows, self.staged_cursors = [], {}
        self.checkpoints.append(message)
        self._taken_in()

    def _taken_in(self):
        self.unacked += 1
        if self.auto_ack:
            self.ack()

    # -- what the client asks

    def ack(self):
        if self.unacked:
            self.conn.send("Ack", pb.Ack(frames=self.unacked))
            self.unacked = 0

    def pull(self):
        """Once per session: every (area, tier) from the cursor held."""
        device = self.device
        cursors = [pb.Cursor(district=a[0], street=a[1], tier=tier, ver=device.cursors.get((tuple(a), tier), 0))
                   for a in device.meta["areas"] for tier in device.catalogue.tiers]
        self.conn.send("Pull", pb.Pull(cursors=cursors))

    def catch_up(self, ver=None, timeout=30):
        """Wait until the visible checkpoint is at least @ver (the head of Welcome when not given) and of this session."""
        ver = self.welcome.head if ver is None else ver
        return self.pump(lambda: self.checkpoints and self.device.meta["checkpoint"] >= ver, timeout)

    def push(self, keys=None, timeout=20):
        """Send changesets (all that have no final result, when not given) and wait for every result."""
        keys = self.device.unsent() if keys is None else list(keys)
        while keys:
            now, keys = self._one_push(keys)
            if len(self.in_flight) >= self.welcome.push_in_flight_max:
                self.pump(lambda: len(self.in_flight) < self.welcome.push_in_flight_max, timeout)
            self.conn.send("Push", now)
        return self.pump(lambda: not self.in_flight, timeout)

    def _one_push(self, keys):
        now, size = pb.Push(), 0
        for count, key in enumerate(keys):
            data = self.device.outbox[key]["bytes"]
            size += len(data) + 5
            if count and (size > FRAME_MAX or count == CHANGESETS_IN_PUSH):
                break
            now.changesets.append(data)
        self.in_flight.append(keys[:len(now.changesets)])
        return now, keys[len(now.changesets):]

    def verify(self, audit=None, timeout=20):
        """Ask until the answer is about the visible checkpoint; returns (Verified, own row count, own digest)."""
        number, digest = audit or (self.device.meta["audit"][0], bytes.fromhex(self.device.meta["audit"][1]))
        for _ in range(10):
            self.conn.send("Verify", pb.Verify(audit_n=number, audit_hash=digest))
            asked = len(self.verified)
            if not self.pump(lambda: len(self.verified) > asked, timeout):
                raise ProtocolError("no answer to Verify")
            answer = self.verified[-1]
            if self.device.meta["checkpoint"] < answer.ver:
                self.catch_up(answer.ver, timeout)
            if self.device.meta["checkpoint"] == answer.ver:
                return (answer, *self.device.digest())
        raise ProtocolError("never at rest")

    def digest(self, request, timeout=20):
        """Ask until the answer holds at the visible checkpoint (4.6)."""
        for _ in range(10):
            self.conn.send("DigestRequest", request)
            asked = len(self.digests)
            if not self.pump(lambda: len(self.digests) > asked, timeout):
                raise ProtocolError("no answer to DigestRequest")
            answer = self.digests[-1]
            if self.device.meta["checkpoint"] < answer.since:
                self.catch_up(answer.since, timeout)
            if answer.since <= self.device.meta["checkpoint"] <= answer.ver:
                return answer
        raise ProtocolError("never at rest")

    def differing_keys(self):
        """Round 1: keys (type, district, street) whose rows are not the server's."""
        theirs, after = {}, None
        while True:
            answer = self.digest(pb.DigestRequest(round=1, after=after))
            theirs.update({(e.type, e.district, e.street, 0): (e.rows, e.digest) for e in answer.entries})
            if not answer.more:
                break
            last = answer.entries[-1]
            after = pb.DigestKey(type=last.type, district=last.district, street=last.street)
        mine = bucket_sums(self.device.live(), False)
        return sorted(key[:3] for key in theirs.keys() | mine.keys() if theirs.get(key) != mine.get(key))

    def differing_ranges(self, keys):
        """Round 2: (type, district, street, range) within some keys, 16 at a time."""
        found = []
        for at in range(0, len(keys), 16):
            now = keys[at:at + 16]
            answer = self.digest(pb.DigestRequest(round=2, keys=[pb.DigestKey(type=t, district=d, street=s) for t, d, s in now]))
            theirs = {(e.type, e.district, e.street, e.range): (e.rows, e.digest) for e in answer.entries}
            mine = {k: v for k, v in bucket_sums(self.device.live(), True).items() if k[:3] in now}
            found += [key for key in theirs.keys() | mine.keys() if theirs.get(key) != mine.get(key)]
        return sorted(found)

    def rows_of(self, bucket):
        """Round 3: the server's rows of one bucket."""
        rtype, district, street, number = bucket
        rows, ranges = [], bytearray(32)
        ranges[number >> 3] |= 1 << (number & 7)
        key = pb.DigestKey(type=rtype, district=district, street=street)
        while True:
            answer = self.digest(pb.DigestRequest(round=3, keys=[key], ranges=bytes(ranges), after_id=rows[-1].id if rows else b""))
            rows += [Row(r.type, r.id, r.ver, r.district, r.street, r.state, r.body) for r in answer.rows]
            if not answer.more:
                return rows

    def history_page(self, rtype, rid, field=0, before=0, timeout=20):
        """One History as it comes."""
        asked = len(self.histories)
        self.conn.send("HistoryAsk", pb.HistoryAsk(type=rtype, id=rid, field=field, before=before))
        if not self.pump(lambda: len(self.histories) > asked, timeout):
            raise ProtocolError("no answer to HistoryAsk")
        return self.histories[-1]

    def history(self, rtype, rid, field=0):
        """Every entry, newest first, and the stamps of the first page."""
        page = first = self.history_page(rtype, rid, field)
        entries = list(page.entries)
        while page.next:
            page = self.history_page(rtype, rid, field, page.next)
            entries += page.entries
        return entries, first

    def ping(self, nonce, timeout=10):
        self.conn.send("Ping", pb.Ping(nonce=nonce))
        return self.pump(lambda: nonce in self.pongs, timeout)
