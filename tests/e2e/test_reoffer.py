# SPDX-License-Identifier: Apache-2.0
"""P12: the server goes back to yesterday's backup, and the devices hand back what it forgot: the same records, once, in their old order, while
whoever was shut out since stays out. Compared is the data itself: that of the database which the restore put aside."""
import json
import os
import random
import sqlite3
import time

import compare_data
import world as w

SYSTEM = {"_ver", "_age", "_stamps", "_extra"}  # versions are new, by design


def office(folder, name, server, role="D_CLERK", area="120101"):
    return w.Office(os.path.join(folder, name)).join(server, role, area)


def records(path):
    """Every live or deleted record: (type, id) -> its values, without versions."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    out = {}
    types = [r[0] for r in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
    for t in types:
        columns = [r["name"] for r in db.execute(f'PRAGMA table_info("{t}")')]
        if "_id" not in columns or t in ("case", "incident"):
            continue
        for r in db.execute(f'SELECT * FROM "{t}"'):
            out[t, bytes(r["_id"]).hex()] = {c: r[c] for c in columns if c not in SYSTEM}
    for r in db.execute("SELECT type, id FROM _tombstone"):
        out["deleted", bytes(r["id"]).hex()] = r["type"]
    db.close()
    return out


def cases(path):
    """Open or closed, about what, and whose words are candidates."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found = set()
    for target, subject, generation, state, candidates in db.execute(
            'SELECT target_id, subject, generation, state, candidates FROM "case"'):
        by = sorted(c["by"] for c in json.loads(candidates or "[]"))
        found.add((bytes(target).hex() if target else "", subject, generation, state, tuple(by)))
    db.close()
    return found


def same_data(before, server, *what):
    now = records(os.path.join(server.data, "server.db"))
    old = records(before)
    differ = {k for k in old.keys() | now.keys() if old.get(k) != now.get(k)}
    w.check(not differ, *what, "records differ:", [(k, old.get(k), now.get(k)) for k in sorted(differ)[:3]])


def open_item(o, target, title):
    return o("ledger", "open", f"title={title}", "list_type=issue", "source=unannounced", "target_type=organisation", f"target_id={target}",
             "lead_unit=GW120101", "due_on=2031-12-31", "--json").json()["id"]


def number_of(server, item):
    return server.sql("SELECT item_no FROM ledger_item WHERE _id=?", bytes.fromhex(item))[0][0]


def converge(server, offices, rounds=3):
    for _ in range(rounds):
        for o in offices:
            o.sync(ok=(0, 3))
    for o in offices:
        w.check(o.dump() == server.dump_as(o.name), o.name, "does not hold what the server says")
        compare_data.must_be_the_same(os.path.join(server.data, "server.db"), [o.database()])


def balanced(server, offices):
    lines = server.cli("balance", "--json").lines()
    w.check(lines[-1]["unaccounted"] == 0, lines)
    devices = {d["device"]: d for d in lines if "device" in d}
    for o in offices:
        mine, theirs = o.balance(), devices[o.name]
        for outcome in ("applied", "superseded", "refused", "waiting", "held", "withdrawn"):
            w.check(mine[outcome] == theirs[outcome], o.name, outcome, mine, theirs)
        w.check((mine["unsent"], mine["undone"], theirs["undone_changesets"]) == (0, 0, 0), o.name, mine, theirs)


def back_to(server, made):
    server.kill9()
    done = server.cli("restore", made["file"], "--json").json()
    server.start()
    return done


def yesterdays_backup_and_all_of_it_is_back():
    with w.a_server() as (folder, server):
        east, inspector = office(folder, "east", server), office(folder, "inspector", server, "F_INSP")
        west = office(folder, "west", server, area="120102")
        kept = east.add("organisation", "name=backed up", "address=before")
        removed = east.add("organisation", "name=deleted later")
        for o in (east, inspector, west):
            o.sync()
        made = server.cli("backup", "--json").json()

        # a day of work
        new = east.add("organisation", "name=after the backup")
        east("delete", "organisation", removed)
        east.edit("organisation", kept, "address=the clerk's")
        item = open_item(east, kept, "numbered since the backup")
        west.add("organisation", "name=from a laptop that was stolen")
        west.sync()
        east.sync()
        inspector.sync()
        inspector.edit("organisation", new, "address=of a colleague's new record")
        inspector.edit("organisation", kept, "address=seen and replaced")
        inspector.sync()
        east.edit("organisation", new, "name=one name")  # offline at the same time: a case
        inspector.edit("organisation", new, "name=another name")
        east.sync()
        inspector.sync()
        server.cli("device", "revoke", "west")
        late = office(folder, "late", server)
        late.add("organisation", "name=made by late")
        late.sync()
        for o in (east, inspector, late):
            o.sync()
        inspector.edit("organisation", new, "address=not sent yet")
        balances = {o.name: o.balance() for o in (east, inspector, late)}
        number = number_of(server, item)
        server.kill9()
        done = server.cli("restore", made["file"], "--json").json()
        server.start()

        # the inspector comes first: the records that were edited are on their way from elsewhere
        shut = west("sync", ok=(4,))  # it still brings what the backup lacks
        w.check("1 unsent saves" in shut.err, shut)
        inspector.sync(ok=(0, 3))
        w.check(inspector.status()["waiting"] >= 2, "what builds on the clerk's record waits", inspector.status())
        other = open_item(late, kept, "numbered before the first one came back")
        late.sync(ok=(0, 3))
        w.check(number_of(server, other)[:-1] == number[:-1] and number_of(server, other) > number, number_of(server, other), number)
        converge(server, (inspector, late, east))
        w.check(number_of(server, item) == number, "it came back as", number_of(server, item), "and was", number)
        balances["late"]["applied"] += 1
        balances["late"]["made"] += 1
        w.check(server.sql("SELECT address FROM organisation WHERE _id=?", bytes.fromhex(new))[0][0] == "not sent yet", "the unsent edit")
        inspector.edit("organisation", new, "address=of a colleague's new record")
        inspector.sync()
        held, = [b for b in server.cli("backlog", "--json").lines() if b["name"] == "west"]  # for somebody to decide about
        server.cli("backlog", "apply", f"west/{held['seq']}", "--reason", "checked")
        gone = {k for k, v in records(done["former"]).items() if v != records(os.path.join(server.data, "server.db")).get(k)}
        w.check(not gone, "not back:", gone)
        w.check(cases(done["former"]) == cases(os.path.join(server.data, "server.db")), cases(done["former"]),
                cases(os.path.join(server.data, "server.db")))
        converge(server, (inspector, late, east))
        balanced(server, (east, inspector, late))
        for o in (east, late):
            w.check(o.balance() == balances[o.name], o.name, "accounts differ", o.balance(), balances[o.name])
            w.check(o.status()["lost_saves"] == 0, o.status())
        devices = {d["name"]: d for d in server.cli("device", "list", "--json").lines()}
        w.check(devices["west"]["revoked"] and "late" in devices, devices)
        w.check(server.cli("verify", "--json").json()["ok"], "verify")
        west("sync", ok=(4,))
        server.stop()


