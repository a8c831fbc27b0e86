# SPDX-License-Identifier: Apache-2.0
"""Who changed a record, why a field holds what it holds, and who notices when the log of all that is tampered with.

`history` and `why` through the command line, with a server, through an agent and without either; the audit log as an intruder with
the server's database in hand would change it.
"""
import contextlib
import hashlib
import os
import sqlite3
import time

import world as w

HOME, FOREIGN = "120101", "120102"


def office(server, folder, name, role="D_CLERK", area=HOME):
    return w.Office(os.path.join(folder, name)).join(server, role, area)


def why(who, rtype, rid, *more, **kw):
    """{field: [values, oldest first]}."""
    return {f["field"]: f["values"] for f in who("why", rtype, rid, *more, "--json", **kw).json()["fields"]}


def brief(values):
    return [(v["value"], v["rule"], v["case_rule"], v["stands"]) for v in values]


def changes(who, rtype, rid, *more, **kw):
    return who("history", rtype, rid, *more, "--json", **kw).json()


# ---- two offices, a case, a decision --------------------------------------------------------------------------------------------


def two_offices_in_conflict(one, two, name):
    """Both change the address without having seen the other; returns the record and the case."""
    rid = one.add("organisation", f"name={name}", "address=一路")
    one.sync()
    two.sync()
    one.edit("organisation", rid, "address=二路", "--reason", "走访")
    time.sleep(1.1)  # times are told in seconds
    two.edit("organisation", rid, "address=三路")
    one.sync()
    two.sync()
    one.sync()
    case, = [c["id"] for c in one.show("organisation", rid)["cases"]]
    return rid, case


def every_value_is_named_with_its_rule_and_case():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            one, two = office(server, folder, "one"), office(server, folder, "two")
            rid, case = two_offices_in_conflict(one, two, "争议公司")
            values = why(one, "organisation", rid, "address")["address"]
            w.check(brief(values) == [("一路", "first", None, False), ("二路", "saw", "later", False), ("三路", "stood", "later", True)], values)
            w.check([v["case"] for v in values] == [None, case, case], values)
            w.check([v["device_name"] for v in values] == ["one", "one", "two"] and values[1]["reason"] == "走访", values)
            w.check(all(v["claimed_ms"] and v["effective_ms"] and v["user_name"] for v in values), values)
            two("resolve", case, "mine")
            two.sync()
            one.sync()
            values = why(one, "organisation", rid, "address")["address"]
            w.check(brief(values)[3:] == [("三路", "resolved", None, True)] and values[3]["case"] == case, values)
            w.check(not values[2]["stands"], values)
            told = changes(one, "organisation", rid)
            w.check(told["server"] == "asked" and told["complete"], told)
            w.check([c["op"] for c in told["changes"]] == ["resolve", "set", "set", "create"], told)
            w.check(told["changes"][0]["case"] == case and told["changes"][1]["cases"] == [case], told)
            text = one("why", "organisation", "争议公司", "地址").out  # a business key and a label do as well
            w.check("* 三路" in text and case[:8] in text and "two" in text, text)
            text = one("history", "organisation", rid).out
            w.check(text.index("conflict settled") < text.index("made") and "走访" in text, text)
            a_refused_edit_is_its_makers_own(server, one, two)
            without_a_server_it_says_what_it_knows(server, one, two, rid, case)


def a_refused_edit_is_its_makers_own(server, one, two):
    rid = one.add("organisation", "name=被删公司", "address=一路")
    one.sync()
    two.sync()
    one("delete", "organisation", rid)
    one.sync()
    two.edit("organisation", rid, "address=二路")  # brings it back
    two.sync()
    life = why(two, "organisation", rid)["_deleted"]
    w.check([(v["value"], v["rule"], v["stands"]) for v in life] == [(False, "first", False), (True, "saw", False), (False, "revived", True)], life)
    number = server.sql("SELECT max(n) FROM audit")[0][0]
    w.check(changes(one, "organisation", rid)["changes"][0]["n"] == number, "the newest entry is another")


def without_a_server_it_says_what_it_knows(server, one, two, rid, case):
    """Own saves with their results, cases and what stands; exit 5 only where the server was demanded."""
    one.edit("organisation", rid, "address=四路")
    server.stop()
    done = one("history", "organisation", rid)
    w.check("made" in done.out and "not sent yet" in done.out and "cannot be reached" in done.err, done)
    told = changes(one, "organisation", rid, "--offline")
    w.check(told["server"] == "not_asked" and not told["complete"], told)
    w.check([(c["op"], c["outcome"]) for c in told["changes"]] == [("set", "unsent"), ("set", "applied"), ("create", "applied")], told)
    values = why(one, "organisation", rid, "address")["address"]
    w.check(brief(values)[:2] == [("一路", "first", None, False), ("二路", "saw", "later", False)], values)
    w.check(("三路", True) in [(v["value"], v["stands"]) for v in values], values)
    w.check(values[-1]["value"] == "四路" and values[-1]["rule"] == "not_yet" and values[-1]["outcome"] == "unsent", values)
    for command in ("history", "why"):
        done = one(command, "organisation", rid, "--server", ok=(w.UNREACHABLE,))
        w.check(not done.out, done)
    server.start()
    told = changes(two, "organisation", rid, "--server")
    w.check(len(told["changes"]) == 4 and told["complete"], told)


