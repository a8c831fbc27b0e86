# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in an office: a database of a newer program, a full disk, an edit without the right, a server
that goes away, weeks offline.

Each day ends the same way: a message that says what to do, the exit code of the table, and nothing lost.
"""
import concurrent.futures
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess

import world as w

NEWER = 4242
DISK_KIB = 6 * 1024
LIMIT_BYTES = 64 * 1024
SERVER_LEFT_KIB = [0, 200, 600]
PUSH_CHANGESETS_MAX = 256
LEFT_KIB = [0, 36, 64, 80, 100, 128, 160, 256, 400]
PADDING = "满" * 180


# ---- a newer program's database -----------------------------------------------------------------------------------------------


def set_user_version(path, version):
    with contextlib.closing(sqlite3.connect(path)) as db:
        was = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version={version}")
        db.commit()
        return was


def a_database_of_a_newer_version_is_refused():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", "120101")
            rid = office.add("organisation", "name=明天的公司")
            was = set_user_version(office.database(), NEWER)
            for command in (["status"], ["sync"], ["list", "organisation"], ["add", "organisation", "name=x", "district_code=120101"], ["dump"], ["balance"]):
                done = office(*command, ok=None)
                w.check(done.code == w.INCOMPATIBLE, command, "exits", done)
                w.check(str(NEWER) in done.err, "the message does not name the version:", done)
            w.check(set_user_version(office.database(), was) == NEWER, "somebody changed the version")
            w.check(office.show("organisation", rid)["fields"]["name"] == "明天的公司", "the record is gone")
            office.sync()
            server.stop()
            was = set_user_version(os.path.join(server.data, "server.db"), NEWER)
            w.check(server.start(ok=False) == w.INCOMPATIBLE, "the server starts on a newer database:", server.tail())
            w.check(server.cli("dump", ok=None).code == w.INCOMPATIBLE, "dump reads a newer database")
            set_user_version(os.path.join(server.data, "server.db"), was)
            server.start()
            w.check(office.dump() == server.dump_as("office"), "dumps differ")


# ---- a full disk ----------------------------------------------------------------------------------------------------------------


class SmallDisk:
    """A disk of its own that can be filled and emptied; None where mounting is not allowed."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", folder], check=False,
                                      capture_output=True).returncode == 0
        self.ballast = os.path.join(folder, "ballast")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=False)

    def fill(self, left_kib=0):
        with open(self.ballast, "wb", buffering=0) as f:
            with contextlib.suppress(OSError):
                while True:
                    f.write(b"\0" * 4096)
            f.truncate(max(0, f.tell() - left_kib * 1024))

    def empty(self):
        os.unlink(self.ballast)


