# SPDX-License-Identifier: Apache-2.0
"""taizhangd as an administrator meets it: making, starting, stopping, asking, inviting, and what it refuses.

Where a device is needed the second implementation of the protocol (pyclient) plays it; those cases are skipped without
python3-protobuf, python3-cryptography and protoc.
"""
import fcntl
import os
import shutil
import resource
import socket
import sqlite3
import ssl
import struct
import sys
import tempfile
import time
import unittest

import tz

try:
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "pyclient"))
    import taizhang_py as py
    import values
    HAVE_PEER = shutil.which("protoc") is not None
except ImportError:
    HAVE_PEER = False

DB_MISSING, DRAINING, GRANT_CHANGED = 2, 99, 150


class Folder(tz.TestCase):
    def test_init_makes_a_private_folder_once(self):
        s = self.server(start=False)
        self.assertEqual(os.stat(s.data).st_mode & 0o777, 0o700)
        for name in ("ca.key", "server.key", "server.db"):
            self.assertEqual(os.stat(os.path.join(s.data, name)).st_mode & 0o077, 0, name)
        before = s.file("ca.crt")
        again = s("init", "--lang", "en", code=1)
        self.assertIn("TZ-DB-010", again.err)
        self.assertEqual(s.file("ca.crt"), before)

    def test_wrong_folder_is_said_so(self):
        for command in (["serve"], ["status"], ["dump"], ["verify"], ["device", "list"], ["config", "show"]):
            done = tz.taizhangd(*command, "--data", self.path("nowhere"), code=DB_MISSING)
            self.assertIn("TZ-DB-008", done.err)
        self.assertFalse(os.path.exists(self.path("nowhere")))

    def test_foreign_file_is_left_alone(self):
        s = self.server(start=False)
        db = os.path.join(s.data, "server.db")
        with open(db, "wb") as f:
            f.write(b"not a database, whatever its name" * 100)
        s("verify", code=7)
        self.assertEqual(os.path.getsize(db), 3300)
        os.unlink(db)
        other = sqlite3.connect(db)
        other.execute("CREATE TABLE theirs(x)")
        other.commit()
        other.close()
        for command in ("verify", "dump", "serve"):
            self.assertIn("TZ-DB-006", s(command, code=8).err)

    def test_usage_errors_are_exit_2(self):
        for args in (["frobnicate"], ["serve", "--frob"], ["serve", "--role", "X"], ["device", "show"], ["status", "extra"],
                     [], ["invite"], ["serve"]):
            tz.taizhangd(*args, code=2)
        self.assertIn("taizhangd", tz.taizhangd("--help").out)
        self.assertIn("--as-device", tz.taizhangd("dump", "--help", "--lang", "en").out)

    def test_language(self):
        self.assertIn("没有数据库", tz.taizhangd("status", "--data", self.path("x"), code=DB_MISSING).err.replace("还", ""))
        for args, env in ((["--lang", "en"], {}), ([], {"LANG": "en_GB.UTF-8"}), ([], {"LC_ALL": "en_US.UTF-8", "LANG": "zh_CN"})):
            done = tz.taizhangd("status", "--data", self.path("x"), *args, code=DB_MISSING, env=tz.environment(**env))
            self.assertIn("there is no database", done.err)

    def test_config_says_where_values_come_from(self):
        s = self.server(start=False)
        with open(os.path.join(s.data, "taizhangd.ini"), "a", encoding="utf-8") as f:
            f.write("readers = 2\nconnections_max = 50\n")
        env = tz.environment(TAIZHANGD_CONNECTIONS_MAX="60")
        got = s("config", "show", "--origin", "--json", "--log-level", "warn", env=env).json()
        self.assertEqual((got["readers"]["value"], got["readers"]["origin"]), ("2", "file"))
        self.assertEqual((got["connections_max"]["value"], got["connections_max"]["origin"]), ("60", "environment"))
        self.assertEqual((got["log_level"]["value"], got["log_level"]["origin"]), ("warn", "flag"))
        self.assertEqual(got["listen"]["origin"], "default")
        self.assertEqual(s("config", "--json").json()["readers"], "2")
        with open(os.path.join(s.data, "taizhangd.ini"), "a", encoding="utf-8") as f:
            f.write("raeders = 2\n")
        self.assertIn("raeders", s("config", code=8).err)

    def test_catalogue(self):
        types = tz.taizhangd("catalogue", "--json").lines()
        self.assertIn("organisation", [t["type"] for t in types])
        proto = tz.taizhangd("catalogue", "--proto").out
        self.assertIn("message Organisation {", proto)
        if shutil.which("protoc"):
            with open(self.path("types.proto"), "w", encoding="utf-8") as f:
                f.write(proto)
            tz.run("protoc", "-I", self.folder, "--descriptor_set_out=" + self.path("out"), "types.proto")

    def test_dump_is_deterministic_and_sorted(self):
        s = self.server(start=False)
        lines = s("dump").lines()
        self.assertEqual(s("dump").lines(), lines)
        divisions = [r["_id"] for r in lines if r["_type"] == "division"]
        self.assertEqual(divisions, sorted(divisions))
        self.assertIn("120101", [r.get("code") for r in lines])
        s("dump", "--as-device", "nobody", code=1)

    def test_verify_finds_a_changed_audit_entry(self):
        s = self.server(start=False)
        s("user", "add", "u1", "--name", "甲", "--role", "D_CLERK", "--area", "120101")
        self.assertGreaterEqual(s("verify", "--json").json()["audit_entries"], 2)
        db = sqlite3.connect(os.path.join(s.data, "server.db"))
        db.execute("UPDATE audit_body SET body=x'00' WHERE n=(SELECT max(n) FROM audit_body)")
        db.commit()
        db.close()
        self.assertIn("TZ-NET-015", s("verify", code=7).err)


