# SPDX-License-Identifier: Apache-2.0
"""A client's database is damaged beside the program; `taizhang verify` finds which records, puts exactly those right, keeps the
person's own edits on top, tells the server, and has nothing to say the second time."""
import os
import sqlite3

import world as w
from test_catalogue_upgrade import next_catalogue

HOME = "120101"


def start(server, folder):
    """An office with a few records; {name: id}."""
    office = w.Office(os.path.join(folder, "desk")).join(server, "D_CLERK", HOME)
    ids = {name: office.add("organisation", f"name={name}", "address=老街1号") for name in ("甲", "乙", "丙", "丁", "戊")}
    office.sync()
    return office, ids


def waiting_edit(server, office, rid):
    """An edit that stays on top of its record: it waits for an earlier one of the same field, which the server refused since
    its catalogue lacks another field of that save. Returns the seq of that one."""
    office.catalogue(next_catalogue(os.path.join(os.path.dirname(office.data), "newer")))
    office.sync()
    seq = office("edit", "organisation", rid, "address=旧街3号", "slogan=新字段", "--json").json()["seq"]
    office.edit("organisation", rid, "address=新街2号")
    office.sync(ok=(w.PARTLY,))
    status = office.status()
    w.check((status["refused"], status["waiting"]) == (1, 1), status)
    return seq


def damage(office, *statements):
    db = sqlite3.connect(office.database(), timeout=10)
    with db:
        for statement, *values in statements:
            changed = db.execute(statement, values).rowcount
            w.check(changed == 1, statement, "changed", changed)
    db.close()


def stored(office):
    """Every organisation as it lies in the database, by id."""
    return {row[0]: row for row in office.sql("SELECT * FROM organisation ORDER BY _id")}


def found(report):
    return sorted((r["id"], r["found"]) for r in report["repair"]["rows"])


def without_incidents(dump):
    return "".join(line + "\n" for line in dump.splitlines() if '"_type":"incident"' not in line)


def verify(office, *args, ok=(0,)):
    done = office("verify", "--json", *args, ok=ok)
    return done, done.json()


def exactly_what_was_damaged_is_repaired():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office, ids = start(server, folder)
            refused = waiting_edit(server, office, ids["丁"])
            clean, dump = stored(office), office.dump()
            invented = "0180000000007000800000000000abcd"
            damage(office,
                   ("UPDATE organisation SET address='被改' WHERE _id=?", bytes.fromhex(ids["甲"])),
                   ("DELETE FROM organisation WHERE _id=?", bytes.fromhex(ids["乙"])),
                   ("INSERT INTO organisation(_id,name,_ver,_district,_street) VALUES(?,'凭空',7,?,'')", bytes.fromhex(invented), HOME),
                   ("UPDATE _shadow SET body=x'0a01'", ))
            hurt = stored(office)
            expected = sorted([(ids["甲"], "changed"), (ids["乙"], "missing"), (invented, "extra"), (ids["丁"], "changed")])

            office("verify", "--no-repair", ok=(w.INTEGRITY,))
            done, told = verify(office, "--no-repair", ok=(w.INTEGRITY,))
            w.check(found(told) == expected and not told["repair"]["repaired"] and not told["same"], told)
            w.check(stored(office) == hurt, "--no-repair wrote something")
            w.check(not server.sql("SELECT count(*) FROM incident")[0][0], "--no-repair left an incident")

            done, told = verify(office)
            w.check(found(told) == expected, told)
            w.check(told["same"] and told["repair"]["repaired"] and told["repair"]["incident"], told)
            w.check({k: told["repair"][k] for k in ("changed", "missing", "extra", "kept", "unfit", "found")} ==
                    {"changed": 2, "missing": 1, "extra": 1, "kept": 0, "unfit": 0, "found": 4}, told)
            w.check(ids["甲"] in done.err and invented in done.err, "the rows are not named:", done.err)
            w.check("Warning" in done.err, "no warning:", done.err)

            after = stored(office)
            w.check(after == clean, "the records are not what they were:", after, clean)
            w.check(without_incidents(office.dump()) == dump == without_incidents(server.dump_as("desk")), "the confirmed state differs")
            w.check(office.sql("SELECT count(*) FROM set_aside WHERE id=?", bytes.fromhex(invented)) == [(1,)], "it left no trace")
            w.check(office.show("organisation", ids["丁"])["fields"]["address"] == "新街2号", "the own edit is gone")
            rows = server.sql("SELECT code, device, district_code, detail FROM incident")
            w.check(len(rows) == 1 and rows[0][0] == "replica_damage" and rows[0][2] == HOME, rows)
            w.check("2 changed, 1 missing, 1 extra" in rows[0][3], rows)

            done, told = verify(office)
            w.check(told["same"] and told["repair"]["found"] == 0 and not done.err, done)
            w.check(office.status()["waiting"] == 1, "the own edit does not wait any more")
            office("withdraw", str(refused))
            office.sync()
            w.check(server.sql("SELECT address FROM organisation WHERE _id=?", bytes.fromhex(ids["丁"])) == [("新街2号",)], "not sent")
            w.check(office.dump() == server.dump_as("desk"), "the dumps differ")
            again = office("query", "select code, device from incident", "--json").lines()
            w.check(again == [{"code": "replica_damage", "device": 1}], "the office does not see the incident:", again)


