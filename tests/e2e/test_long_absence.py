# SPDX-License-Identifier: Apache-2.0
"""A laptop returns after 200 days with a clock in 2031, behind a purge: its edits come in first, then it is refreshed. Clocks are set
off by TAIZHANG_TEST_CLOCK_MS, which programs built for tests know."""
import contextlib
import json
import os
import shutil
import signal
import time

import world as w

DAY = 24 * 3600 * 1000


def clock(who, ms):
    """The wall clock of a folder's programs from now on: wrong by @ms."""
    who.env["TAIZHANG_TEST_CLOCK_MS"] = str(int(ms))


def to_2031(extra_ms):
    return (1924992000000 - time.time() * 1000) + extra_ms  # 2031-01-01 UTC


@contextlib.contextmanager
def a_server():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        try:
            yield folder, server
        finally:
            if server.alive():
                server.kill9()


def office(folder, name, server, role, area):
    return w.Office(os.path.join(folder, name)).join(server, role, area)


def days_pass(days, server, *offices):
    """On every clock; the server starts again, since a running program keeps the clock it was given."""
    now = int(server.env.get("TAIZHANG_TEST_CLOCK_MS", "0")) + days * DAY
    if server.alive():
        server.stop()
    clock(server, now)
    for o in offices:
        clock(o, now)
    server.start()


def purge(server):
    return server.cli("purge", "--json").json()


def device(server, name):
    return server.cli("device", "show", name, "--json").json()


def purged_ids(server):
    return {r[0] for r in w.read_sql(os.path.join(server.data, "server.db"), "SELECT lower(hex(id)) FROM purged")}


def equal(server, *offices):
    for o in offices:
        w.check(o.dump() == server.dump_as(o.name), o.name, "does not hold what the server says")
        w.check(o("verify", "--json").json(), o.name)


def a_laptop_comes_back_after_200_days_with_a_clock_in_2031():
    with a_server() as (folder, server):
        server.start()
        desk = office(folder, "desk", server, "D_CLERK", "120101")
        laptop = office(folder, "laptop", server, "F_INSP", "120101")
        kept = desk.add("organisation", "name=kept", "address=old")
        doomed = desk.add("organisation", "name=doomed", "address=old")
        ghost = desk.add("organisation", "name=ghost")
        for o in (desk, laptop):
            o.sync()
        w.check(device(server, "laptop")["in_lease"], device(server, "laptop"))

        # the laptop works in the field and its clock is set to 2031
        clock(laptop, to_2031(0))
        laptop.edit("organisation", kept, "address=seen on site")
        laptop.edit("organisation", doomed, "address=seen on site, too late")
        user = laptop("query", "--json", 'select lower(hex(_id)) id from "user"').lines()[0]["id"]
        visit = laptop("add", "visit", f"org_id={kept}", f"by_ref={user}", "visited_on=2026-01-05", "way=on_site", "--json").json()["id"]
        own = laptop.add("organisation", "name=found in the field")

        # meanwhile at home: two records are deleted, and everything grows old
        desk("delete", "organisation", doomed)
        desk("delete", "organisation", ghost)
        desk.sync()
        days_pass(100, server, desk)
        desk.sync()
        w.check(purge(server)["records"] == 0, "young things were purged")
        w.check("laptop" not in server.status()["purge_waits_for"], server.status())
        days_pass(79, server, desk)
        desk.sync()
        purge(server)
        days_pass(1, server, desk)  # 180 days: old enough, and the laptop is in its lease to the last hour
        desk.sync()
        days_pass(21, server, desk)
        desk.sync()
        shown = device(server, "laptop")
        w.check(not shown["in_lease"] and shown["lease_until_ms"] < time.time() * 1000 + 201 * DAY, shown)
        w.check("past its lease" in server.cli("device", "list").out, "device list does not tell")
        done = purge(server)
        w.check(done["records"] == 2 and done["horizon"] > 0, done)
        w.check(purged_ids(server) == {doomed, ghost}, purged_ids(server))
        w.check(server.status()["purged"] == 2, server.status())

        # it comes back
        clock(laptop, to_2031(200 * DAY))
        told = laptop.sync()
        w.check(laptop.status()["unsent"] == 0, laptop.status())
        desk.sync()
        laptop.sync()
        equal(server, desk, laptop)
        names = {r[0] for r in laptop.sql("SELECT name FROM organisation")}
        w.check(names == {"kept", "found in the field"}, names, told)
        w.check(laptop.sql("SELECT count(*) FROM _tombstone")[0][0] == 0, "a deleted record stayed behind")
        w.check(desk.show("organisation", kept)["fields"]["address"] == "seen on site", "a field edit was lost")
        w.check(desk.show("visit", visit)["id"] == visit and desk.show("organisation", own)["id"] == own, "new records")
        # the words about what is gone are in a case, and somebody closes it
        cases = [c for c in desk("cases", "--json").lines() if c.get("kind") == "purged"]
        w.check(len(cases) == 1 and cases[0]["target"] == doomed, cases)
        w.check("seen on site, too late" in json.dumps(cases), cases)
        desk("resolve", cases[0]["id"], "keep")
        desk.sync()
        w.check(not [c for c in desk("cases", "--json").lines() if c.get("kind") == "purged"], "the case is still open")
        laptop.sync()
        equal(server, desk, laptop)
        for o in (desk, laptop):
            w.check(o("balance").code == 0, o.name)
        w.check(server.cli("balance").code == 0, "balance")
        w.check(server.cli("verify").code == 0, "verify")
        w.check(device(server, "laptop")["in_lease"], device(server, "laptop"))