class Users(tz.TestCase):
    def work(self, s):
        s("user", "add", "u1", "--name", "张三", "--role", "D_CLERK", "--area", "120101")
        s("user", "add", "u1", "--name", "李四", "--role", "D_CLERK", "--area", "120101", code=1)
        self.assertIn("TZ-DB-011", s("user", "add", "u1", "--name", "李四", "--role", "D_CLERK", "--area", "120101", code=1).err)
        s("user", "add", "u3", "--name", "a\x1b[31m", "--role", "D_CLERK", "--area", "120101", code=8)
        s("invite", "--name", " x", "--address", "127.0.0.1:1", "--role", "D_CLERK", "--area", "120101", code=8)
        for command in (("user", "add", "u2", "--name", "李四"), ("user", "grant", "u1"), ("invite", "--name", "x")):
            done = s(*command, "--role", "NO_SUCH", "--area", "120101", "--address", "127.0.0.1:1", code=8) if command[0] == "invite" \
                else s(*command, "--role", "NO_SUCH", "--area", "120101", code=8)
            self.assertIn("F_INSP, S_CLERK, D_CLERK, D_SUPER", done.err)
        s("user", "add", "u2", "--name", "李四", "--role", "D_CLERK", code=2)
        s("user", "disable", "nobody", code=1)
        s("user", "disable", "u1")
        users = s("user", "list", "--json").lines()
        self.assertEqual([(u["code"], u["name"], u["active"], u["area"]) for u in users], [("u1", "张三", False, "120101")])
        code = s.invite("office-1")
        self.assertTrue(code.startswith("TZ1-"))
        s("device", "show", "office-1", code=1)
        s("device", "revoke", "office-1", code=1)
        self.assertEqual(s("device", "list", "--json").lines(), [])
        self.assertEqual(s("backlog", "--json").lines(), [])
        self.assertEqual(s("balance", "--json").lines()[-1]["unaccounted"], 0)
        s("verify")

    def test_without_a_server(self):
        s = self.server(start=False)
        s.port = 7700
        self.work(s)
        s("invite", "--role", "D_CLERK", "--area", "120101", "--name", "x", code=2)  # 0.0.0.0 is no address to give away

    def test_with_a_server(self):
        s = self.server()
        self.work(s)
        self.assertEqual(s.stop(), 0)
        self.assertEqual(len(s("user", "list", "--json").lines()), 1)

    def test_lock_held_by_something_else_is_busy(self):
        s = self.server(start=False)
        with open(os.path.join(s.data, "lock"), "r+b") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            s("user", "add", "u1", "--name", "x", "--role", "D_CLERK", "--area", "120101", code=6)
            s("user", "list")