def a_running_agent_repairs_too():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office, ids = start(server, folder)
            agent = office.popen("agent")
            try:
                w.wait_for(lambda: office.status().get("agent", {}).get("connected", False) or
                           office("verify", "--json", ok=None).code == 0, 30, "the agent")
                damage(office, ("UPDATE organisation SET address='被改' WHERE _id=?", bytes.fromhex(ids["丙"])))
                _, told = verify(office, "--no-repair", ok=(w.INTEGRITY,))
                w.check(found(told) == [(ids["丙"], "changed")], told)
                _, told = verify(office)
                w.check(found(told) == [(ids["丙"], "changed")] and told["same"] and told["repair"]["repaired"], told)
                _, told = verify(office)
                w.check(told["repair"]["found"] == 0, told)
            finally:
                agent.terminate()
                agent.wait(30)


def packed(server):
    """How many packs there are: the first is made when 128 commits are rows."""
    return server.sql("SELECT count(*) FROM commit_pack")[0][0]


def damage_packs(server, *more):
    db = sqlite3.connect(os.path.join(server.data, "server.db"), timeout=10)
    with db:
        db.execute("UPDATE commit_pack SET body=substr(body,1,length(body)-2)")
        for statement in more:
            db.execute(statement)
    db.close()


def damaged_commits_on_the_server_are_rebuilt_or_named():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office, ids = start(server, folder)
            late = w.Office(os.path.join(folder, "late")).join(server, "D_CLERK", HOME)
            late.edit("organisation", ids["甲"], "address=晚路")  # unsent; it builds on what will be packed
            for i in range(140):
                office.edit("organisation", ids["甲"], f"employees={i}")
            office.sync()
            w.check(packed(server) >= 1, "nothing was packed")
            server.cli("verify")
        damage_packs(server)
        told = server.cli("verify", ok=(w.INTEGRITY,))
        w.check("TZ-RST-006" in told.err and "commits_" not in told.err, told)  # it writes nothing, so nothing was rebuilt
        with w.running(server):
            server.cli("verify")
            w.check(server.sql("SELECT code FROM incident") == [("commits_damaged",)], "no incident")
            w.check(late.sync(ok=(0,)).code == 0 and late.status()["unsent"] == 0, late.status())
            late.edit("organisation", ids["乙"], "address=再晚路")
            office.edit("organisation", ids["乙"], "address=早路")
            office.sync()
        damage_packs(server, "DELETE FROM audit_body")
        told = server.cli("verify", ok=(w.INTEGRITY,))
        w.check("TZ-RST-007" in told.err, told)
        with w.running(server):
            done = late.sync(ok=(w.INTEGRITY,))
            w.check("TZ-RST-007" in done.err and "versions ?" not in done.err and late.status()["unsent"] == 1, done)
            office.add("organisation", "name=己")
            office.sync(ok=(0,))  # what does not build on those versions goes on


if __name__ == "__main__":
    w.main(exactly_what_was_damaged_is_repaired, a_running_agent_repairs_too, damaged_commits_on_the_server_are_rebuilt_or_named)
