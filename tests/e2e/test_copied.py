# SPDX-License-Identifier: Apache-2.0
"""A copied laptop: both copies work on offline and sync, in any order and killed anywhere. Everything both made is in, once, and accounted for.
And a folder that was put back to an older state."""
import os
import random
import shutil
import sqlite3
import time

import world as w


def copy_of(folder, office, name):
    copy = w.Office(os.path.join(folder, name))
    shutil.copytree(office.data, copy.data)
    copy.area = office.area
    return copy


def organisations(server):
    return sorted(r[0] for r in server.sql("SELECT name FROM organisation"))


def same_and_sound(server, *offices):
    for o in offices:
        o.sync(ok=(0,))
    for o in offices:
        o.sync(ok=(0,))
        w.check(o.dump() == server.dump_as("laptop"), o.name, "does not hold what the server says")
        s = o.status()
        w.check((s["unsent"], s["held"], s["waiting"], s["refused"]) == (0, 0, 0, 0), o.name, s)
        b = o.balance()
        w.check(b["unaccounted"] == 0 and b["held"] == 0, o.name, b)
    w.check(server.cli("backlog").out.strip() == "" or not server.cli("backlog", "--json").lines(), server.cli("backlog"))
    w.check(server.cli("balance", "--json").lines()[-1]["unaccounted"] == 0, server.cli("balance"))
    w.check(server.cli("verify", "--json").json()["ok"], "verify")


def both_copies_work_on_and_everything_is_in():
    with w.a_server() as (folder, server):
        first = w.Office(os.path.join(folder, "laptop")).join(server, "D_CLERK", "120101")
        shared = first.add("organisation", "name=shared", "address=before")
        first.sync()
        unsent = first.add("organisation", "name=not sent when it was copied")
        copy = copy_of(folder, first, "copy")
        for n in range(3):
            first.add("organisation", f"name=first {n}")
            copy.add("organisation", f"name=copy {n}")
        first.edit("organisation", shared, "address=the first one's")
        copy.edit("organisation", shared, "address=the copy's")
        copy.edit("organisation", unsent, "address=on top of what both have")
        first.sync(ok=(0, 3))
        run = copy.sync(ok=(0, 3))
        w.check("a copy" in run.out and "invitation of its own" in run.out, run)
        same_and_sound(server, first, copy)
        w.check(organisations(server) == sorted(["shared", "not sent when it was copied"] + [f"{x} {n}" for x in ("first", "copy") for n in range(3)]),
                organisations(server))
        # what the other machine did was not seen: both words are kept
        cases = first("cases", "--json", ok=(0, 3)).lines()
        w.check(len(cases) == 1 and "the " in str(cases), cases)
        w.check(copy.show("organisation", unsent)["fields"]["address"] == "on top of what both have", "shared history is own history")
        # and go on, both
        for o in (first, copy):
            o.add("organisation", f"name={o.name} goes on")
            report = o("sync", "--json", ok=(0, 3)).json()
            w.check(report["applied"] == 1 and report["renumbered"] == 0, report)
        same_and_sound(server, first, copy)
        server.stop()


def killed_anywhere_nothing_of_either_is_lost_or_doubled():
    with w.a_server() as (folder, server):
        first = w.Office(os.path.join(folder, "laptop")).join(server, "D_CLERK", "120101")
        first.add("organisation", "name=shared")
        first.sync()
        rng = random.Random(11)
        copies = [first] + [copy_of(folder, first, f"copy{n}") for n in range(2)]
        want = ["shared"]
        for turn in range(3):
            for o in copies:
                for n in range(4):
                    want.append(f"{o.name} {turn} {n}")
                    o.add("organisation", "name=" + want[-1])
            for attempt in range(4):
                running = [o.popen("sync") for o in copies]
                time.sleep(rng.uniform(0.005, 0.2))
                if attempt % 2 == 0:
                    for p in running:
                        p.kill()
                elif attempt == 1:
                    server.kill9()
                    server.start()
                for p in running:
                    p.wait()
        for o in copies * 2:
            o.sync(ok=(0, 3))
        same_and_sound(server, *copies)
        w.check(organisations(server) == sorted(want), set(organisations(server)) ^ set(want), len(want))
        server.stop()


def a_copy_of_a_copy_brings_nothing_twice():
    with w.a_server() as (folder, server):
        first = w.Office(os.path.join(folder, "laptop")).join(server, "D_CLERK", "120101")
        copy = copy_of(folder, first, "copy")
        first.add("organisation", "name=first")
        copy.add("organisation", "name=copy")
        again = copy_of(folder, copy, "again")  # with the copy's unsent save
        again.add("organisation", "name=again")
        for o in (first, copy, again):
            o.sync(ok=(0, 3))
        same_and_sound(server, first, copy, again)
        w.check(organisations(server) == ["again", "copy", "first"], organisations(server))
        server.stop()


def a_folder_put_back_to_an_older_state_goes_on():
    with w.a_server() as (folder, server):
        office = w.Office(os.path.join(folder, "laptop")).join(server, "D_CLERK", "120101")
        record = office.add("organisation", "name=one")
        office.sync()
        office.add("organisation", "name=in the backup, not sent")
        old = os.path.join(folder, "old")
        shutil.copytree(office.data, old)
        for n in range(3):
            office.add("organisation", f"name=later {n}")
            office.sync()
        shutil.rmtree(office.data)
        shutil.copytree(old, office.data)
        office.add("organisation", "name=after it was put back")
        office.edit("organisation", record, "address=after it was put back")
        run = office.sync(ok=(0,))
        w.check("put back to an older state" in run.out, run)
        same_and_sound(server, office)
        w.check(organisations(server) == sorted(["one", "in the backup, not sent", "after it was put back"] + [f"later {n}" for n in range(3)]),
                organisations(server))
        # put back once more, with nothing made since
        shutil.rmtree(office.data)
        shutil.copytree(old, office.data)
        office.sync(ok=(0,))
        office.add("organisation", "name=third life")
        same_and_sound(server, office)
        w.check("third life" in organisations(server), organisations(server))
        server.stop()


def saves_that_a_disk_has_lost_do_not_stop_the_others():
    with w.a_server() as (folder, server):
        office = w.Office(os.path.join(folder, "laptop")).join(server, "D_CLERK", "120101")
        for n in range(4):
            office.add("organisation", f"name=save {n}")
        w.check("every save" in office("lost").out, office("lost"))
        db = sqlite3.connect(office.database())
        db.execute("UPDATE outbox SET raw = x'00' WHERE seq = 2")
        db.commit()
        db.close()
        office("sync", ok=None)
        w.check("save 2 " in office("lost", ok=(3,)).out, office("lost", ok=(3,)))
        w.check(office("lost", "--declare", "--json").json() == {"lost": [2], "declared": True}, "declared")
        office.sync(ok=(0,))
        w.check(organisations(server) == ["save 0", "save 2", "save 3"], organisations(server))
        w.check(office.balance()["lost"] == 1 and office.balance()["unaccounted"] == 0, office.balance())
        line = server.cli("balance", "--json").lines()[-1]
        w.check((line["unaccounted"], line["lost_changesets"]) == (0, 1), line)
        server.stop()


if __name__ == "__main__":
    w.main(both_copies_work_on_and_everything_is_in, killed_anywhere_nothing_of_either_is_lost_or_doubled,
           a_copy_of_a_copy_brings_nothing_twice, a_folder_put_back_to_an_older_state_goes_on,
           saves_that_a_disk_has_lost_do_not_stop_the_others)