def limited():
    """Stands in for the full disk where mounting is not allowed: no file may grow past the limit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))


def save_until_full(office, begin, preexec=None):
    """Names that were acknowledged, and the run that was not."""
    saved = []
    for n in range(begin, begin + 3000):
        name = f"{n}-{PADDING[:100]}"
        done = office("add", "organisation", f"name={name}", "district_code=120101", f"address={PADDING}", ok=None, preexec=preexec)
        if done.code != 0:
            return saved, done
        saved.append(name)
    raise w.Failed("the disk never filled up")


def names(office):
    return {r["name"] for r in office("query", "--json", "select name from organisation").lines()}


def a_full_disk_in_the_office_loses_nothing():
    with w.world() as folder, SmallDisk(os.path.join(folder, "disk")) as disk:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(disk.folder, "office")).join(server, "D_CLERK", "120101")
            before = office.add("organisation", "name=早先保存的")
            saved = []
            for left_kib in LEFT_KIB if disk.mounted else [0]:  # the disk ends at another write each time
                if disk.mounted:
                    disk.fill(left_kib)
                now, refused = save_until_full(office, len(saved), None if disk.mounted else limited)
                saved += now
                w.check(refused.code == w.FAILED, "a save on a full disk exits", refused)
                w.check("TZ-DB-002" in refused.err or not disk.mounted, "the message does not say so:", refused)
                w.check(refused.err.strip(), "no message:", refused)
                w.check(office.show("organisation", before)["fields"]["name"] == "早先保存的", "a full disk cannot be read")
                w.check(office.status()["unsent"] >= 1, office.status())
            everything = {"早先保存的", *saved}
            if disk.mounted:
                done = office("sync", ok=None)
                w.check(done.code in (w.DONE, w.FAILED, w.UNREACHABLE), "sync on a full disk exits", done)
                disk.empty()
            w.check(names(office) == everything, "lost", everything - names(office), "extra", names(office) - everything)
            w.check(office.show("organisation", before)["fields"]["name"] == "早先保存的", "the earlier record is gone")
            office.add("organisation", "name=有空间以后")
            office.sync()
            w.check(names(office) == everything | {"有空间以后"}, "records were lost or doubled")
            w.check(office.dump() == server.dump_as("office"), "dumps differ")
            w.check(office.balance()["unaccounted"] == 0, office.balance())


def a_full_disk_at_the_server_loses_nothing():
    with w.world() as folder, SmallDisk(os.path.join(folder, "disk")) as disk:
        server = w.Server(os.path.join(disk.folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", "120101")
            office.add("organisation", "name=先到的")
            office.sync()
            for left_kib in SERVER_LEFT_KIB if disk.mounted else [0]:
                server_with_a_full_disk(server, office, disk, left_kib)
            w.check(office.dump() == server.dump_as("office"), "dumps differ")
            w.check(office.balance()["unaccounted"] == 0, office.balance())


def server_with_a_full_disk(server, office, disk, left_kib):
    if disk.mounted:
        disk.fill(left_kib)
    else:
        server.stop()
        server.start(preexec=limited)
    refused = fill_server(office)
    w.check(refused.code in (w.FAILED, w.UNREACHABLE), "sync with a server whose disk is full exits", refused)
    w.check("safe on this machine" in refused.err and "?" not in refused.err, "the message:", refused)
    w.check(office.status()["unsent"] > 0, "the office believes a full server", office.status())
    saved = names(office)
    agent = office.popen("agent")
    try:
        w.wait_for(lambda: office.status()["agent"]["running"], what="the agent")
        if disk.mounted:
            disk.empty()
        if not disk.mounted or not server.alive():
            if server.alive():
                server.stop()
            server.start()
        w.wait_for(lambda: office.status()["unsent"] == 0, 60, "the agent to try again by itself", 0.2)
    finally:
        agent.terminate()
        agent.wait(20)
    office.sync()
    w.check(names(office) == saved, "records were lost")


def fill_server(office):
    """Send until the server can take no more; the run that says so."""
    for n in range(400):
        for k in range(20):
            office.add("organisation", f"name={n}-{k}-{PADDING[:100]}", f"address={PADDING}")
        done = office("sync", ok=None)
        if done.code != 0:
            return done
    raise w.Failed("the server's disk never filled up")


# ---- rights ---------------------------------------------------------------------------------------------------------------------


def an_edit_without_the_right_is_refused_at_the_form():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", "120101")
            rid = clerk.add("organisation", "name=和平公司", "status=active")
            clerk.sync()
            inspector = w.Office(os.path.join(folder, "inspector")).join(server, "F_INSP", "120101")
            leader = w.Office(os.path.join(folder, "leader")).join(server, "D_LEAD", "120101")
            tries = [(inspector, ["edit", "organisation", rid, "status=deregistered"]), (inspector, ["delete", "organisation", rid]),
                     (clerk, ["edit", "organisation", rid, "decoupled_on=2017-01-01"]),
                     (clerk, ["add", "organisation", "name=外区公司", "district_code=120102"]),
                     (leader, ["add", "organisation", "name=领导加的", "district_code=120101"]), (leader, ["edit", "organisation", rid, "address=x"])]
            for office, command in tries:
                done = office(*command, ok=None)
                w.check(done.code == w.FAILED, office.name, command, "exits", done)
                w.check("TZ-PUSH-00" in done.err, "the message has no code of the table:", done)
                w.check(office.status()["unsent_ops"] == 0, office.name, "kept something:", office.status())
            w.check(clerk.show("organisation", rid)["fields"].get("status") == "active", clerk.show("organisation", rid))


def a_user_disabled_meanwhile_keeps_the_words():
    """What is refused for a lost right stays on the machine, and everything says so."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", "120101")
            office.add("organisation", "name=停用之前")
            office.sync()
            users = server.cli("user", "list", "--json").lines()
            code = next(u["code"] for u in users if u["code"] == "office" or u.get("device") == "office")
            office.add("organisation", "name=停用之后")
            server.cli("user", "disable", code)
            done = office("sync", ok=None)
            w.check(done.code == w.PARTLY and "supervisor" in done.err + done.out, "a sync with a save under review exits", done)
            book = office.balance()
            w.check(book["under_review"] == 1 and book["unaccounted"] == 0, book)
            case, = [c for c in office("cases", "--json").lines()]
            w.check(case["kind"] == "late_scope" and "停用之后" in str(case), case)
            w.check(server.sql("SELECT count(*) FROM organisation WHERE name='停用之后'") == [(0,)], "it was taken in unseen")