# ---- who may see what ------------------------------------------------------------------------------------------------------------


def secrets_and_foreign_records_stay_where_they_are():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk, inspector = office(server, folder, "clerk"), office(server, folder, "inspector", "F_INSP")
            other = office(server, folder, "other", area=FOREIGN)
            rid = clerk.add("person", "name=张三丰", "phone=13800000001")
            org = clerk.add("organisation", "name=本区公司")
            clerk.sync()
            clerk.edit("person", rid, "phone=13800000002")
            clerk.sync()
            phones = [v["value"] for v in why(clerk, "person", rid, "phone")["phone"]]
            w.check(phones == ["13800000001", "13800000002"], phones)
            for command in (["history"], ["why"]):
                done = inspector(*command, "person", rid, "--json")
                w.check("1380000000" not in done.out and "张三丰" not in done.out, done)
            w.check(len(changes(inspector, "person", rid)["changes"]) == 2, "that something changed is open")
            never = org[:-10] + ("0" if org[-10] != "0" else "1") + org[-9:]
            for command in ("history", "why"):
                answers = [other(command, "organisation", each, "--json", ok=None) for each in (org, never)]
                w.check(answers[0].code == answers[1].code != 0, answers)
                w.check((answers[0].out, answers[0].err) == (answers[1].out, answers[1].err), answers)
            through_an_agent(clerk, org)


def through_an_agent(who, rid):
    direct = who("history", "organisation", rid, "--json").out
    agent = who.popen("agent")
    try:
        w.wait_for(lambda: who.status()["agent"]["connected"], what="the agent")
        w.wait_for(lambda: who("history", "organisation", rid, "--json").out == direct, what="the same through the agent")
        told = changes(who, "organisation", rid, "--server")
        w.check(told["server"] == "asked", told)
    finally:
        agent.terminate()
        agent.wait(20)


# ---- tampering -------------------------------------------------------------------------------------------------------------------


def tamper(server, statement):
    with contextlib.closing(sqlite3.connect(os.path.join(server.data, "server.db"))) as db:
        db.executescript(statement)
        db.commit()


def rewrite_from(server, n):
    """What an intruder does who knows the format: change entry @n and make every hash after it fit, the remembered head too."""
    with contextlib.closing(sqlite3.connect(os.path.join(server.data, "server.db"))) as db:
        db.execute("UPDATE audit SET meta=meta||' ' WHERE n=?", (n,))
        rows = db.execute("SELECT n,epoch,meta,body_hash FROM audit ORDER BY n").fetchall()
        last = bytes(32)
        for number, epoch, meta, body in rows:
            last = hashlib.sha256(last + epoch.to_bytes(4, "big") + number.to_bytes(8, "big") + meta.encode() + body).digest()
            db.execute("UPDATE audit SET hash=? WHERE n=?", (last, number))
        db.execute("UPDATE meta SET value=? WHERE key='audit_head'", (rows[-1][0].to_bytes(8, "big") + last,))
        db.commit()


