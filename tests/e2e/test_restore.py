# SPDX-License-Identifier: Apache-2.0
"""Backup and restore through the command lines: what comes back, what is refused, and what the devices keep of the time that is gone."""
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import time

import compare_data
import world as w

EPOCH = 1 << 48


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def backup(server, *args):
    return server.cli("backup", "--json", *args).json()


def restore(server, file, *args, ok=(0,)):
    return server.cli("restore", file, "--json", *args, ok=ok)


def code_of(run):
    return json.loads(run.err.strip().splitlines()[-1])["error"]["code"]


def office(folder, name, server, role, area):
    return w.Office(os.path.join(folder, name)).join(server, role, area)


def organisations(office_or_server):
    return {r[0] for r in office_or_server.sql("SELECT name FROM organisation")}


@contextlib.contextmanager
def a_server(**kw):
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"), **kw)
        try:
            yield folder, server
        finally:
            if server.alive():
                server.kill9()


def versions_above(path, ver):
    return {r[0] for r in w.read_sql(path, "SELECT ver FROM commit_log WHERE ver > ?", ver)}


# ---- the walk-through --------------------------------------------------------------------------------------------------------


def yesterdays_backup_comes_back_and_nobody_who_was_shut_out_does():
    with a_server() as (folder, server):
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        inspector = office(folder, "inspector", server, "F_INSP", "120101")
        west = office(folder, "west", server, "D_CLERK", "120102")
        kept = east.add("organisation", "name=backed up")
        edited = east.add("organisation", "name=edited later", "address=before")
        removed = east.add("organisation", "name=deleted later")
        west.add("organisation", "name=western")
        for o in (east, west, inspector):
            o.sync()
        made = backup(server)

        # a day of work that only the devices will remember
        east.add("organisation", "name=after the backup")
        east.edit("organisation", edited, "address=after")
        east("delete", "organisation", removed)
        east.sync()
        inspector.sync()
        server.cli("device", "revoke", "west")
        server.cli("user", "add", "second", "--name", "second", "--role", "D_CLERK", "--area", "120101")
        late = office(folder, "late", server, "D_CLERK", "120101")
        late.add("organisation", "name=made by late")
        late.sync()
        east.sync()
        inspector.sync()
        unsent = inspector.add("organisation", "name=not sent yet")
        late_number = server.cli("device", "show", "late", "--json").json()["device"]
        server.kill9()

        done = restore(server, made["file"]).json()
        w.check(done["restored_to"] == made["head"] and done["epoch"] == 2 and done["replayed"] >= 3, done)
        w.check(os.path.basename(done["former"]).startswith("server.db.before-restore-") and os.path.exists(done["former"]), done)
        server.start()
        status = server.status()
        w.check(status["recovery_open"] and status["recovery_until_ms"] == done["recovery_until_ms"], status)
        w.check(abs(status["recovery_until_ms"] / 1000 - time.time() - 30 * 86400) < 600, status)
        devices = {d["name"]: d for d in server.cli("device", "list", "--json").lines()}
        w.check(devices["west"]["revoked"] and not devices["east"]["revoked"], devices)
        w.check(devices["late"]["device"] == late_number and devices["late"]["recovery_until_ms"], devices)
        for words in (("device", "list"), ("status",)):
            w.check("recovery window" in server.cli(*words).err, words, "does not tell of the window")
        w.check("second" in {u["code"] for u in server.cli("user", "list", "--json").lines()}, "the user is gone")

        west("sync", ok=(4,))
        clients = (east, inspector, late)
        for o in clients:
            o.sync(ok=(0,))
        east.edit("organisation", kept, "address=after the restore")  # a number behind those whose answers are forgotten
        for o in clients * 2:
            o.sync(ok=(0,))
        for o in clients:
            w.check(o.dump() == server.dump_as(o.name), o.name, "does not hold what the server says")
            compare_data.must_be_the_same(os.path.join(server.data, "server.db"), [o.database()])
            w.check(o("verify", "--json").json(), o.name)
        w.check(organisations(server) == {"backed up", "edited later", "western", "not sent yet", "after the backup", "made by late"},
                organisations(server))
        w.check(east.show("organisation", edited)["fields"]["address"] == "after", "an edit did not come back")
        w.check(east.show("organisation", kept)["fields"]["address"] == "after the restore", "the new edit does not stand")
        w.check(inspector.show("organisation", unsent)["fields"]["name"] == "not sent yet", "an unsent record is gone")
        w.check(removed not in {r["id"] for r in east("list", "organisation", "--json").lines()}, "a deletion did not come back")
        for o in clients:
            s = o.status()
            w.check((s["unsent"], s["lost_saves"]) == (0, 0), o.name, s)

        # nothing is ever given twice
        former, now = (versions_above(p, done["restored_to"]) for p in (done["former"], os.path.join(server.data, "server.db")))
        w.check(former and now and not former & now, "versions given twice")
        w.check(min(now) >= 2 * EPOCH + (done["restored_to"] & (EPOCH - 1)), "the counter went back")
        office(folder, "newcomer", server, "D_CLERK", "120101")
        w.check(server.cli("device", "show", "newcomer", "--json").json()["device"] > late_number, "a device number was given twice")

        server.cli("restore", "--close")
        w.check(not server.status()["recovery_open"], "the window is still open")
        w.check(code_of(server.cli("restore", "--close", "--json", ok=(1,))) == "TZ-RST-004", "closed twice")
        w.check(server.cli("verify", "--json").json()["ok"], "verify")
        server.stop()