# ---- the server goes away --------------------------------------------------------------------------------------------------------


def the_server_goes_away_in_mid_sync():
    with w.world() as folder:
        proxy = w.Proxy()
        server = w.Server(os.path.join(folder, "server"), public=f"127.0.0.1:{proxy.port}")
        proxy.server = server
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", "120101")
            for n in range(10):
                office.add("organisation", f"name=第{n}家", f"address={PADDING}")
            proxy.arm()
            syncing = subprocess.Popen(office.argv("sync"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=office.env, text=True)
            w.check(proxy.wait_for_push(20), "no push was seen")
            w.wait_for(lambda: server.sql("SELECT count(*) FROM result") == [(10,)], 20, "the server to judge all ten")
            server.kill9()
            proxy.cut()
            out, err = syncing.communicate(timeout=60)
            w.check(syncing.returncode == w.UNREACHABLE, "sync exits", syncing.returncode, out, err)
            w.check("TZ-NET-00" in err, "the message has no code of the table:", err)
            w.check(office.status()["unsent"] == 10, office.status())
            w.check(office("sync", ok=None).code == w.UNREACHABLE, "sync without a server")
            office.add("organisation", "name=断线时保存的")
            server.start()
            office.sync(ok=(0,))
            w.check(office.status()["unsent_ops"] == 0, office.status())
            w.check(server.sql("SELECT count(*), count(DISTINCT name) FROM organisation") == [(11, 11)], "doubled or lost")
            w.check(office.dump() == server.dump_as("office"), "dumps differ")
            book = office.balance()
            w.check(book["applied"] == 11 and book["unaccounted"] == 0, book)
        proxy.close()


# ---- long offline ----------------------------------------------------------------------------------------------------------------


def more_small_saves_than_one_push_holds():
    """Weeks of work: the outbox goes out in several pushes."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", "120101")
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda n: office.add("organisation", f"name=第{n}家"), range(PUSH_CHANGESETS_MAX + 20)))
            office.sync(ok=(0,))
            w.check(office.status()["unsent"] == 0, office.status())
            w.check(server.sql("SELECT count(*) FROM organisation") == [(PUSH_CHANGESETS_MAX + 20,)], "not all arrived")
            w.check(office.dump() == server.dump_as("office"), "dumps differ")


if __name__ == "__main__":
    w.main(more_small_saves_than_one_push_holds, a_database_of_a_newer_version_is_refused,
           a_full_disk_in_the_office_loses_nothing, a_full_disk_at_the_server_loses_nothing,
           an_edit_without_the_right_is_refused_at_the_form, a_user_disabled_meanwhile_keeps_the_words,
           the_server_goes_away_in_mid_sync)