class Serving(tz.TestCase):
    def test_ready_status_and_a_clean_end(self):
        s = self.server()
        self.assertEqual(len(s.ready["pin"]), 64)
        status = s.status()
        self.assertEqual((status["running"], status["address"], status["sessions"]), (True, s.address, 0))
        self.assertGreater(status["head"], 0)
        begun = time.monotonic()
        self.assertEqual(s.stop(), 0)
        self.assertLess(time.monotonic() - begun, 6)
        self.assertIn("TZ-NET-017", s("status", code=5).err)
        self.assertFalse(os.path.exists(os.path.join(s.data, "control.sock")))
        wal = os.path.join(s.data, "server.db-wal")
        self.assertTrue(not os.path.exists(wal) or os.path.getsize(wal) == 0)

    def test_second_server_is_refused_and_the_first_goes_on(self):
        s = self.server()
        for command in (["serve", "--listen", "127.0.0.1:0"], ["init"]):
            done = s(*command, code=6)
            self.assertIn("TZ-DB-012", done.err)
            self.assertIn(s.data, done.err)
        self.assertTrue(s.status()["running"])

    def test_taken_port_is_exit_2(self):
        s = self.server()
        other = self.server(start=False, name="b")
        other("serve", "--listen", s.address, code=2)
        other("serve", "--listen", "localhost", code=2)

    def test_after_kill_it_starts_again(self):
        s = self.server()
        s("user", "add", "u1", "--name", "x", "--role", "D_CLERK", "--area", "120101")
        s.kill()
        s.start()
        self.assertEqual(len(s("user", "list", "--json").lines()), 1)
        self.assertEqual(s.stop(), 0)

    def test_noise_on_the_port_changes_nothing(self):
        s = self.server()
        for noise in (b"", b"\0" * 4096, b"GET / HTTP/1.1\r\n\r\n", os.urandom(20000), b"\x16\x03\x01\xff\xff" + os.urandom(100)):
            with socket.create_connection(("127.0.0.1", s.port)) as c:
                c.settimeout(10)
                try:
                    c.sendall(noise)
                    c.shutdown(socket.SHUT_WR)
                    while c.recv(4096):
                        pass
                except OSError:
                    pass  # a reset is as good a refusal
        self.assertEqual(s.status()["sessions"], 0)
        self.assertEqual(s.status()["refused_handshakes"], 5)
        self.assertEqual(s.stop(), 0)

    def connect(self, s, alpn, version=ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(alpn)
        return context.wrap_socket(socket.create_connection(("127.0.0.1", s.port), timeout=10))

    def test_only_tls_13_with_our_protocol_name(self):
        s = self.server()
        for alpn, version in ((["taizhang-enrol/1"], ssl.TLSVersion.TLSv1_2), ([], ssl.TLSVersion.TLSv1_3),
                              (["h2", "http/1.1"], ssl.TLSVersion.TLSv1_3)):
            with self.assertRaises(OSError):
                self.connect(s, alpn, version)
        with self.connect(s, ["taizhang-enrol/1"]) as c:
            self.assertEqual(c.selected_alpn_protocol(), "taizhang-enrol/1")
        with self.assertRaises(OSError), self.connect(s, ["taizhang/1"]) as c:
            if not c.recv(1):  # the server's refusal of a client without certificate comes after the client's last word
                raise ConnectionResetError
        self.assertEqual(s.status()["sessions"], 0)

    def test_frame_that_means_nothing_ends_the_session(self):
        s = self.server()
        for frame in (struct.pack(">IBBH", 3, 14, 0, 0) + b"\xff\xff\xff", struct.pack(">IBBH", 0, 200, 0, 0),
                      struct.pack(">IBBH", 5000, 14, 0, 0), struct.pack(">IBBH", 0, 1, 0, 0)):
            with self.connect(s, ["taizhang-enrol/1"]) as c:
                c.sendall(frame)
                try:
                    while c.recv(4096):
                        pass
                except OSError:
                    pass
        self.assertEqual(s.status()["sessions"], 0)
        self.assertEqual(s.stop(), 0)

    def test_connections_waiting_for_nothing_do_not_hold_up_the_end(self):
        s = self.server()
        silent = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(20)]
        tls = [self.connect(s, ["taizhang-enrol/1"]) for _ in range(5)]
        begun = time.monotonic()
        self.assertEqual(s.stop(), 0)
        self.assertLess(time.monotonic() - begun, 6)
        for c in silent + tls:
            c.close()

    def test_cap_of_unauthenticated_connections(self):
        s = self.server(start=False)
        s.start("--unauthenticated-max", 4)
        held = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(10)]
        deadline = time.monotonic() + 10
        while s.status()["refused_connections"] < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        status = s.status()
        self.assertEqual((status["refused_connections"], status["unauthenticated"]), (6, 4))
        for c in held:
            c.close()
        self.assertEqual(s.stop(), 0)