def verify_finds_every_kind_of_tampering():
    """Changed, removed, cut off, reordered, inserted, a body swapped or changed: exit 7. An erased body still verifies."""
    kinds = {
        "changed": "UPDATE audit SET meta=replace(meta,'outcome=1','outcome=3') WHERE n=8",
        "removed": "DELETE FROM audit WHERE n=8; DELETE FROM audit_body WHERE n=8",
        "cut off": "DELETE FROM audit WHERE n=(SELECT max(n) FROM audit)",
        "reordered": "UPDATE audit SET n=-1 WHERE n=8; UPDATE audit SET n=8 WHERE n=9; UPDATE audit SET n=9 WHERE n=-1",
        "inserted": "UPDATE audit SET n=-n-1 WHERE n>=8; UPDATE audit SET n=-n WHERE n<0;"
                    "INSERT INTO audit SELECT 8,epoch,meta,body_hash,hash FROM audit WHERE n=7",
        "body changed": "UPDATE audit_body SET body=x'00' WHERE n=8",
        "bodies swapped": "UPDATE audit_body SET n=-1 WHERE n=8; UPDATE audit_body SET n=8 WHERE n=9; UPDATE audit_body SET n=9 WHERE n=-1",
    }
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            one = office(server, folder, "one")
            for i in range(8):
                one.add("organisation", f"name=公司{i}")
            one.sync()
            server.stop()
        path = os.path.join(server.data, "server.db")
        with open(path, "rb") as f:
            whole = f.read()
        w.check(not os.path.exists(path + "-wal") or os.path.getsize(path + "-wal") == 0, "the log was not folded in")
        for kind, statement in kinds.items():
            tamper(server, statement)
            journal = os.path.join(server.data, "journal")
            if kind == "cut off":  # the journal knows how far the log was; without it the chain has to tell
                done = server.cli("verify", ok=(w.INTEGRITY,))
                w.check("older than the journal" in done.err, kind, done)
                os.rename(journal, journal + ".aside")
            done = server.cli("verify", ok=(w.INTEGRITY,))
            w.check("audit entry" in done.err, kind, done)
            if kind == "cut off":
                os.replace(journal + ".aside", journal)
            for name in os.listdir(server.data):
                if name.startswith("server.db-"):
                    os.remove(os.path.join(server.data, name))
            with open(path, "wb") as f:
                f.write(whole)
        tamper(server, "DELETE FROM audit_body WHERE n=8")
        server.cli("verify")
        server.cli("balance")


def clients_notice_a_rewritten_log_at_sync():
    """A log that fits together again passes the server's own check; the devices remember another one, warn at every sync and in
    status, and go on working, until somebody confirms."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            one = office(server, folder, "one")
            one.add("organisation", "name=甲公司")
            one.sync()
            w.check(not one.status()["audit_changed"], "marked without reason")
            server.stop()
            rewrite_from(server, 5)
            server.cli("verify")  # nothing to see from inside
            server.start()
            rid = one.add("organisation", "name=乙公司")
            done = one.sync(ok=(0,))
            w.check("audit log" in done.err and "--confirm-audit" in done.err, done)
            w.check(server.dump_as("one") == one.dump(), "the work did not go on")
            w.check(one.status()["audit_changed"], "status does not say it")
            done = one.sync(ok=(0,))
            w.check("audit log" in done.err, "said once only", done)
            w.check(not one("verify", "--json", ok=(w.INTEGRITY,)).json()["audit_ok"], "verify does not say it")
            w.check("audit log differs" in one("status").out, one("status"))
            one("verify", "--confirm-audit")
            one.edit("organisation", rid, "address=一路")
            done = one.sync(ok=(0,))
            w.check("audit log" not in done.err and not one.status()["audit_changed"], done)
            one("verify")


# ---- accounting ------------------------------------------------------------------------------------------------------------------


def the_servers_books_add_up_per_device_district_and_in_all():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            one, two = office(server, folder, "one"), office(server, folder, "two")
            other = office(server, folder, "other", area=FOREIGN)
            for n, who in enumerate((one, two, other)):
                for i in range(n + 1):
                    who.add("organisation", f"name=公司{n}{i}")
                who.sync()
            lines = server.cli("balance", "--json").lines()
            devices = {d["device"]: d for d in lines if "device" in d}
            areas = {d["area"]: d for d in lines if "area" in d}
            total = lines[-1]
            w.check({name: d["ops"] for name, d in devices.items()} == {"one": 1, "two": 2, "other": 3}, devices)
            w.check({a: (d["devices"], d["ops"], d["applied"]) for a, d in areas.items()} == {HOME: (2, 3, 3), FOREIGN: (1, 3, 3)}, areas)
            w.check((total["total"], total["devices"], total["ops"], total["applied"], total["unaccounted"]) == (True, 3, 6, 6, 0), total)
            text = server.cli("balance").out
            w.check("by district" in text and "6 changes received = applied 6 +" in text, text)
            server.stop()
        tamper(server, "DELETE FROM result WHERE device=(SELECT number FROM device WHERE name='two') AND seq=1")
        done = server.cli("balance", "--json", ok=(w.INTEGRITY,))
        w.check("two" in done.err and "other" not in done.err and "one 0" not in done.err, done)
        wrong = {d["device"]: (d["unaccounted"], d["missing_changesets"]) for d in done.lines() if "device" in d}
        w.check(wrong == {"one": (0, 0), "two": (2, 1), "other": (0, 0)}, wrong)


if __name__ == "__main__":
    w.main(every_value_is_named_with_its_rule_and_case, secrets_and_foreign_records_stay_where_they_are,
           verify_finds_every_kind_of_tampering, clients_notice_a_rewritten_log_at_sync,
           the_servers_books_add_up_per_device_district_and_in_all)
