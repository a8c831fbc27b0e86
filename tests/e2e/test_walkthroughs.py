# SPDX-License-Identifier: Apache-2.0
"""Days in the offices, through the command line: two inspectors register one firm; a district deletes what an inspector visits."""
import os

import world as w

AREA = "120101"
USCI = "91350100M000100Y43"  # the standard's own example


def user_of(office):
    return office("query", "--json", 'select lower(hex(_id)) id from "user" order by name limit 1').lines()[0]["id"]


def visit(office, firm, day, note):
    return office("add", "visit", f"org_id={firm}", f"by_ref={user_of(office)}", f"visited_on={day}", "way=on_site",
                  f"note={note}", "--json").json()["id"]


def same(server, *offices):
    """Every office holds what the server says it should, byte for byte, and nothing it made is unaccounted for."""
    for office in offices:
        w.check(office.dump() == server.dump_as(office.name), office.name, "differs from the server")
        book = office.balance()
        w.check(book["unaccounted"] == 0, office.name, book)


def two_inspectors_register_one_firm():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            a = w.Office(os.path.join(folder, "a")).join(server, "F_INSP", AREA)
            b = w.Office(os.path.join(folder, "b")).join(server, "F_INSP", AREA)
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", AREA)
            one = a.add("organisation", "name=甲（天津）有限公司", f"usci={USCI}", "employees=12", "employees_on=2026-10-01")
            first = visit(a, one, "2026-10-01", "甲说的话")
            two = b.add("organisation", "name=甲(天津)有限公司", f"usci={USCI}", "address=乙路 2 号")
            second = visit(b, two, "2026-10-02", "乙说的话")
            for office in (a, b):
                office.sync()
            b.edit("organisation", two, "has_union=是")  # by the id that went
            later = visit(b, two, "2026-10-03", "又去一次")
            for office in (b, a, clerk, b):
                office.sync()
            same(server, a, b, clerk)
            firms = clerk("list", "organisation", "--json").lines()
            w.check(len(firms) == 1, "one firm, registered twice:", firms)
            shown = clerk.show("organisation", two)
            w.check(shown["id"] == one, "the old id does not lead to the survivor", shown)
            fields = shown["fields"]
            w.check(fields["employees"] == 12 and fields["address"] == "乙路 2 号" and fields["has_union"] == 1, fields)
            for rid, note in ((first, "甲说的话"), (second, "乙说的话"), (later, "又去一次")):
                seen = clerk.show("visit", rid)["fields"]
                w.check(seen["org_id"] == one and seen["note"] == note, seen)


def a_district_deletes_what_an_inspector_visits():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            inspector = w.Office(os.path.join(folder, "inspector")).join(server, "F_INSP", AREA)
            clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", AREA)
            firm = clerk.add("organisation", "name=甲公司", f"usci={USCI}", "address=甲路 1 号")
            clerk.sync()
            inspector.sync()
            clerk("delete", "organisation", firm, "--reason", "登记错误")
            clerk.sync()
            w.check(clerk("list", "organisation", "--json").lines() == [], "it is still listed")
            trip = visit(inspector, firm, "2026-10-05", "门面还在营业")  # days without a network
            inspector.sync()
            clerk.sync()
            inspector.sync()
            same(server, inspector, clerk)
            w.check(clerk.show("organisation", firm)["deleted"] is False, "the visit did not bring the firm back")
            w.check(clerk.show("visit", trip)["fields"]["note"] == "门面还在营业", "the visit is lost")
            case, = clerk("cases", "--json").lines()
            w.check(case["target"] == firm and case["state"] == "open", case)
            text = clerk("cases").out
            w.check("甲公司" in text, text)
            clerk("resolve", case["id"], "keep")  # it is there: it stays
            for office in (clerk, inspector, clerk):
                office.sync()
            w.check(clerk("cases", "--json").lines() == [], "the case is still open")
            done = clerk("delete", "organisation", firm, ok=(w.FAILED, w.BAD_INPUT, w.DONE))
            same(server, inspector, clerk)
            w.check(clerk.show("visit", trip)["deleted"] is False, done)


