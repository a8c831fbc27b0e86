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


if __name__ == "__main__":
    w.main(two_inspectors_register_one_firm, a_district_deletes_what_an_inspector_visits)
