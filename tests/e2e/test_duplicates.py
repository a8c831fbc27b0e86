# SPDX-License-Identifier: Apache-2.0
"""One company entered twice: the case, the two ways out of it, and the way back, through the command line."""
import os

import world as w

AREA = "120101"


def check_digit(body):
    """The 18th character of a unified social credit identifier (GB 32100-2015)."""
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    return letters[(31 - sum(letters.index(c) * pow(3, i, 31) for i, c in enumerate(body)) % 31) % 31]


def usci(n):
    body = f"91120101MA05X{n:04d}"
    return body + check_digit(body)


class Twice:
    """Two clerks enter one company each under the same code, apart from each other."""

    def __init__(self, folder, server):
        self.server = server
        self.a = w.Office(os.path.join(folder, "a")).join(server, "D_SUPER", AREA)
        self.b = w.Office(os.path.join(folder, "b")).join(server, "D_CLERK", AREA)
        self.one = self.a.add("organisation", "name=甲公司", f"usci={usci(1)}", "address=甲路 1 号")
        self.two = self.b.add("organisation", "name=甲科技公司", f"usci={usci(1)}", "employees=12")
        self.sync()
        self.keep, self.gone = self.case["target"], self.case["other"]

    def sync(self):
        for office in (self.a, self.b, self.a):
            office.sync()

    @property
    def case(self):
        case, = [c for c in self.a("cases", "--all", "--json").lines() if c["kind"] == "duplicate"]
        return case

    def same(self):
        w.check(self.a.dump() == self.b.dump() == self.server.dump_as("a"), "dumps differ")


def both_stay_when_it_is_not_one_company():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            t = Twice(folder, server)
            w.check({t.keep, t.gone} == {t.one, t.two} and t.case["state"] == "open", t.case)
            text = t.a("cases").out
            w.check("甲公司" in text and "甲科技公司" in text and f"taizhang merge organisation {t.keep} {t.gone}" in text, text)
            done = t.a("resolve", "1", "mine", ok=(w.USAGE,))
            w.check("merge" in done.err, done)
            done = t.b("resolve", t.case["id"], "keep", ok=(w.FAILED, w.BAD_INPUT))
            w.check("next:" in done.err, done)
            t.a("resolve", "1", "keep")
            t.sync()
            w.check(t.case["state"] == "closed", t.case)
            for rid in (t.one, t.two):
                w.check(t.b.show("organisation", rid)["deleted"] is False, rid)
            t.same()


def merged_and_taken_apart():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            t = Twice(folder, server)
            user = t.b("query", "--json", 'select lower(hex(_id)) id from "user"').lines()[0]["id"]
            visit = t.b("add", "visit", f"org_id={t.gone}", f"by_ref={user}", "visited_on=2020-05-06", "way=on_site", "--json").json()["id"]
            t.sync()
            done = t.b("merge", "organisation", t.keep, t.gone, ok=(w.FAILED, w.BAD_INPUT))
            w.check("next:" in done.err, done)
            t.a("merge", "organisation", t.keep, t.gone, "--reason", "同一家")
            t.sync()
            w.check(t.case["state"] == "closed", t.case)
            done = t.b("show", "organisation", t.gone, "--json")
            w.check(done.json()["id"] == t.keep and t.keep in done.err, done)
            shown = t.b.show("organisation", t.keep)["fields"]
            w.check(shown["address"] == "甲路 1 号" and shown["employees"] == 12, shown)
            w.check(t.b.show("visit", visit)["fields"]["org_id"] == t.keep, "the visit did not move")
            t.b("edit", "organisation", t.gone, "address=甲路 2 号")
            t.sync()
            w.check(t.a.show("organisation", t.keep)["fields"]["address"] == "甲路 2 号", "an edit of the old id")
            t.a("unmerge", "organisation", t.keep, t.gone)
            t.sync()
            w.check(t.b("show", "organisation", t.gone, "--json").json()["id"] == t.gone, "it did not come out again")
            w.check(t.b.show("visit", visit)["fields"]["org_id"] == t.gone, "the visit did not go back")
            book = t.a.balance()
            w.check(book["unaccounted"] == 0, book)
            t.same()


def what_was_said_by_the_old_id_is_told():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            t = Twice(folder, server)
            t.b("edit", "organisation", t.gone, "grid_no=7", "--reason", "走访")  # has not heard of the merge
            t.a("merge", "organisation", t.keep, t.gone)
            t.sync()
            w.check(t.a.show("organisation", t.keep)["fields"]["grid_no"] == "7", "the edit did not reach the survivor")
            told = t.a("history", "organisation", t.keep, "--json").json()["changes"]
            said = [c for c in told if c["fields"].get("grid_no") == "7"]
            w.check(len(said) == 1 and said[0]["as_other"] and said[0]["other"] == t.gone and said[0]["reason"] == "走访", told)
            text = t.a("history", "organisation", t.keep).out
            w.check(t.gone[:8] in text, text)
            field, = t.a("why", "organisation", t.keep, "grid_no", "--json").json()["fields"]
            value, = [v for v in field["values"] if v["stands"]]
            w.check(value["value"] == "7" and value["rule"] == "saw" and value["reason"] == "走访", value)
            t.same()


if __name__ == "__main__":
    w.main(both_stay_when_it_is_not_one_company, merged_and_taken_apart, what_was_said_by_the_old_id_is_told)
