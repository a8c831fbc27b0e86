# SPDX-License-Identifier: Apache-2.0
"""Rights that change while a laptop is away: a record moves to another district, a device gets another area, a grant ends, a device is
revoked. Nothing that was saved is lost, and what a machine may not hold any more is not on its disk."""
import datetime
import os
import shutil
import sqlite3

import world as w

OLD, NEW = "120101", "120102"


def found(folder, *markers):
    """Files below the folder in which a marker stands."""
    hits = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    data = f.read()
                hits += [(name, m) for m in markers if m.encode() in data]
    return hits


def held(server, name):
    return server.cli("device", "show", name, "--json").json()


def an_organisation_moves_while_its_inspector_has_five_edits_waiting():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            inspector = w.Office(os.path.join(folder, "insp")).join(server, "F_INSP", OLD)
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
            centre = w.Office(os.path.join(folder, "centre")).join(server, "C_CLERK", "120000")
            super2 = w.Office(os.path.join(folder, "super2")).join(server, "D_SUPER", NEW)
            org = clerk.add("organisation", "name=MARKA甲公司", "address=MARKB甲路 1 号")
            stays = clerk.add("organisation", "name=乙公司", "address=乙路 1 号")
            for office in (clerk, inspector, centre):
                office.sync()
            w.check(found(inspector.data, "MARKA", "MARKB"), "the inspector never held it")
            user = inspector("query", "--json", 'select lower(hex(id)) id from device_user').lines()[0]["id"]
            inspector.edit("organisation", org, "address=MARKC甲路 2 号")
            inspector.edit("organisation", org, "employees=12", "employees_on=2020-01-02")
            inspector.edit("organisation", org, "name=MARKD甲公司")
            inspector.edit("organisation", stays, "address=乙路 2 号")
            inspector("add", "visit", f"org_id={org}", f"by_ref={user}", "visited_on=2020-05-06", "way=on_site", "note=MARKE走访")
            centre.edit("organisation", org, f"district_code={NEW}")
            centre.sync()
            told = inspector.sync()
            book = inspector.balance()
            w.check((book["made"], book["under_review"], book["applied"]) == (5, 4, 1), book)
            hits = found(inspector.data, "MARKA", "MARKB", "MARKC", "MARKD", "MARKE")
            w.check(hits == [], "still on the inspector's disk:", hits)
            clerk.sync()  # whose words made it
            w.check((hits := found(clerk.data, "MARKA", "MARKB", "MARKC", "MARKD", "MARKE")) == [], "still on its maker's disk:", hits)
            w.check(inspector.show("organisation", stays)["fields"]["address"] == "乙路 2 号", "what stays")
            w.check("not on this machine" in told.out and "see taizhang cases" not in told.out, told)
            w.check(inspector("cases", "--json").lines() == [] and held(server, "insp")["unsent"] == 0, held(server, "insp"))
            done = inspector("show", "organisation", org, ok=(w.FAILED,))
            w.check("MARK" not in done.out + done.err, done)
            super2.sync()
            cases = super2("cases", "--json").lines()
            w.check({c["subject"] for c in cases} == {"address", "headcount", "name", "_created"}, cases)
            w.check({c["kind"] for c in cases} == {"late_scope"}, cases)
            w.check("请主管审核" in (text := super2("--lang", "zh", "cases").out) and "待审核的新记录" in text, text)


