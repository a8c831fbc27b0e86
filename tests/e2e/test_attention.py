# SPDX-License-Identifier: Apache-2.0
"""What needs the person is said, named and can be brought to an end: rows refused in an import, saves that cannot be taken back, files that are no sheets."""
import os
import signal
import time

import test_catalogue_upgrade as catalogues
import world as w

AREA = "120101"
TOO_BIG = 257 * 1024 * 1024


def rows_refused_in_an_import_are_named_and_put_aside():
    """One row uses a field that the server's catalogue lacks: that row is refused, the others stand."""
    with w.world() as folder:
        world = catalogues.World(folder)
        with w.running(world.server):
            office = world.join("office")
            office.catalogue(world.next)
            sheet = os.path.join(folder, "sheet.csv")
            with open(sheet, "w", encoding="utf-8") as f:
                f.write("name,district_code,slogan\n甲公司,120101,\n乙公司,120101,向前\n丙公司,120101,\n")
            office("import", "organisation", sheet)
            done = office("sync", ok=(w.PARTLY,))
            w.check("save 1: 1 rows were refused" in done.out, "sync says", done)
            report = office("sync", "--json", ok=(w.PARTLY,)).json()
            w.check((report["partly_refused"], report["refused_rows"], report["partly_seq"]) == (1, 1, 1), report)
            text = office("status").out
            w.check("everything has reached" not in text and "refused in part" in text and "held:" not in text, text)
            w.check("乙公司" in text and "slogan" in text or "35" in text, text)
            status = office.status()
            entry, = status["attention"]
            w.check(entry["outcome"] == "partly_refused" and status["refused_rows"] == 1, status)
            row, = entry["refused"]
            w.check(row["title"] == "乙公司" and row["type"] == "organisation" and len(row["id"]) == 32 and row["code"] == "TZ-VAL-002", row)
            office("withdraw", "1")
            office.sync(ok=(0,))
            w.check(office.status()["attention"] == [], office.status())
            book = office.balance()
            w.check((book["applied"], book["refused"], book["unaccounted"]) == (3, 1, 0), book)
            w.check(office.dump() == world.server.dump_as("office"), "dumps differ")


def an_agent_hears_what_the_administrator_made_of_a_save():
    """A save waits for one that was refused; its office stays connected and does nothing. The word comes by itself."""
    with w.world() as folder:
        world = catalogues.World(folder)
        with w.running(world.server):
            office = world.join("office")
            office.catalogue(world.next)
            rid = office.add("organisation", "name=甲公司")
            office.sync()
            office.edit("organisation", rid, "address=旧街3号", "slogan=新字段")
            office.edit("organisation", rid, "address=新街2号")
            agent = office.popen("agent")
            try:
                w.wait_for(lambda: (office.status()["refused"], office.status()["waiting"]) == (1, 1), 30, "one to wait", 0.2)
                world.server.cli("backlog", "discard", "office", "--reason", "重复")
                w.wait_for(lambda: office.status()["waiting"] == 0, 30, "the agent to hear of it", 0.2)
                w.check(office.status()["agent"]["connected"], office.status())
                w.check(office.show("organisation", rid)["fields"].get("address") is None, office.show("organisation", rid))
            finally:
                agent.terminate()
                agent.wait(20)


def what_cannot_be_taken_back_is_said():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", AREA)
            office.add("organisation", "name=甲公司")
            office.sync(ok=(0,))
            for seq, code in (("1", "TZ-PUSH-022"), ("7", "TZ-PUSH-020")):
                done = office("withdraw", seq, ok=(w.FAILED,))
                w.check(code in done.err and "next:" in done.err, done)
            office.add("organisation", "name=乙公司")
            office("withdraw", "2")
            w.check("TZ-PUSH-023" in office("withdraw", "2", ok=(w.FAILED,)).err, "a second time")
            done = office("add", "organisation", "name=丙公司", f"district_code={AREA}", "--reason", "长" * 201, ok=(w.BAD_INPUT,))
            w.check("reason" in done.err and "200" in done.err, done)


def imports_of(office):
    folder = os.path.join(office.data, "imports")
    return os.listdir(folder) if os.path.isdir(folder) else []


def only_files_of_a_sensible_size_are_imported():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", AREA)
            big, pipe = os.path.join(folder, "big.csv"), os.path.join(folder, "pipe")
            with open(big, "wb") as f:
                f.truncate(TOO_BIG)
            os.mkfifo(pipe)
            missing = os.path.join(folder, "missing.csv")
            for path, exits, code in (("/dev/zero", w.BAD_INPUT, "TZ-VAL-009"), (folder, w.BAD_INPUT, "TZ-VAL-009"), (pipe, w.BAD_INPUT, "TZ-VAL-009"),
                                      (big, w.BAD_INPUT, "TZ-VAL-010"), (missing, w.FAILED, "TZ-GEN-006")):
                for more in ([], ["--dry-run"]):
                    done = office("import", "organisation", path, *more, ok=(exits,))
                    w.check(code in done.err and path in done.err, done)
            w.check(imports_of(office) == [], imports_of(office))


def a_killed_import_leaves_nothing_for_long():
    """The copy of an import that saved nothing goes with the next import; that of one that saved something stays."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "office")).join(server, "D_CLERK", AREA)
            small, large = os.path.join(folder, "small.csv"), os.path.join(folder, "large.csv")
            with open(small, "w", encoding="utf-8") as f:
                f.write("name,district_code\n甲公司,120101\n")
            with open(large, "w", encoding="utf-8") as f:
                f.write("name,district_code\n" + "".join(f"公司{n},120101\n" for n in range(400000)))
            office("import", "organisation", small)
            kept = imports_of(office)
            for how in (signal.SIGTERM, signal.SIGKILL):
                process = office.popen("import", "organisation", large, "--all-or-nothing")
                w.wait_for(lambda: len(imports_of(office)) > len(kept), what="the copy")
                time.sleep(0.05)
                process.send_signal(how)
                w.check(process.wait(20) != 0, "the import was not stopped")
            left = set(imports_of(office)) - set(kept)
            w.check(left, "nothing was left behind: the test shows nothing")
            office("import", "organisation", small)
            w.check(not left & set(imports_of(office)) and set(kept) < set(imports_of(office)), kept, left, imports_of(office))
            two = [office.popen("import", "organisation", large, "--dry-run"), office.popen("import", "organisation", large, "--all-or-nothing")]
            w.wait_for(lambda: len(imports_of(office)) > len(kept) + 1, what="the second copy")
            office("import", "organisation", small)  # one that is under way is left alone
            w.check(len(imports_of(office)) > len(kept) + 2, imports_of(office))
            for process in two:
                process.kill()
                process.wait()


if __name__ == "__main__":
    w.main(rows_refused_in_an_import_are_named_and_put_aside, an_agent_hears_what_the_administrator_made_of_a_save, what_cannot_be_taken_back_is_said,
           only_files_of_a_sensible_size_are_imported, a_killed_import_leaves_nothing_for_long)