def two_restores_in_a_row_and_one_to_a_backup_of_before():
    with a_server() as (folder, server):
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        west = office(folder, "west", server, "D_CLERK", "120102")
        history = []
        for n in range(3):
            east.add("organisation", f"name=kept {n}")
            west.add("organisation", f"name=west {n}")
            east.sync()
            west.sync()
            history.append(backup(server)["file"])
            east.add("organisation", f"name=lost {n}")
            east.sync()
        for turn, file in enumerate((history[2], history[1], history[2], history[0])):
            server.kill9()
            done = restore(server, file).json()
            w.check(done["epoch"] == turn + 2, done)
            server.start()
            for o in (east, west):
                if turn != 1:  # one of them is away at times
                    o.sync(ok=(0,))
                    w.check(o.dump() == server.dump_as(o.name), o.name, "after restore", turn)
            east.add("organisation", f"name=turn {turn}")
            east.sync(ok=(0,))
            w.check(east.dump() == server.dump_as("east"), "east after restore", turn)
        west.sync(ok=(0,))
        everything = {f"{what} {n}" for what in ("kept", "west", "lost") for n in range(3)} | {f"turn {n}" for n in range(4)}
        w.check(everything == organisations(server), everything ^ organisations(server))
        server.stop()


def the_second_implementation_follows_by_the_specification_alone():
    with a_server() as (folder, server):
        py = w.load_protocol(os.path.join(folder, "pb"))
        import values
        server.start()
        device = py.Device(os.path.join(folder, "py"), values.Catalogue(w.CATALOGUE))
        device.enrol(server.invite("D_CLERK", "120101", "py"))

        def session(*names):
            with py.Session(device) as s:
                s.pull()
                w.check(s.catch_up(), "not caught up")
                keys = [device.save([device.create("organisation", name=n, district_code="120101")]) for n in names]
                w.check(s.push(keys), "not answered")
                w.check(all(device.result(k).outcome == py.pb.OUTCOME_APPLIED for k in keys), "not applied")
                w.check(s.catch_up(max([s.welcome.head, *(device.result(k).ver for k in keys)])), "not caught up after the push")
                answer, rows, digest = s.verify()
                w.check((answer.rows, answer.digest, answer.audit_ok) == (rows, digest, True), "digests differ")
            return s.welcome

        session("one")
        made = backup(server)
        session("two", "three")
        server.kill9()
        restore(server, made["file"])
        server.start()
        welcome = session("four")
        w.check([(r.above, r.upto, r.epoch) for r in welcome.lost] == [(made["head"], 2 * EPOCH - 1, 2)], welcome)
        w.check(welcome.recovery_until_ms > time.time() * 1000, welcome)
        w.check(len(device.find("organisation")) == 2 and len(device.meta["set_aside"]) == 2, device.meta["set_aside"])
        w.check(len(session().lost) == 1 and len(device.meta["set_aside"]) == 2, "set aside twice")
        server.stop()


