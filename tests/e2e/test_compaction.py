# SPDX-License-Identifier: Apache-2.0
"""Old own saves lose their words on the device when every backup that is kept has them: through backup, purge and sync of the real
programs, and back to the oldest backup and to one that was not kept. Clocks are set off by TAIZHANG_TEST_CLOCK_MS."""
import os
import shutil

import test_long_absence as la
import world as w

def backup(server, *args):
    return server.cli("backup", "--json", *args).json()


def words(office):
    return {r[0] for r in office.sql("SELECT seq FROM outbox WHERE length(raw) > 0 ORDER BY seq")}


def horizon(server):
    return server.status()["compact_upto"]


def restore(server, file, *args):
    server.stop()
    server.cli("restore", file, "--recovery-days", "0", "--json", *args)
    server.start()


def what_every_backup_has_is_emptied_and_a_restore_to_the_oldest_asks_for_the_rest():
    with la.a_server() as (folder, server):
        server.start()
        desk = la.office(folder, "desk", server, "D_CLERK", "120101")
        org = desk.add("organisation", "name=old one", "address=first")
        desk.sync()
        apart = os.path.join(folder, "apart")
        unkept = backup(server, "--to", apart)  # somebody takes it home
        server.cli("backup", "--forget", apart, "--json")
        desk.edit("organisation", org, "address=second")
        desk.sync()
        sheet = os.path.join(folder, "sheet.csv")
        with open(sheet, "w", encoding="utf-8") as f:
            f.write("usci,name,district_code\n911201010T0000001Y,imported,120101\n")
        w.check(desk("import", "organisation", sheet, "--json").json()["accepted"] == 1, "the sheet was not taken")
        desk.sync()
        oldest = backup(server)
        desk.edit("organisation", org, "address=third")
        desk.sync()
        backup(server)
        w.check(horizon(server) == 0, "young saves may go", server.status())
        w.check(server.status()["backups_agree_upto"] == oldest["head"], server.status())
        desk.sync()
        w.check(words(desk) == {1, 2, 3, 4}, words(desk))

        # half a year later
        la.days_pass(181, server, desk)
        la.purge(server)
        w.check(horizon(server) == oldest["head"], horizon(server), oldest)
        desk.edit("organisation", org, "address=fourth")
        desk.sync()
        w.check(words(desk) == {4, 5}, words(desk))
        w.check(desk("balance", "--json").json(), "")
        la.equal(server, desk)

        # what still works
        told = desk("history", "organisation", org, "--json").json()
        w.check(len(told["changes"]) == 4 and told["emptied_saves"] == 0, told)
        alone = desk("history", "organisation", org, "--json", "--offline").json()
        w.check(len(alone["changes"]) == 2 and alone["emptied_saves"] == 3, alone)
        said = desk("history", "organisation", org, "--offline").err
        w.check("3 older saves of this machine" in said, said)
        why = desk("why", "organisation", org, "address", "--json").json()
        w.check([v["value"] for v in why["fields"][0]["values"]] == ["first", "second", "third", "fourth"], why)
        again = desk("import", "organisation", sheet, "--json").json()
        w.check(again["accepted"] == 0 and again["skipped"] == 1, again)

        # back to the oldest backup that is kept: the rest is handed in again, and nothing is lost
        restore(server, oldest["file"])
        desk.sync()
        desk.sync()
        w.check(desk.status()["lost_saves"] == 0, desk.status())
        w.check(desk.show("organisation", org)["fields"]["address"] == "fourth", desk.show("organisation", org))
        la.equal(server, desk)
        w.check(server.cli("verify", "--json").json(), "")

        # back to one that was not kept: what it lacks and nobody has any more is told
        restore(server, unkept["file"])
        desk.sync(ok=None)
        desk.sync(ok=None)
        status = desk.status()
        w.check(status["lost_saves"] == 2, status)  # the second address, and the sheet
        book, line = desk.balance(), server.cli("balance", "--json").lines()[0]
        w.check((book["undone"], book["undone_saves"], book["unaccounted"]) == (2, 2, 0), book)
        w.check(line["undone_changesets"] == 2 and line["unaccounted"] == 0, line)
        w.check(book["applied"] == line["applied"] and book["made"] == line["ops"] + 2, book, line)
        w.check("+ undone by a restore 2 +" in desk("balance").out, desk("balance"))
        w.check("2 saves that a restore undid have not come in again" in server.cli("balance").out, server.cli("balance"))
        w.check(desk.show("organisation", org)["fields"]["address"] == "fourth", desk.show("organisation", org))


def cases_closed_long_ago_keep_who_and_not_what():
    with la.a_server() as (folder, server):
        server.start()
        desk = la.office(folder, "desk", server, "D_CLERK", "120101")
        laptop = la.office(folder, "laptop", server, "F_INSP", "120101")
        org = desk.add("organisation", "name=disputed", "address=first")
        desk.sync()
        laptop.sync()
        desk.edit("organisation", org, "address=said at the desk")
        laptop.edit("organisation", org, "address=seen on site")
        desk.sync()
        laptop.sync()
        desk.sync()
        desk("cases")
        desk("resolve", "1", "keep")
        for o in (desk, laptop):
            o.sync()
        backup(server)
        la.days_pass(181, server, desk, laptop)
        for o in (desk, laptop):
            o.sync()
        done = la.purge(server)
        w.check(done["cases"] == 1, done)
        for o in (desk, laptop):
            o.sync()
        la.equal(server, desk, laptop)
        case = desk("cases", "--all", "--json").lines()[0]
        w.check("values" not in case["candidates"][0] and case["candidates"][0]["fields"] == ["address"], case)
        w.check(case["candidates"][0]["user_name"], case)
        w.check(f"taizhang history organisation {org}" in desk("cases", "--all").out, "where the words are is not told")
        told = desk("history", "organisation", org, "--json").json()
        said = {c["fields"]["address"] for c in told["changes"] if "address" in c.get("fields", {})}
        w.check({"first", "said at the desk", "seen on site"} <= said, told)
        why = desk("why", "organisation", org, "address", "--json").json()["fields"][0]["values"]
        w.check({"said at the desk", "seen on site"} <= {v["value"] for v in why} and not any(v["away"] for v in why), why)
        alone = laptop("why", "organisation", org, "address", "--json", "--offline").json()["fields"][0]["values"]
        w.check(any(v["away"] and v["case_rule"] for v in alone), alone)
        w.check("in the server's history" in laptop("why", "organisation", org, "address", "--offline").out, "not told")


def a_folder_that_is_gone_holds_the_horizon_until_it_is_forgotten():
    with la.a_server() as (folder, server):
        desk_made = backup(server)
        usb = os.path.join(folder, "usb")
        first = backup(server, "--to", usb)
        shutil.rmtree(usb)
        server.start()
        server.cli("user", "add", "u2", "--name", "second", "--role", "D_CLERK", "--area", "120101")
        backup(server)
        backup(server)
        w.check(first["head"] >= desk_made["head"], first)
        w.check(server.status()["backups_oldest_in"], server.status())
        server.cli("backup", "--forget", usb + "/", "--json")  # the disk is not there to tell its name
        server.cli("backup", "--forget", usb, ok=(1,))  # twice is a mistake
        w.check("usb" not in server.status()["backups_oldest_in"], server.status())


if __name__ == "__main__":
    w.main(what_every_backup_has_is_emptied_and_a_restore_to_the_oldest_asks_for_the_rest,
           cases_closed_long_ago_keep_who_and_not_what,
           a_folder_that_is_gone_holds_the_horizon_until_it_is_forgotten)
