# SPDX-License-Identifier: Apache-2.0
"""The client program's connected commands against a real server: join, sync, agent, status, verify, balance, and their bad days."""
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import unittest

import tz

DISTRICT = "120101"
READY_SECONDS = 20


class Cut:
    """A line between client and server that breaks once the client has sent `up_bytes`."""

    def __init__(self, target_port):
        self.target = target_port
        self.up_bytes = None  # None: never breaks
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._link, args=(client,), daemon=True).start()

    def _link(self, client):
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            down = threading.Thread(target=self._copy, args=(server, client, None), daemon=True)
            down.start()
            self._copy(client, server, self.up_bytes)
            down.join()

    @staticmethod
    def _copy(source, to, limit):
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if limit is not None and sent + len(data) > limit:
                    to.sendall(data[:limit - sent])
                    break
                sent += len(data)
                to.sendall(data)
        for s in (source, to):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()


class Agent:
    """`taizhang agent` of one folder, from its ready line to its end."""

    def __init__(self, data):
        self.process = subprocess.Popen([tz.TAIZHANG, "agent", "--data", data, "--json"], env=tz.environment(),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ready = self.process.stdout.readline()

    def end(self, sig=signal.SIGTERM):
        if sig is not None:
            self.process.send_signal(sig)
        out, err = self.process.communicate(timeout=READY_SECONDS)
        return self.process.returncode, out.decode(), err.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class ClientCase(tz.TestCase):
    def folder_of(self, name):
        """An office's data folder; apart from the servers' folders."""
        return self.path("office-" + name)

    def office(self, name, server, **kw):
        data = self.folder_of(name)
        tz.taizhang("join", server.invite(name, **kw), "--data", data)
        tz.taizhang("sync", "--data", data)
        return data

    def cli(self, data, *args, **kw):
        return tz.taizhang(*args, "--data", data, **kw)

    def status(self, data):
        return self.cli(data, "status", "--json").json()

    def add(self, data, name):
        return self.cli(data, "add", "organisation", f"name={name}", f"district_code={DISTRICT}", "--json").json()["id"]

    def wait(self, what, truth, seconds=20):
        end = time.monotonic() + seconds
        while not truth():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)