# ---- backups while others work -----------------------------------------------------------------------------------------------


def pushing(offices, until):
    def work(o):
        n = 0
        while not until.is_set():
            n += 1
            o.add("organisation", f"name={o.name} {n}")
            o("sync", ok=(0, 3, 5))
    threads = [threading.Thread(target=work, args=(o,)) for o in offices]
    for t in threads:
        t.start()
    return threads


def kill_in_the_middle(server, folder):
    """Kill -9 while a half copy stands there. Whether that was so."""
    process = subprocess.Popen([w.TAIZHANGD, "backup", "--data", server.data], env=server.env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    caught = False
    while process.poll() is None and not caught:
        caught = os.path.isdir(folder) and any(n.endswith(".part") for n in os.listdir(folder))
    process.send_signal(signal.SIGKILL)
    process.wait()
    return caught and any(n.endswith(".part") for n in os.listdir(folder))


def backups_beside_four_clients_are_whole_or_not_there():
    with a_server() as (folder, server):
        server.start()
        offices = [office(folder, f"o{n}", server, "D_CLERK", f"12010{n + 1}") for n in range(4)]
        there = os.path.join(server.data, "backups")
        until = threading.Event()
        threads = pushing(offices, until)
        try:
            heads = [backup(server, "--keep", "1")["head"]]
            killed = 0
            for _ in range(40):
                killed += kill_in_the_middle(server, there)
                for name in os.listdir(there):
                    if name.endswith(".db"):
                        server.cli("backup", "--verify", os.path.join(there, name))
                if killed >= 2:
                    break
            heads += [backup(server, "--keep", "1")["head"] for _ in range(3)]
        finally:
            until.set()
            for t in threads:
                t.join()
        w.check(killed >= 2, "no backup was caught in the middle:", killed)
        w.check(heads == sorted(heads) and heads[-1] > heads[0], "backups do not move on:", heads)
        names = sorted(os.listdir(there))
        generations = [n[:-3] for n in names if n.endswith(".db")]
        w.check(len(generations) == 2 and sorted(names) == sorted(["lock"] + [g + t for g in generations for t in (".db", ".json")]),
                "left in the folder:", names)
        status = server.status()
        w.check(status["rollbacks"] == 0, status)
        for o in offices:
            o.sync()
            w.check(o.dump() == server.dump_as(o.name), o.name)
        server.stop()


def older_generations_go_only_when_the_new_one_stands():
    with a_server() as (folder, server):
        to = os.path.join(folder, "elsewhere")
        made = [backup(server, "--to", to, "--keep", "3") for _ in range(4)]
        w.check([m["kept"] for m in made] == [1, 2, 3, 3] and made[3]["deleted"] == 1, made)
        w.check(not os.path.exists(made[0]["file"]) and all(os.path.exists(m["file"]) for m in made[1:]), "wrong ones went")
        with open(made[1]["file"], "ab") as f:
            f.write(b"x")  # no longer what its description says: not counted, and left for a person to look at
        last = backup(server, "--to", to, "--keep", "2")
        w.check(last["kept"] == 2 and os.path.exists(made[1]["file"]) and not os.path.exists(made[2]["file"]), last)
        w.check(backup(server, "--to", to, "--keep", "0")["kept"] == 2, "fewer than two stay")
        for i, file in enumerate(f for f in sorted(os.listdir(to)) if f.endswith(".db")):
            for tail in (".db", ".json"):  # made while the clock was years ahead
                os.rename(os.path.join(to, file[:-3] + tail), os.path.join(to, f"server-203101{10 + i}T000000000Z{tail}"))
        last = backup(server, "--to", to, "--keep", "2")
        w.check(os.path.exists(last["file"]) and last["kept"] == 2 and last["deleted"] == 1, "the new one went:", last)
        for wrong in ("x", "1x", "", "99999999999999999999"):
            server.cli("backup", "--keep", wrong, ok=(8,))
        w.check(not os.path.exists(os.path.join(server.data, "backups")), "a wrong --keep made a folder")


def keys_are_copied_only_when_asked_for():
    with a_server() as (folder, server):
        to = os.path.join(folder, "safe")
        done = server.cli("backup", "--to", to)
        w.check("ca.key" in done.err and not os.path.exists(os.path.join(to, "keys")), done)
        for _ in range(2):
            file = backup(server, "--to", to, "--with-keys")["file"]
        keys = os.path.join(to, "keys")
        w.check(stat.S_IMODE(os.stat(keys).st_mode) == 0o700, "keys are not private")
        w.check(sorted(os.listdir(keys)) == ["ca.crt", "ca.key", "server.crt", "server.key", "taizhangd.ini"], os.listdir(keys))
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        server.kill9()

        # another machine: nothing but the keys and the backup. Who joined since is not known there
        shutil.rmtree(server.data)
        shutil.copytree(keys, server.data)
        done = restore(server, file, "--recovery-days", "0").json()
        w.check(done["former"] == "" and done["recovery_until_ms"] == 0 and 2 < done["epoch"] < 300, done)
        server.start()
        east("sync", ok=(4,))
        office(folder, "again", server, "D_CLERK", "120101")
        w.check(not server.status()["recovery_open"], "a window of no days is open")
        server.stop()


# ---- what is refused ---------------------------------------------------------------------------------------------------------


def a_server_that_does_not_know_what_it_lost_is_refused_by_who_does():
    """Two restores onto bare machines from one backup: the second knows nothing of the first, but the devices do."""
    with a_server() as (folder, server):
        to = os.path.join(folder, "safe")
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        east.add("organisation", "name=before")
        east.sync()
        file = backup(server, "--to", to, "--with-keys")["file"]
        for turn, epoch in enumerate(("9", "5", "10")):
            server.kill9()
            shutil.rmtree(server.data)
            shutil.copytree(os.path.join(to, "keys"), server.data)
            w.check(restore(server, file, "--epoch", epoch).json()["epoch"] == int(epoch), "another epoch")
            server.start()
            if turn == 0:
                east.add("organisation", "name=only copy")
                east.sync()
            elif turn == 1:
                east.add("organisation", "name=made now")
                done = east("sync", ok=(7,))
                w.check("--epoch 10" in done.err, done)
        east.sync()
        w.check("made now" in organisations(server), organisations(server))
        w.check(east.balance()["unaccounted"] == 0 and east.dump() == server.dump_as("east"), "east differs")
        server.cli("restore", file, "--epoch", "x", ok=(8,))
        server.stop()


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


def a_journal_that_is_a_copy_too_does_not_tell_the_last_epoch():
    """Two restores onto bare machines from one backup and one copy of the journal: their epochs must not be one."""
    with a_server() as (folder, server):
        to = os.path.join(folder, "safe")
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        east.sync()
        file = backup(server, "--to", to, "--with-keys")["file"]
        shutil.copy(os.path.join(server.data, "journal"), os.path.join(to, "keys"))
        server.kill9()
        for _ in range(2):
            shutil.rmtree(server.data)
            shutil.copytree(os.path.join(to, "keys"), server.data)
            epoch = restore(server, file).json()["epoch"]
            w.check(epoch > 2 + 15, "an epoch that may have been before:", epoch)
        shutil.rmtree(server.data)
        shutil.copytree(os.path.join(to, "keys"), server.data)
        w.check(restore(server, file, "--epoch", "7").json()["epoch"] == 7, "named by the administrator")


def damaged_backups_are_refused_and_nothing_is_changed():
    with a_server() as (folder, server):
        server.start()
        office(folder, "east", server, "D_CLERK", "120101")
        good = backup(server)["file"]
        server.cli("backup", "--verify", good)
        w.check("TZ-DB-003" in restore(server, good, ok=(6,)).err, "restored under a running server")
        server.stop()
        live = os.path.join(server.data, "server.db")
        before, listing = digest(live), sorted(os.listdir(server.data))
        size = os.path.getsize(good)

        def copy(name):
            path = os.path.join(folder, name)
            shutil.copy(good, path)
            shutil.copy(good[:-3] + ".json", path[:-3] + ".json")
            return path

        bad = {"flipped": copy("a.db"), "cut": copy("b.db"), "empty": copy("c.db"), "alone": copy("d.db"), "lied": copy("e.db"),
               "other": copy("f.txt"), "words": copy("g.db")}
        flip(bad["flipped"], size // 2)
        os.truncate(bad["cut"], size - 4096)
        os.truncate(bad["empty"], 0)
        os.unlink(bad["alone"][:-3] + ".json")
        # a description that fits the file's hash, of a file that is not sound
        for name, change in (("lied", lambda j: j.update(head=j["head"] + 1)), ("words", lambda j: j.update(sha256="zz"))):
            with open(bad[name][:-3] + ".json", "r+", encoding="utf-8") as f:
                description = json.load(f)
                change(description)
                f.seek(0)
                f.truncate()
                json.dump(description, f)
        inside = copy("h.db")
        db = sqlite3.connect(inside)
        db.execute("UPDATE audit SET meta='nothing happened' WHERE n=2")
        db.commit()
        db.close()
        with open(inside[:-3] + ".json", encoding="utf-8") as f:
            description = dict(json.load(f), sha256=digest(inside), bytes=os.path.getsize(inside))
        with open(inside[:-3] + ".json", "w", encoding="utf-8") as f:
            json.dump(description, f)
        bad["inside"] = inside
        for why, file in bad.items():
            for args in (("backup", "--verify", file), ("restore", file)):
                done = server.cli(*args, "--json", ok=(7,))
                w.check(code_of(done) == "TZ-RST-002" and (why != "inside" or "audit entry 2" in done.err), why, done)
        w.check(digest(live) == before and sorted(os.listdir(server.data)) == listing, "something was changed")
        server.cli("restore", os.path.join(folder, "nowhere.db"), ok=(7,))
        server.cli("restore", ok=(2,))
        server.cli("restore", good, "--close", ok=(2,))
        server.cli("backup", "--verify", good)
        server.start()
        server.stop()


def killed_anywhere_a_restore_leaves_one_whole_database():
    with a_server() as (folder, server):
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        made = backup(server)["file"]
        server.cli("device", "revoke", "east")
        late = office(folder, "late", server, "D_CLERK", "120101")
        server.stop()
        began = time.monotonic()
        restore(server, made)
        whole = time.monotonic() - began
        cut = 0
        for n in range(12):
            process = subprocess.Popen([w.TAIZHANGD, "restore", made, "--data", server.data], env=server.env,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(whole * (n + 0.5) / 12)
            process.kill()
            done = process.wait() == 0
            cut += not done
            whole *= 0.6 if done else 1  # the first was slow on a busy machine
            verified = server.cli("verify", "--json", ok=(0, 7))  # the former one, or the restored one
            w.check(verified.code == 0 or code_of(verified) == "TZ-RST-001", verified)
        w.check(cut >= 6, "only", cut, "were cut")
        done = restore(server, made).json()
        server.start()
        east("sync", ok=(4,))
        late.sync(ok=(0,))
        w.check(late.dump() == server.dump_as("late") and done["epoch"] >= 3, done)
        w.check(not [n for n in os.listdir(server.data) if "restoring" in n], os.listdir(server.data))
        server.stop()


def a_copy_of_the_database_put_back_by_hand_is_refused():
    with a_server() as (folder, server):
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        made = backup(server)
        server.stop()
        live, old = os.path.join(server.data, "server.db"), os.path.join(folder, "old.db")
        shutil.copy(live, old)
        server.start()
        east.add("organisation", "name=newer")
        east.sync()
        server.stop()
        shutil.copy(old, live)  # nothing but an edit was lost, and no restore ever ran here
        for args in (("serve", "--listen", "127.0.0.1:0"), ("dump",), ("user", "disable", "east"), ("backup",)):
            done = server.cli(*args, "--json", ok=(7,))
            w.check(code_of(done) == "TZ-RST-001" and "taizhangd restore" in done.err, args, done)
        restore(server, made["file"])
        server.start()
        east.sync(ok=(0,))
        w.check(east.dump() == server.dump_as("east"), "east")
        w.check(east.status()["lost_saves"] == 0 and "newer" in organisations(server), east.status())
        server.stop()
        shutil.copy(old, live)  # and after a restore an old one is of an old epoch
        w.check(code_of(server.cli("dump", "--json", ok=(7,))) == "TZ-RST-001", "an old epoch was taken")


def the_journal_is_mended_at_its_end_and_named_where_it_is_damaged():
    with a_server() as (folder, server):
        journal = os.path.join(server.data, "journal")
        server.start()
        made = backup(server)["file"]
        office(folder, "east", server, "D_CLERK", "120101")
        server.cli("device", "revoke", "east")
        server.kill9()
        with open(journal, "ab") as f:
            f.write(b"0123456789abcdef 1 2")  # the power went
        server.start()
        server.cli("user", "add", "u2", "--name", "u2", "--role", "D_CLERK", "--area", "120101")
        server.stop()
        w.check(restore(server, made).json()["replayed"] >= 3, "the journal was not read")
        with open(journal, "rb") as f:
            whole = f.read()
        flip(journal, 20)
        before = digest(os.path.join(server.data, "server.db"))
        server.start()  # only a restore needs it
        server.stop()
        done = restore(server, made, ok=(7,))
        w.check(code_of(done) == "TZ-RST-003" and "line 1" in done.err, done)
        w.check(not os.path.exists(os.path.join(server.data, "server.db.restoring")), "a half restore is left")
        w.check(before and server.cli("verify", "--json").json()["ok"], "the database was touched")
        with open(journal, "wb") as f:
            f.write(whole)
        restore(server, made)
        w.check({d["name"]: d["revoked"] for d in server.cli("device", "list", "--json").lines()}["east"], "east is back")


def a_database_that_cannot_be_read_is_put_aside_with_what_belongs_to_it():
    with a_server() as (folder, server):
        server.start()
        east = office(folder, "east", server, "D_CLERK", "120101")
        made = backup(server)["file"]
        east.add("organisation", "name=gone")
        east.sync()
        server.kill9()
        live = os.path.join(server.data, "server.db")
        w.check(os.path.exists(live + "-wal"), "nothing in the WAL")
        with open(live, "r+b") as f:
            f.write(b"no database at all" * 100)
        done = restore(server, made).json()
        w.check(os.path.exists(done["former"]) and os.path.exists(done["former"] + "-wal"), os.listdir(server.data))
        server.start()
        east.sync(ok=(0,))
        w.check(east.dump() == server.dump_as("east") and "gone" in organisations(server), "east")
        server.stop()


if __name__ == "__main__":
    w.main(yesterdays_backup_comes_back_and_nobody_who_was_shut_out_does,
           two_restores_in_a_row_and_one_to_a_backup_of_before,
           the_second_implementation_follows_by_the_specification_alone,
           backups_beside_four_clients_are_whole_or_not_there,
           older_generations_go_only_when_the_new_one_stands,
           keys_are_copied_only_when_asked_for,
           a_server_that_does_not_know_what_it_lost_is_refused_by_who_does,
           a_journal_that_is_a_copy_too_does_not_tell_the_last_epoch,
           damaged_backups_are_refused_and_nothing_is_changed,
           killed_anywhere_a_restore_leaves_one_whole_database,
           a_copy_of_the_database_put_back_by_hand_is_refused,
           the_journal_is_mended_at_its_end_and_named_where_it_is_damaged,
           a_database_that_cannot_be_read_is_put_aside_with_what_belongs_to_it)