def words_that_had_to_wait_go_later():
    """A save behind a refused one keeps its words when its record moves away; not for longer than until it is settled. A sheet of
    which nothing was to be saved names records, too."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
            other = w.Office(os.path.join(folder, "other")).join(server, "D_CLERK", OLD)
            super1 = w.Office(os.path.join(folder, "super1")).join(server, "D_SUPER", OLD)
            centre = w.Office(os.path.join(folder, "centre")).join(server, "C_CLERK", "120000")
            sheet, photo = os.path.join(folder, "sheet.csv"), os.path.join(folder, "photo")
            with open(sheet, "w", encoding="utf-8") as f:
                f.write("名称,统一社会信用代码,所属区\nMARKA甲公司,91350100M000100Y43,120101\n")
            with open(photo, "wb") as f:
                f.write(b"x")
            other("import", "organisation", sheet)
            other.sync()
            clerk.sync()
            clerk("import", "organisation", sheet)  # all of it is there already
            w.check(found(os.path.join(clerk.data, "imports"), "MARKA"), "no copy is kept")
            org, = clerk("list", "organisation", "--json").lines()
            item = other("ledger", "open", "title=MARKT", "list_type=issue", "source=unannounced", "target_type=organisation",
                         f"target_id={org['id']}", "lead_unit=GW120101", "due_on=2031-12-31", "--json").json()["id"]
            for office in (other, super1):
                office.sync()
            super1("ledger", "assign", item)
            for office in (super1, other, clerk, centre):
                office.sync()
            clerk("ledger", "sign", item)
            clerk("ledger", "report", item, "measures=MARKW", "--opinion", "MARKO")
            other("ledger", "decline", item, "--opinion", "不归我们")
            other.sync()
            clerk.sync()
            centre.edit("organisation", org["id"], f"district_code={NEW}")
            centre.sync()
            clerk.sync()
            w.check(found(clerk.data, "MARKA", "MARKT") == [], "still there:", found(clerk.data, "MARKA", "MARKT"))
            w.check(found(clerk.data, "MARKW", "MARKO"), "what waits lost its words")
            for entry in reversed(clerk.status()["attention"]):
                clerk("withdraw", str(entry["seq"]))
            clerk.sync()
            w.check(found(clerk.data, "MARKW", "MARKO") == [], "settled, and still there")
            w.check(clerk.balance()["unaccounted"] == 0, clerk.balance())


def an_area_it_never_came_for_is_not_called_unwiped():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD, sync=False)
            server.cli("device", "grant", "clerk", "--area", NEW)
            w.check(held(server, "clerk")["not_wiped"] == [], held(server, "clerk"))
            clerk.sync()
            w.check(held(server, "clerk")["not_wiped"] == [], held(server, "clerk"))
            server.cli("device", "grant", "clerk", "--area", OLD)
            w.check([a["area"] for a in held(server, "clerk")["not_wiped"]] == [NEW], held(server, "clerk"))
            clerk.sync()
            w.check(held(server, "clerk")["not_wiped"] == [], held(server, "clerk"))


def a_receipt_of_one_folder_is_not_that_of_its_copies():
    with w.a_server() as (folder, server):
        clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
        clerk.add("organisation", "name=甲公司")
        clerk.sync()
        shutil.copytree(clerk.data, clerk.data + ".older")
        clerk.add("organisation", "name=乙公司")
        clerk.sync()
        shutil.rmtree(clerk.data)
        shutil.move(clerk.data + ".older", clerk.data)
        clerk.add("organisation", "name=丙公司")
        server.cli("device", "grant", "clerk", "--area", NEW)
        clerk.sync()
        w.check([a["area"] for a in held(server, "clerk")["not_wiped"]] == [OLD] and held(server, "clerk")["unsent"] == 0, held(server, "clerk"))
        told = server.cli("device", "list").out
        w.check("not wiped yet" not in told and "copied or put back" in told and "unsent" not in told, told)


def two_copies_of_a_revoked_folder_are_told_apart():
    with w.a_server() as (folder, server):
        clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
        clerk.add("organisation", "name=甲公司")
        clerk.sync()
        copy = w.Office(shutil.copytree(clerk.data, os.path.join(folder, "copy")))
        copy.area = OLD
        for office, name in ((clerk, "乙公司"), (copy, "丙公司")):
            office.add("organisation", f"name={name}")
            office.sync()
        for office, name in ((clerk, "丁公司"), (copy, "戊公司")):
            office.add("organisation", f"name={name}")
        server.cli("device", "revoke", "clerk")
        for office in (clerk, copy):
            office.sync(ok=(4,))
        saves = [b["save"] for b in server.cli("backlog", "--json").lines()]
        w.check(saves == ["clerk/1.3", "clerk/2.3"] and all(x in server.cli("backlog").out for x in saves), server.cli("backlog"))
        done = server.cli("backlog", "apply", "clerk/3", "--reason", "x", ok=(1,))
        w.check("TZ-GRANT-010" in done.err and all(x in done.err for x in saves), done)
        server.cli("backlog", "apply", "clerk/2.3", "--reason", "x")
        w.check({r[0] for r in server.sql("SELECT name FROM organisation")} == {"甲公司", "乙公司", "丙公司", "戊公司"}, "the wrong one")
        server.cli("backlog", "discard", "clerk/3", "--reason", "x")  # now there is one
        w.check(server.cli("backlog", "--json").lines() == [], server.cli("backlog"))
        server.cli("backlog", "apply", "clerk/7.3", "--reason", "x", ok=(1,))
        w.check(server.cli("balance", "--json").lines()[-1]["unaccounted"] == 0, server.cli("balance"))


def a_grant_ends():
    yesterday = (datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8))) - datetime.timedelta(days=1)).strftime("%Y-%m-%d")
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
            org = clerk.add("organisation", "name=MARKA甲公司")
            clerk.sync()
            clerk.edit("organisation", org, "address=MARKB甲路")
            server.cli("device", "grant", "clerk", "--until", yesterday)
            clerk.sync()
            hits = found(clerk.data, "MARKA", "MARKB")
            w.check(hits == [], "still on the disk:", hits)
            w.check(clerk.balance()["under_review"] == 1, clerk.balance())
            line, = [x for x in server.cli("balance").out.split("by district")[1].splitlines() if x.startswith("- ")]
            w.check(line.split()[1:3] == ["2", "2"], line)
            w.check("权限已到期" in server.cli("device", "list", "--lang", "zh").out, "device list")
            w.check(held(server, "clerk")["not_wiped"] == [], held(server, "clerk"))
            server.cli("device", "grant", "clerk", "--until", "2099-12-31")
            clerk.sync()
            w.check(clerk.show("organisation", org)["fields"]["name"] == "MARKA甲公司", "it did not come back")
            w.check(clerk.dump() == server.dump_as("clerk"), "dumps differ")
            until = held(server, "clerk")["until_ms"]
            server.cli("device", "grant", "clerk", "--area", NEW)
            w.check(until > 0 and held(server, "clerk")["until_ms"] == until, "another area made the grant one without end")
            done = server.cli("device", "grant", "clerk", "--until", "none", "--json").json()
            w.check((done["until_ms"], done["area"]) == (0, NEW), done)


def a_revoked_device_hands_in_and_wipes():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
            other = w.Office(os.path.join(folder, "other")).join(server, "D_CLERK", OLD)
            org = clerk.add("organisation", "name=MARKA甲公司")
            clerk.sync()
            other.sync()
            other.edit("organisation", org, "name=MARKZ只有别人见过")
            other.sync()
            clerk.edit("organisation", org, "address=MARKB甲路")
            clerk.add("organisation", "name=MARKC新公司")
            clerk.edit("organisation", org, "employees=3", "employees_on=2020-01-02")
            server.cli("device", "revoke", "clerk")
            w.check("尚未清除" in server.cli("device", "list", "--lang", "zh").out, "device list")
            done = clerk("--lang", "zh", "sync", ok=(4,))
            w.check("3 次保存已交给管理员" in done.err and "全部清除" in done.err, done)
            hits = found(clerk.data, "MARKA", "MARKB", "MARKC", "MARKZ", "PRIVATE KEY")
            w.check(hits == [], "still on the disk:", hits)
            left = sorted(os.listdir(clerk.data))
            w.check("device.key" not in left and "office.db" not in left, left)
            now = held(server, "clerk")
            w.check(now["wiped_ms"] > 0 and now["unsent"] == 0, now)
            for command in (("sync",), ("status",), ("list", "organisation")):
                done = clerk("--lang", "zh", *command, ok=(4,))
                w.check("本设备已被停用" in done.err, done)
            waiting = [b for b in server.cli("backlog", "--json").lines() if b["name"] == "clerk"]
            w.check([b["outcome"] for b in waiting] == ["held"] * 3, waiting)
            w.check(other.show("organisation", org)["fields"].get("address") is None, "judged by itself")
            first = waiting[0]["seq"]
            server.cli("backlog", "discard", f"clerk/{first}", "--reason", "地址有误")
            done = server.cli("backlog", "apply", "clerk", "--reason", "核对无误", "--json").json()
            w.check((done["saves"], done["applied"]) == (2, 2), done)
            w.check([b for b in server.cli("backlog", "--json").lines() if b["name"] == "clerk"] == [], "the backlog is not empty")


def a_revoked_device_keeps_what_the_server_has_no_room_for():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
            clerk.add("organisation", "name=MARKA甲公司")
            server.cli("device", "revoke", "clerk")
            db = sqlite3.connect(os.path.join(server.data, "server.db"), timeout=10)
            with db:
                db.execute("INSERT INTO backlog(device,incarnation,seq,hash,outcome,blocked_by,nops,raw,received_ms,offset_ms)"
                           " SELECT number,1,900,x'00',5,0,1,zeroblob(67108864),0,0 FROM device WHERE name='clerk'")
            db.close()
            done = clerk("sync", ok=(4,))
            w.check("TZ-GRANT-009" in done.err and "1 saves are not sent" in done.err, done)
            w.check(clerk.status()["unsent"] == 1 and found(clerk.data, "MARKA"), clerk.status())
            now = held(server, "clerk")
            w.check(now["held_full"] and not now["wiped_ms"] and now["unsent"] == 1, now)
            w.check("settle its backlog" in server.cli("device", "list").out, "device list")
            server.cli("backlog", "discard", "clerk/900", "--reason", "见纸质材料", ok=(0, 1, 7))
            db = sqlite3.connect(os.path.join(server.data, "server.db"), timeout=10)
            with db:
                db.execute("DELETE FROM backlog WHERE seq=900")
            db.close()
            done = clerk("sync", ok=(4,))
            w.check("TZ-GRANT-006" in done.err and found(clerk.data, "MARKA") == [], done, found(clerk.data, "MARKA"))
            now = held(server, "clerk")
            w.check(now["wiped_ms"] and not now["held_full"] and len(server.cli("backlog", "--json").lines()) == 1, now)


def a_copy_of_a_revoked_device_hands_in_its_own():
    """The receipt of one folder is not the other's; what both called by one number is kept apart, and can be put away."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
            clerk.add("organisation", "name=甲公司")
            clerk.sync()
            shutil.copytree(clerk.data, os.path.join(folder, "copy"))
            copy = w.Office(os.path.join(folder, "copy"))
            copy.area = OLD
            clerk.add("organisation", "name=乙公司")
            copy.add("organisation", "name=丙公司")
            copy.add("organisation", "name=丁公司")
            server.cli("device", "revoke", "clerk")
            w.check("1 unsent" in (done := clerk("sync", ok=(4,))).err, done)
            w.check("2 unsent" in (done := copy("sync", ok=(4,))).err, done)
            reason = "x" + "核" * 60  # longer than the log has room for
            done = server.cli("backlog", "apply", "clerk", "--reason", reason)
            w.check("1 are of a copied folder" in done.out + done.err, done)
            w.check(sorted(r[0] for r in server.sql("SELECT name FROM organisation")) == sorted(["甲公司", "乙公司", "丁公司"]), "applied")
            w.check(len(server.sql("SELECT meta FROM audit WHERE meta LIKE 'backlog %'")) == 2, "the log")  # and it is text
            left, = server.cli("backlog", "--json").lines()
            done = server.cli("backlog", "apply", f"clerk/{left['seq']}", "--reason", "x", ok=(1,))
            w.check("backlog discard" in done.err, done)
            server.cli("backlog", "discard", f"clerk/{left['seq']}", "--reason", "见纸质材料")
            w.check(server.cli("backlog", "--json").lines() == [], server.cli("backlog"))
            w.check(server.cli("balance", "--json").lines()[-1]["unaccounted"] == 0, server.cli("balance"))
            w.check(server.cli("verify", "--json").json()["ok"], "verify")