def catalogue_of(folder, name, version, fields="", retire=None):
    """A copy of the shipped catalogue as a later version of it."""
    to = os.path.join(folder, name)
    shutil.copytree(w.CATALOGUE, to)
    with open(os.path.join(to, "fields.csv"), "a", encoding="utf-8") as f:
        f.write(fields)
    for file, old, new in (("catalogue.csv", None, f"version,{version}\n"), ("enums.csv", retire, None)):
        path = os.path.join(to, file)
        with open(path, encoding="utf-8") as f:
            lines = f.readlines()
        with open(path, "w", encoding="utf-8") as f:
            for line in lines:
                if new and line.startswith("version,"):
                    line = new
                elif old and line.startswith(old + ","):
                    line = line.rstrip("\n").rsplit(",", 1)[0] + ",yes\n"
                f.write(line)
    return to


def a_laptop_two_catalogues_behind_pushes():
    """Half a year offline is two catalogues: what it does not know is neither asked of it nor lost."""
    with a_server() as (folder, server):
        with open(os.path.join(w.CATALOGUE, "catalogue.csv"), encoding="utf-8") as f:
            version = int([line for line in f if line.startswith("version,")][0].split(",")[1])
        slogan = "organisation,90,slogan,口号,slogan,str60,,no,,FD,no,field,,open,,,,5\n"
        motto = "organisation,91,motto,训言,motto,str60,,yes,,FD,no,field,,open,,,,5\n"
        next_one = catalogue_of(folder, "one", version + 1, slogan)
        after_next = catalogue_of(folder, "two", version + 2, slogan + motto, retire="site_type,park")
        server.start()
        desk = office(folder, "desk", server, "D_CLERK", "120101")
        laptop = office(folder, "laptop", server, "D_CLERK", "120101")
        org = desk.add("organisation", "name=a", "site_type=park")
        desk.sync()
        laptop.sync()
        laptop.edit("organisation", org, "address=seen on site")
        new = laptop.add("organisation", "name=found in the field", "site_type=park")
        for catalogue, edit in ((next_one, "slogan=先"), (after_next, "motto=后")):
            server.stop()
            server.env["TAIZHANG_CATALOGUE"] = catalogue
            server.start()
            desk.catalogue(catalogue)
            desk.edit("organisation", org, edit)
            desk.sync()
        days_pass(200, server, desk)
        clock(laptop, 200 * DAY)
        laptop.sync()
        w.check(laptop.balance()["applied"] == 2 and laptop.balance()["refused"] == 0, laptop.balance())
        laptop.edit("organisation", org, "grid_no=7")
        laptop.sync()
        desk.sync()
        row = desk.show("organisation", org)["fields"]
        w.check((row["address"], row["slogan"], row["motto"], row["grid_no"]) == ("seen on site", "先", "后", "7"), row)
        w.check(row["site_type"] == "park", "a retired value was not kept", row)
        w.check(desk.show("organisation", new)["fields"]["site_type"] == "park", "a new record with a retired value")
        extra = laptop.sql("SELECT length(_extra) FROM organisation WHERE name = 'a'")
        w.check(extra[0][0], "what the laptop cannot know is not kept on it", extra)
        laptop.catalogue(after_next)
        w.check(laptop.show("organisation", org)["fields"]["slogan"] == "先", "it appears with the column")
        laptop.sync()
        equal(server, desk, laptop)