def killed_while_handing_back_nothing_is_lost_or_doubled():
    with w.a_server() as (folder, server):
        offices = [office(folder, f"o{n}", server) for n in range(3)]
        shared = offices[0].add("organisation", "name=shared")
        for o in offices * 2:
            o.sync()
        made = server.cli("backup", "--json").json()
        for turn in range(4):
            for o in offices:
                for n in range(8):
                    o.add("organisation", f"name={o.name} {turn} {n}")
                o.edit("organisation", shared, f"address={o.name} {turn}")
                o.sync()
        for o in offices * 2:
            o.sync()
        done = back_to(server, made)
        rng = random.Random(7)
        for turn in range(8):
            running = [o.popen("sync") for o in offices]
            time.sleep(rng.uniform(0.01, 0.25))
            for p in running:
                if turn % 2:
                    p.kill()
            if turn % 4 == 2:
                server.kill9()
                server.start()
            for p in running:
                p.wait()
        converge(server, offices)
        same_data(done["former"], server)
        balanced(server, offices)
        w.check(server.cli("verify", "--json").json()["ok"], "verify")
        server.stop()


def what_only_replicas_still_have_is_asked_about():
    with w.a_server() as (folder, server):
        east, inspector = office(folder, "east", server), office(folder, "inspector", server, "F_INSP")
        boss = office(folder, "boss", server, "D_SUPER")
        kept = east.add("organisation", "name=of before", "address=before")
        east.sync()
        made = server.cli("backup", "--json").json()
        gone = east.add("organisation", "name=made on a laptop that burnt", "address=somewhere")
        worked_on = east.add("organisation", "name=worked on by others since")
        east.edit("organisation", kept, "address=changed on that laptop")
        east.sync()
        inspector.sync()
        boss.sync()
        inspector.edit("organisation", worked_on, "address=one")
        inspector.sync()
        back_to(server, made)
        inspector.sync(ok=(3,))
        w.check("waiting" in inspector("status", ok=(0, 3)).out, inspector("status", ok=(0, 3)))
        w.check(inspector.status()["lost_rows"] == 3, inspector.status())
        boss.sync(ok=(0,))
        verified = inspector("verify", "--json", ok=(0, 3, 7)).json()
        w.check(verified["repair"]["extra"] == 0, verified)
        server.cli("restore", "--close")
        w.wait_for(lambda: server.sql("SELECT count(*) FROM lost_offer")[0][0] == 0, what="the end of the window")
        converge(server, (inspector, boss))
        w.check(inspector.status()["lost_rows"] == 0 and inspector.status()["waiting"] == 0, inspector.status())
        w.check(inspector.status()["refused"] == 0, "somebody works on it: it lives", inspector.status())
        w.check(inspector.show("organisation", worked_on)["fields"]["address"] == "one", "an edit")
        w.check(inspector.show("organisation", kept)["fields"]["address"] == "before", "nobody has said yet that it changed")
        cases_of = {c["target"]: c for c in boss("cases", "--json", ok=(0, 3)).lines()}
        w.check(set(cases_of) == {kept, gone, worked_on}, cases_of)
        w.check(cases_of[gone]["kind"] == "lost", cases_of[gone])
        text = boss("cases").out
        w.check("not known any more, since the server went back" in text and "had kept it" in text and "00000000" not in text, text)
        w.check("not known any more" in boss("why", "organisation", kept, "address").out, boss("why", "organisation", kept, "address"))
        boss("resolve", cases_of[kept]["id"], "theirs:1")
        boss("resolve", cases_of[gone]["id"], "theirs")  # the only one
        converge(server, (boss, inspector))
        w.check(inspector.show("organisation", gone)["fields"]["address"] == "somewhere", "it did not come back")
        w.check(inspector.show("organisation", kept)["fields"]["address"] == "changed on that laptop", "the change did not")
        balanced(server, (inspector, boss))
        w.check(server.cli("verify", "--json").json()["ok"], "verify")
        server.stop()


if __name__ == "__main__":
    w.main(yesterdays_backup_and_all_of_it_is_back, killed_while_handing_back_nothing_is_lost_or_doubled,
           what_only_replicas_still_have_is_asked_about)