class Join(ClientCase):
    def test_join_makes_a_private_folder_and_says_who_it_is(self):
        s = self.server()
        data = self.folder_of("a")
        done = tz.taizhang("join", s.invite("和平办"), "--data", data, "--json").json()
        self.assertEqual((done["joined"], done["again"], done["name"], done["role"], done["area"]),
                         (True, False, "和平办", "D_CLERK", DISTRICT))
        self.assertEqual(os.stat(data).st_mode & 0o777, 0o700)
        for name in os.listdir(data):
            self.assertEqual(os.stat(os.path.join(data, name)).st_mode & 0o077, 0, name)

    def test_a_typo_in_the_code_is_found_offline(self):
        s = self.server()
        code = s.invite("a")
        s.stop()
        at = len(code) // 2
        wrong = code[:at] + ("2" if code[at] != "2" else "3") + code[at + 1:]
        done = tz.taizhang("join", wrong if code[at] != "-" else code[:-1], "--data", self.folder_of("a"), code=4)
        self.assertIn("TZ-NET-021", done.err)
        self.assertFalse(os.path.exists(self.folder_of("a")))

    def test_a_used_code_with_another_key_is_refused(self):
        s = self.server()
        code = s.invite("a")
        tz.taizhang("join", code, "--data", self.folder_of("a"))
        done = tz.taizhang("join", code, "--data", self.folder_of("b"), code=4)
        self.assertIn("TZ-NET-007", done.err)
        self.assertTrue(os.path.exists(os.path.join(self.folder_of("b"), "device.key")))

    def test_repeating_the_join_gives_the_same_device(self):
        s = self.server()
        code = s.invite("a")
        first = tz.taizhang("join", code, "--data", self.folder_of("a"), "--json").json()
        again = tz.taizhang("join", code, "--data", self.folder_of("a"), "--json").json()
        self.assertTrue(again["again"])
        self.assertEqual(first["device"], again["device"])
        for name in os.listdir(self.folder_of("a")):  # as if the answer had been lost: only the key is left
            if name != "device.key":
                os.unlink(os.path.join(self.folder_of("a"), name))
        lost = tz.taizhang("join", code, "--data", self.folder_of("a"), "--json").json()
        self.assertEqual((first["device"], False), (lost["device"], lost["again"]))
        self.cli(self.folder_of("a"), "sync")

    def test_joins_at_once_leave_a_key_that_fits_the_certificate(self):
        server = self.server()
        data = self.path("c")
        codes = [server.invite("desk"), server.invite("desk2")]
        joins = [subprocess.Popen([tz.TAIZHANG, "--data", data, "join", code], env=tz.environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for code in codes]
        ends = [j.wait(30) for j in joins]
        for j in joins:
            j.communicate()
        self.assertIn(0, ends)
        self.cli(data, "sync")  # the certificate is accepted with this very key

    def test_an_auditor_without_an_area_syncs_and_is_told_so(self):
        server = self.server()
        data = self.office("audit", server, role="AUDITOR", area="120000")
        self.cli(data, "sync")
        status = self.status(data)
        self.assertTrue(status["no_areas"])
        self.assertFalse(status["filling"])
        self.assertEqual(status["rows"], 0)
        self.assertIn("没有辖区", self.cli(data, "status").out)

    def test_another_invitation_does_not_take_over_a_joined_folder(self):
        s = self.server()
        data = self.office("a", s)
        other = s.invite("b")
        self.assertIn("TZ-NET-013", tz.taizhang("join", other, "--data", data, code=2).err)
        tz.taizhang("join", other, "--data", self.folder_of("b"))  # and was not used up

    def test_join_without_a_server_keeps_the_key_and_can_be_repeated(self):
        s = self.server()
        code = s.invite("a")
        s.stop()
        self.assertIn("TZ-NET-003", tz.taizhang("join", code, "--data", self.folder_of("a"), code=5).err)
        with open(os.path.join(self.folder_of("a"), "device.key"), "rb") as f:
            key = f.read()
        self.assertEqual(self.cli(self.folder_of("a"), "status", code=4).code, 4)
        s.start()
        tz.taizhang("join", code, "--data", self.folder_of("a"))
        with open(os.path.join(self.folder_of("a"), "device.key"), "rb") as f:
            self.assertEqual(key, f.read())

    def test_a_server_with_another_key_is_not_talked_to(self):
        real, other = self.server(), self.server(name="b")
        code = real.invite("a")
        real.stop()
        other.stop()
        other.port = real.port
        other.start()
        self.assertIn("TZ-NET-006", tz.taizhang("join", code, "--data", self.folder_of("a"), code=4).err)


class Sync(ClientCase):
    def test_a_save_reaches_the_other_office(self):
        s = self.server()
        a, b = self.office("a", s), self.office("b", s)
        self.add(a, "津门公司")
        self.assertEqual(self.status(a)["unsent"], 1)
        report = self.cli(a, "sync", "--json").json()
        self.assertEqual((report["sent"], report["applied"], report["refused"], report["unsent"]), (1, 1, 0, 0))
        self.assertEqual(self.status(a)["unsent"], 0)
        self.assertIn("一切都已送到服务器", self.cli(a, "status").out)
        self.cli(b, "sync")
        self.assertIn("津门公司", self.cli(b, "dump").out)
        self.assertEqual(self.cli(a, "dump").out, self.cli(b, "dump").out)
        self.assertEqual(self.cli(a, "dump").out, s("dump", "--as-device", "a").out)

    def test_status_works_offline_and_says_what_is_pending(self):
        s = self.server()
        a = self.office("a", s)
        s.stop()
        self.add(a, "x")
        self.add(a, "y")
        self.assertIn("还有 2 项未送出", self.cli(a, "status").out)
        status = self.status(a)
        self.assertEqual((status["unsent"], status["agent"]["running"]), (2, False))
        self.assertGreater(status["last_sync_ms"], 0)

    def test_an_unreachable_server_exits_5_and_loses_nothing(self):
        s = self.server()
        a = self.office("a", s)
        s.stop()
        self.add(a, "离线登记")
        done = self.cli(a, "sync", code=5)
        self.assertIn("TZ-NET-003", done.err)
        self.assertIn("1 次保存未送出", done.err)
        s.start()
        self.assertEqual(self.cli(a, "sync", "--json").json()["applied"], 1)

    def test_a_revoked_device_exits_4_and_its_work_is_handed_in(self):
        s = self.server()
        a = self.office("a", s)
        self.add(a, "x")
        s("device", "revoke", "a")
        done = self.cli(a, "sync", code=4)
        self.assertIn("TZ-GRANT-006", done.err)
        self.assertIn("1 次保存已交给管理员", done.err)
        self.assertEqual(len(s("backlog", "--json").lines()), 1)
        self.assertIn("TZ-GRANT-006", self.cli(a, "status", code=4).err)

    def test_another_server_at_the_address_gets_nothing(self):
        s, other = self.server(), self.server(name="b")
        a = self.office("a", s)
        self.add(a, "x")
        s.stop()
        other.stop()
        other.port = s.port
        other.start()
        self.assertIn("TZ-NET-006", self.cli(a, "sync", code=4).err)
        other.stop()
        s.start()
        self.assertEqual(self.cli(a, "sync", "--json").json()["applied"], 1)

    def test_a_newer_database_is_refused_and_untouched(self):
        s = self.server()
        a = self.office("a", s)
        database = os.path.join(a, "office.db")
        with contextlib.closing(sqlite3.connect(database)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("PRAGMA user_version = 9999")
        for command in ("sync", "status", "agent", "verify"):
            self.assertIn("TZ-DB-005", self.cli(a, command, code=9).err)
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute(f"PRAGMA user_version = {version}")
        self.cli(a, "sync")

    def test_a_line_cut_in_the_middle_resumes_without_doubles(self):
        s = self.server()
        line = Cut(s.port)
        self.addCleanup(line.close)
        data = self.folder_of("a")
        code = s("invite", "--role", "D_CLERK", "--area", DISTRICT, "--name", "a", "--json", "--address",
                 f"127.0.0.1:{line.port}").json()["code"]
        tz.taizhang("join", code, "--data", data)
        self.cli(data, "sync")
        for n in range(12):
            self.add(data, f"公司{n}")
        for up_bytes in (200, 900, 1500, 2500, 4000):
            line.up_bytes = up_bytes
            self.cli(data, "sync", code=None)
        line.up_bytes = None
        self.cli(data, "sync")
        self.assertEqual(self.status(data)["unsent"], 0)
        self.assertEqual(self.cli(data, "dump").out, s("dump", "--as-device", "a").out)
        self.assertEqual(s("dump").out.count('"公司'), 12)

    def test_a_server_killed_in_the_middle_is_resumed(self):
        s = self.server()
        a = self.office("a", s)
        for n in range(10):
            self.add(a, f"公司{n}")
        syncing = subprocess.Popen([tz.TAIZHANG, "sync", "--data", a], env=tz.environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(0.02)
        s.kill()
        self.assertIn(syncing.wait(60), (0, 5))
        self.cli(a, "sync", code=5)
        s.start()
        self.cli(a, "sync")
        self.assertEqual(s("dump").out.count('"公司'), 10)
        self.assertEqual(self.cli(a, "balance", "--json").json()["unaccounted"], 0)

    def test_two_syncs_at_once_both_end_well(self):
        s = self.server()
        a = self.office("a", s)
        self.add(a, "x")
        runs = [subprocess.Popen([tz.TAIZHANG, "sync", "--data", a], env=tz.environment(), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for _ in range(4)]
        self.assertEqual([r.wait(60) for r in runs], [0] * 4)
        self.assertEqual(s("dump").out.count('"x"'), 1)

    def test_a_wrong_clock_warns_and_syncs(self):
        faketime = shutil.which("faketime")
        if faketime is None:
            self.skipTest("the package faketime is not installed")
        s = self.server()
        a = self.office("a", s)
        self.add(a, "x")
        if subprocess.run([faketime, "-f", "+30d", tz.TAIZHANG, "--version"], capture_output=True, check=False).returncode != 0:
            self.skipTest("faketime cannot preload into this build (sanitizers)")
        done = tz.run(faketime, "-f", "+30d", tz.TAIZHANG, "sync", "--data", a)
        self.assertIn("本机时钟与服务器相差", done.err)
        self.assertEqual(self.status(a)["unsent"], 0)


class AgentLive(ClientCase):
    def test_saves_go_out_and_come_in_without_a_command(self):
        s = self.server()
        a, b = self.office("a", s), self.office("b", s)
        with Agent(a) as agent_a, Agent(b) as agent_b:
            self.assertTrue(agent_a.ready and agent_b.ready)
            self.add(a, "活的")
            self.wait("the save to leave", lambda: self.status(a)["unsent"] == 0)
            self.wait("the record to arrive", lambda: "活的" in self.cli(b, "dump").out)
            self.assertEqual(self.status(a)["agent"], {"running": True, "connected": True, "error": ""})
            self.assertEqual(agent_a.end()[0], 0)
            self.assertEqual(agent_b.end(signal.SIGINT)[0], 0)
        self.assertFalse(self.status(a)["agent"]["running"])

    def test_a_poke_that_was_lost_costs_a_second(self):
        s = self.server()
        a = self.office("a", s)
        with Agent(a) as agent:
            self.assertTrue(agent.ready)
            self.wait("connection", lambda: self.status(a)["agent"]["connected"])
            socket_path, away = os.path.join(a, "agent.sock"), os.path.join(a, "away")
            os.rename(socket_path, away)
            self.add(a, "x")
            os.rename(away, socket_path)
            self.wait("the outbox to be looked at", lambda: self.status(a)["unsent"] == 0)
            self.assertEqual(agent.end()[0], 0)

    def test_sync_and_verify_beside_an_agent_ask_it(self):
        s = self.server()
        a = self.office("a", s)
        with Agent(a) as agent:
            self.assertTrue(agent.ready)
            self.add(a, "x")
            self.cli(a, "sync")
            self.assertEqual(self.status(a)["unsent"], 0)
            self.assertTrue(self.cli(a, "verify", "--json").json()["same"])
            self.assertEqual(tz.taizhang("agent", "--data", a, code=6).code, 6)
            self.assertEqual(self.cli(a, "agent", "--stop").code, 0)
            self.assertEqual(agent.end(None)[0], 0)

    def test_the_agent_comes_back_after_the_server_does(self):
        s = self.server()
        a = self.office("a", s)
        with Agent(a) as agent:
            self.wait("connection", lambda: self.status(a)["agent"]["connected"])
            s.kill()
            self.add(a, "x")
            self.wait("the loss to be noticed", lambda: not self.status(a)["agent"]["connected"])
            self.assertEqual(self.cli(a, "sync", code=5).code, 5)
            s.start()
            self.wait("the save to leave", lambda: self.status(a)["unsent"] == 0, 60)
            self.assertEqual(agent.end()[0], 0)

    def test_a_revoked_agent_wipes_and_stops_with_4(self):
        s = self.server()
        a = self.office("a", s)
        with Agent(a) as agent:
            self.wait("connection", lambda: self.status(a)["agent"]["connected"])
            s("device", "revoke", "a")
            code, _, err = agent.end(None)
            self.assertEqual(code, 4, err)
            self.assertIn("TZ-GRANT-006", err)


class Books(ClientCase):
    def test_verify_agrees_and_finds_a_changed_row(self):
        s = self.server()
        a = self.office("a", s)
        self.add(a, "x")
        self.cli(a, "sync")
        seen = self.cli(a, "verify", "--json").json()
        self.assertTrue(seen["same"] and seen["audit_ok"] and seen["database_ok"])
        self.assertEqual(seen["rows_here"], seen["rows_server"])
        with contextlib.closing(sqlite3.connect(os.path.join(a, "office.db"))) as db:
            db.execute("UPDATE organisation SET name='y' WHERE name='x'")
            db.commit()
        self.assertIn("TZ-NET-015", self.cli(a, "verify", "--no-repair", code=7).err)
        self.cli(a, "verify", "--offline")

    def test_verify_without_a_server_says_so(self):
        s = self.server()
        a = self.office("a", s)
        s.stop()
        self.assertEqual(self.cli(a, "verify", code=5).code, 5)
        self.assertFalse(self.cli(a, "verify", "--offline", "--json").json()["compared"])

    def test_the_balance_comes_out(self):
        s = self.server()
        a = self.office("a", s)
        self.add(a, "x")
        before = self.cli(a, "balance", "--json").json()
        self.assertEqual((before["made"], before["unsent"], before["unaccounted"]), (1, 1, 0))
        self.cli(a, "sync")
        after = self.cli(a, "balance", "--json").json()
        self.assertEqual((after["made"], after["applied"], after["unsent"], after["unaccounted"]), (1, 1, 0, 0))


class Usage(tz.TestCase):
    def test_mistakes_are_usage_errors(self):
        for args in ([], ["nothing"], ["sync"], ["sync", "x", "--data", "/nowhere"], ["join", "--data", "/nowhere"],
                     ["verify", "--what", "--data", "/nowhere"], ["status", "--data"]):
            self.assertEqual(tz.taizhang(*args, code=2).code, 2, args)

    def test_a_folder_that_has_not_joined_exits_4(self):
        for command in ("sync", "status", "agent", "verify", "balance"):
            self.assertIn("TZ-NET-011", tz.taizhang(command, "--data", self.path("x"), code=4).err)

    def test_help_comes_from_the_table_in_both_languages(self):
        self.assertIn("邀请码", tz.taizhang("--help").out)
        self.assertIn("invitation", tz.taizhang("--help", "--lang", "en").out)
        self.assertIn("taizhang join CODE", tz.taizhang("join", "--help", "--lang=en").out)
        self.assertRegex(tz.taizhang("--version").out, r"^taizhang \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