def a_refresh_that_is_killed_goes_on_where_it_was():
    with a_server() as (folder, server):
        server.start()
        desk = office(folder, "desk", server, "D_CLERK", "120101")
        ids = [desk.add("organisation", f"name=org {i}", "former_names=" + "x" * 20000) for i in range(60)]
        desk.sync()
        laptop = office(folder, "laptop", server, "D_CLERK", "120101")
        gone = ids[:10]
        for i in gone:
            desk("delete", "organisation", i)
        desk.sync()
        days_pass(190, server, desk)
        desk.sync()
        w.check(purge(server)["records"] == 10, "nothing was purged")
        clock(laptop, 190 * DAY)
        laptop.edit("organisation", ids[20], "address=offline")
        laptop.edit("organisation", gone[0], "address=of one that is gone")
        killed = 0
        for attempt in range(40):
            p = laptop.popen("sync")
            time.sleep(0.02 + 0.02 * attempt)
            if p.poll() is None:
                p.send_signal(signal.SIGKILL)
                killed += 1
            p.wait()
            there = {r[0] for r in laptop.sql("SELECT lower(hex(_id)) FROM organisation")}
            w.check(set(ids[10:]) <= there, "a live record vanished in the middle of a refresh")
            if killed >= 12 or p.returncode == 0:
                break
        w.check(killed > 0, "the refresh was never interrupted")
        laptop.sync()
        desk.sync()
        laptop.sync()
        equal(server, desk, laptop)
        there = {r[0] for r in laptop.sql("SELECT lower(hex(_id)) FROM organisation")}
        w.check(there == set(ids[10:]), there ^ set(ids[10:]))
        w.check(desk.show("organisation", ids[20])["fields"]["address"] == "offline", "an edit was lost")
        w.check(laptop.status()["unsent"] == 0, laptop.status())


def a_restore_purges_again():
    with a_server() as (folder, server):
        server.start()
        desk = office(folder, "desk", server, "D_CLERK", "120101")
        stays = desk.add("organisation", "name=stays")
        doomed = desk.add("organisation", "name=doomed")
        desk.sync()
        made = server.cli("backup", "--json").json()
        desk("delete", "organisation", doomed)
        desk.sync()
        days_pass(190, server, desk)
        desk.sync()
        w.check(purge(server)["records"] == 1, "nothing was purged")
        server.stop()
        server.cli("restore", made["file"], "--json")
        server.start()
        w.check(purged_ids(server) == {doomed}, "the purge was forgotten")
        desk.sync()
        names = {r[0] for r in w.read_sql(os.path.join(server.data, "server.db"), "SELECT name FROM organisation")}
        w.check(names == {"stays"}, names)
        equal(server, desk)
        w.check(desk.show("organisation", stays)["fields"]["name"] == "stays", "")


if __name__ == "__main__":
    w.main(a_laptop_comes_back_after_200_days_with_a_clock_in_2031,
           a_laptop_two_catalogues_behind_pushes,
           a_refresh_that_is_killed_goes_on_where_it_was,
           a_restore_purges_again)