def disputed(server, folder, n):
    """Organisations of which a clerk and an inspector have each given the address, and a supervisor."""
    clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", AREA)
    insp = w.Office(os.path.join(folder, "insp")).join(server, "F_INSP", AREA)
    boss = w.Office(os.path.join(folder, "boss")).join(server, "D_SUPER", AREA)
    firms = [clerk.add("organisation", f"name=firm {i}", "address=first") for i in range(n)]
    clerk.sync()
    insp.sync()
    for firm in firms:
        clerk.edit("organisation", firm, "address=the clerk's")
        insp.edit("organisation", firm, "address=the inspector's")
    for office in (clerk, insp, clerk, boss):
        office.sync()
    cases = {c["target"]: c["id"] for c in boss("cases", "--json").lines()}
    return clerk, insp, boss, firms, [cases[f] for f in firms]


def a_case_about_a_deleted_record_is_refused_at_once_where_the_server_would():
    with w.a_server() as (folder, server):
        clerk, insp, boss, (mine, theirs), (case, other) = disputed(server, folder, 2)
        for firm in (mine, theirs):
            clerk("delete", "organisation", firm)
        done = clerk("resolve", case, "theirs:1", ok=(1,))  # its own deletion, not sent yet
        w.check("TZ-PUSH-026" in done.err and f"taizhang restore organisation {mine}" in done.err and f"resolve {case} keep" in done.err, done)
        clerk.sync()
        boss.sync()
        w.check("TZ-PUSH-026" in clerk("resolve", case, "theirs:1", ok=(1,)).err, "the deletion was its own")
        w.check("firm 0 (deleted)" in clerk("cases").out, clerk("cases"))
        clerk("resolve", case, "keep")  # what stands may be said
        clerk.sync(ok=(0,))
        boss("resolve", other, "theirs:1")  # the case is older than the deletion: the choice brings the record back
        boss.sync(ok=(0,))
        w.check(boss.show("organisation", theirs)["fields"]["address"] == "the clerk's", "it did not come back")
        w.check([c["subject"] for c in boss("cases", "--json").lines()] == ["_deleted"], boss("cases"))
        same(server, boss)


def a_closed_case_says_who_closed_it():
    with w.a_server() as (folder, server):
        clerk, insp, boss, _, (case,) = disputed(server, folder, 1)
        boss("resolve", case, "keep")
        boss.sync()
        clerk.sync()
        for what in ("theirs:1", "keep"):
            done = clerk("resolve", case, what, ok=(1,))
            w.check("TZ-PUSH-024" in done.err and "closed by boss" in done.err, done)
        w.check("已由 boss 于" in clerk("--lang", "zh", "resolve", case, "keep", ok=(1,)).err, "in Chinese")
        w.check("TZ-DB-009" in clerk("resolve", "ffffffff", "keep", ok=(1,)).err, "no such case")


def theirs_takes_the_only_value_there_is():
    with w.a_server() as (folder, server):
        clerk = w.Office(os.path.join(folder, "clerk")).join(server, "D_CLERK", AREA)
        insp = w.Office(os.path.join(folder, "insp")).join(server, "F_INSP", AREA)
        boss = w.Office(os.path.join(folder, "boss")).join(server, "D_SUPER", AREA)
        firm = clerk.add("organisation", "name=firm", "address=first")
        for office in (clerk, insp, boss):
            office.sync()
        insp.edit("organisation", firm, "address=the inspector's")
        clerk.edit("organisation", firm, "address=")
        for office in (insp, clerk, boss):
            office.sync()
        w.check("(empty)" in boss("cases").out, boss("cases"))
        boss("resolve", "1", "theirs")
        w.check(boss.show("organisation", firm)["fields"]["address"] == "the inspector's", boss.show("organisation", firm))


if __name__ == "__main__":
    w.main(two_inspectors_register_one_firm, a_district_deletes_what_an_inspector_visits,
           a_case_about_a_deleted_record_is_refused_at_once_where_the_server_would, a_closed_case_says_who_closed_it,
           theirs_takes_the_only_value_there_is)