@unittest.skipUnless(HAVE_PEER, "needs python3-protobuf, python3-cryptography and protoc")
class Devices(tz.TestCase):
    @classmethod
    def setUpClass(cls):
        if py.pb is None:
            cls._made = tempfile.TemporaryDirectory()
            cls.addClassCleanup(cls._made.cleanup)
            py.load_protocol(os.path.join(tz.SOURCE, "proto"), cls._made.name)
        cls.catalogue = values.Catalogue(os.path.join(tz.SOURCE, "common", "catalogue"))

    def device(self, s, name):
        d = py.Device(self.path(name), self.catalogue)
        d.enrol(s.invite(name))
        return d

    def test_enrol_push_wake_and_account(self):
        s = self.server()
        a, b = self.device(s, "office-a"), self.device(s, "office-b")
        with py.Session(a) as sa, py.Session(b) as sb:
            for session in (sa, sb):
                session.pull()
                self.assertTrue(session.catch_up())
            for n in range(3):
                a.save([a.create("organisation", name=f"公司{n}", district_code="120101")])
            self.assertTrue(sa.push())
            head = s.status()["head"]
            self.assertTrue(sb.catch_up(head))  # nobody asked: the server told
            self.assertEqual(len(b.live("organisation")), 3)
            states = {d["name"]: d["state"] for d in s("device", "list", "--json").lines()}
            self.assertEqual(states, {"office-a": "online", "office-b": "online"})
            # a user added meanwhile reaches everybody
            s("user", "add", "u9", "--name", "新人", "--role", "D_CLERK", "--area", "120101")
            self.assertTrue(sb.catch_up(s.status()["head"]))
            self.assertIn("u9", s("dump", "--as-device", "office-b").out)
        balance = {r.get("device"): r for r in s("balance", "--json").lines()}
        self.assertEqual((balance["office-a"]["ops"], balance["office-a"]["applied"]), (3, 3))
        self.assertEqual(balance[None]["unaccounted"], 0)
        self.assertEqual(s("balance", "--device", "office-b", "--json").lines()[0]["ops"], 0)
        s("verify")
        status = s.status()
        self.assertEqual(status["changesets"], 3)
        self.assertGreaterEqual(status["groups"], 3)
        self.assertEqual(s.stop(), 0)

    def test_revoked_device_is_cut_off_and_stays_out(self):
        s = self.server()
        a = self.device(s, "office-a")
        with py.Session(a) as session:
            session.pull()
            session.catch_up()
            s("device", "revoke", "office-a")
            with self.assertRaises(py.ServerError) as raised:
                session.pump(lambda: False, 10)
            self.assertEqual(raised.exception.code, GRANT_CHANGED)
        with py.Session(a) as session:
            self.assertTrue(session.wiping)
            self.assertFalse(session.receipt())  # not of a part
            self.assertTrue(session.receipt(everything=True))
        self.assertGreater(s("device", "show", "office-a", "--json").json()["wiped_ms"], 0)
        self.assertTrue(s("device", "show", "office-a", "--json").json()["revoked"])
        self.assertEqual(s.stop(), 0)

    def test_draining_server_says_so(self):
        s = self.server()
        a = self.device(s, "office-a")
        with py.Session(a) as session:
            s.process.terminate()
            with self.assertRaises(py.ServerError) as raised:
                session.pump(lambda: False, 10)
            self.assertEqual(raised.exception.code, DRAINING)
        self.assertEqual(s.wait(10), 0)

    def test_invitation_works_once(self):
        s = self.server()
        code = s.invite("office-a")
        py.Device(self.path("first"), self.catalogue).enrol(code)
        with self.assertRaises(py.ServerError):
            py.Device(self.path("second"), self.catalogue).enrol(code)
        self.assertEqual(len(s("device", "list", "--json").lines()), 1)

    def test_full_disk_loses_nothing_and_ends_when_there_is_room(self):
        s = self.server(start=False)
        s.start()
        a = self.device(s, "office-a")
        size = os.path.getsize(os.path.join(s.data, "server.db"))
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
        big = "字" * 20000
        for n in range(10):
            a.save([a.create("organisation", name=f"公司{n}", district_code="120101", former_names=big)])
        with self.assertRaises((py.ServerError, py.Closed, py.ProtocolError)):
            with py.Session(a) as session:
                session.push()
        self.assertTrue(s.status()["running"])
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with py.Session(a) as session:
            self.assertTrue(session.push())
        balance = s("balance", "--json").lines()
        self.assertEqual((balance[0]["applied"], balance[-1]["unaccounted"]), (10, 0))
        s("verify")
        self.assertEqual(s.stop(), 0)


if __name__ == "__main__":
    unittest.main()