def a_wipe_that_was_cut_off_is_finished():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", OLD)
            org = clerk.add("organisation", "name=MARKA甲公司")
            clerk.sync()
            clerk.edit("organisation", org, "address=MARKB甲路")
            server.cli("device", "grant", "clerk", "--area", NEW)
            db = sqlite3.connect(os.path.join(clerk.data, "office.db"), timeout=10)
            db.execute("begin immediate")  # the wipe cannot write its pages
            for _ in range(3):
                p = clerk.popen("sync")
                try:
                    p.wait(1.5)
                except Exception:  # noqa: BLE001 - it waits for us, and dies
                    p.kill()
                    p.wait()
            db.rollback()
            db.close()
            clerk.sync()
            w.check(found(clerk.data, "MARKA", "MARKB") == [], "still on the disk")
            w.check(held(server, "clerk")["not_wiped"] == [], held(server, "clerk"))
            server.cli("device", "revoke", "clerk")
            with open(os.path.join(clerk.data, "revoked"), "w", encoding="utf-8") as f:
                f.write("2")  # as if the power had gone after the receipt
            clerk("status", ok=(4,))
            w.check("device.key" not in os.listdir(clerk.data), os.listdir(clerk.data))


if __name__ == "__main__":
    w.main(an_organisation_moves_while_its_inspector_has_five_edits_waiting, words_that_had_to_wait_go_later,
           an_area_it_never_came_for_is_not_called_unwiped, a_receipt_of_one_folder_is_not_that_of_its_copies,
           two_copies_of_a_revoked_folder_are_told_apart, a_grant_ends, a_revoked_device_hands_in_and_wipes,
           a_revoked_device_keeps_what_the_server_has_no_room_for, a_copy_of_a_revoked_device_hands_in_its_own, a_wipe_that_was_cut_off_is_finished)
