# SPDX-License-Identifier: Apache-2.0
"""The ledger through the command line: from open to written off on three machines; verified and returned at once; kills; one machine for several people."""
import os
import random
import time

import world as w

AREA = "120101"
UNIT = "GW120101"


class District:
    """A clerk, an inspector and two supervisors of one district, each with a machine, and a firm to look at."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.clerk = self.office("clerk", "D_CLERK")
        self.insp = self.office("insp", "F_INSP")
        self.super = self.office("super", "D_SUPER")
        self.super2 = self.office("super2", "D_SUPER")
        self.firm = self.clerk.add("organisation", "name=甲公司", "kind=enterprise", "subkind=private")
        self.photo = os.path.join(folder, "现场.jpg")
        with open(self.photo, "wb") as f:
            f.write(b"not really a picture")
        self.sync()

    def office(self, name, role, area=AREA):
        return w.Office(os.path.join(self.folder, name)).join(self.server, role, area)

    @property
    def all(self):
        return (self.clerk, self.insp, self.super, self.super2)

    def sync(self, *offices):
        for office in (*(offices or self.all), *(offices or self.all)):
            office.sync()

    def open(self, office, *more):
        return ledger(office, "open", "title=消防通道堵塞", "list_type=issue", "source=unannounced", "target_type=organisation",
                      f"target_id={self.firm}", f"lead_unit={UNIT}", "due_on=2031-12-31", *more)["id"]

    def bring_to(self, state, item):
        """Everything by the book, each step by its own person."""
        way = {"assigned": [(self.super2, "assign", ())], "rectifying": [(self.clerk, "sign", ())],
               "submitted": [(self.clerk, "submit", ("result=已清理", "--evidence", self.photo))],
               "verified": [(self.insp, "verify", ())], "written_off": [(self.super, "write_off", ())]}
        for reached, steps in way.items():
            for office, action, args in steps:
                office.sync()
                ledger(office, action, item, *args)
                office.sync()
            if reached == state:
                break
        self.sync()
        for office in self.all:
            w.check(state_of(office, item) == state, office.name, shown(office, item))

    def same(self):
        for office in self.all:
            w.check(office.dump() == self.server.dump_as(office.name), office.name, "differs from the server")
            book = office.balance()
            w.check(book["unaccounted"] == 0, office.name, book)


def ledger(office, *args, ok=(0,), user=None):
    by = ("--user", user) if user else ()
    return office("ledger", *args, "--json", *by, ok=ok).json()


def refused(office, *args, user=None):
    """At the form: the sentence names what is wrong and the next step. Returns the error."""
    by = ("--user", user) if user else ()
    done = office("ledger", *args, *by, ok=(w.FAILED, w.PARTLY, w.BAD_INPUT))
    w.check("next:" in done.err, done)
    return done.err


def shown(office, item):
    return ledger(office, "show", item)


def state_of(office, item):
    return shown(office, item)["state"]


def listed(office, *args):
    return {line["id"]: line for line in office("ledger", "list", *args, "--json").lines()}


def from_open_to_written_off():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            d = District(folder, server)
            item = d.open(d.insp, "severity=major")  # offline: a proposal
            line = listed(d.insp)[item]
            w.check(line["state"] is None and "item_no" not in line["fields"], line)
            w.check("待确认：立账" in d.insp("ledger", "list", "--lang", "zh").out, "an opening that nobody has confirmed")
            d.sync()
            year = time.strftime("%Y", time.gmtime(time.time() + 8 * 3600))
            number = f"L{year}{AREA}000001"
            w.check(listed(d.super)[item]["fields"]["item_no"] == number, listed(d.super))
            w.check("D_SUPER" not in refused(d.clerk, "assign", number) and state_of(d.clerk, number) == "opened", "a clerk assigned")
            w.check(set(shown(d.super, number)["possible"]) == {"assign", "void"}, shown(d.super, number))
            ledger(d.super, "交办", number, "due_on=2031-06-30", "--opinion", "请抓紧\n月底前报结")
            d.sync()
            # a chain, offline: each names what the one before leads to
            ledger(d.clerk, "sign", number)
            ledger(d.clerk, "report", number, "progress_pct=40")
            w.check("evidence" in refused(d.clerk, "submit", number, "result=已清理").lower(), "submitted without evidence")
            ledger(d.clerk, "submit", number, "result=已清理", "--evidence", d.photo)
            view = shown(d.clerk, number)
            w.check([p["action"] for p in view["pending"]] == ["sign", "report", "submit"], view["pending"])
            w.check({p["standing"] for p in view["pending"]} == {"proposed"} and view["state"] == "assigned", view)
            text = d.clerk("ledger", "list", "--lang", "zh").out
            w.check("已交办" in text and "待确认：报结→待核实" in text, text)
            refused(d.clerk, "verify", number)
            d.sync()
            w.check("yourself" not in refused(d.insp, "verify", number), "no evidence, and another reason given")
            ledger(d.insp, "verify", number, "--evidence", d.photo, "--opinion", "已到现场")
            d.sync()
            refused(d.insp, "write_off", number)
            ledger(d.super2, "write_off", number)
            d.sync()
            for office in d.all:
                view = shown(office, number)
                w.check(view["state"] == "written_off" and not view["pending"], office.name, view)
                w.check([s["action"] for s in view["steps"]] == ["open", "assign", "sign", "report", "submit", "verify", "write_off"], view)
                w.check([s["seq"] for s in view["steps"]] == list(range(1, 8)), view)
                w.check(view["fields"]["progress_pct"] == 40 and view["fields"]["due_on"] == "2031-06-30", view)
                w.check(len({view["steps"][i]["actor"] for i in (4, 5, 6)}) == 3, "submitter, verifier and writer-off", view)
            w.check(view["steps"][4]["evidence"][0]["name"] == "现场.jpg" and view["steps"][4]["evidence"][0]["size"] == 20, view["steps"][4])
            text = d.clerk("ledger", "show", number, "--lang", "zh").out
            w.check("现场.jpg" in text and "请抓紧" in text and "中共和平区委两新组织工作委员会" in text, text)
            w.check(item not in listed(d.clerk) and item in listed(d.clerk, "--all"), "what is done is not on the list")
            # it is final: found again, it is a new item
            refused(d.super, "hang", number, "review_on=2031-01-01", "--opinion", "x")
            anew = ledger(d.insp, "relapse", number, "due_on=2031-12-31")["id"]
            d.sync()
            view = shown(d.clerk, anew)
            w.check(view["fields"]["reopened_from"] == item and view["fields"]["item_no"] == f"L{year}{AREA}000002", view)
            w.check(view["steps"][0]["action"] == "relapse" and state_of(d.clerk, item) == "written_off", view)
            d.same()
            why = d.clerk("why", "ledger_item", item, "result", "--json").json()
            w.check("已清理" in str(why), why)
            text = d.clerk("history", "ledger_item", item, "--lang", "zh").out
            w.check("步骤：报结" in text and "步骤：销账" in text, text)


def verified_and_returned_at_once():
    """Two supervisors, both offline. Whoever comes first; the other is told what stands and may offer his step again."""
    for first in ("verify", "return"):
        with w.world() as folder:
            server = w.Server(os.path.join(folder, "server"))
            with w.running(server):
                d = District(folder, server)
                item = d.open(d.clerk)
                d.sync()
                d.bring_to("submitted", item)
                ledger(d.super, "verify", item)
                ledger(d.super2, "return", item, "--opinion", "照片不清楚")
                one, two = (d.super, d.super2) if first == "verify" else (d.super2, d.super)
                one.sync()
                w.check(two.sync().code == w.PARTLY, "nobody was told")
                stands = "verified" if first == "verify" else "returned"
                view = shown(two, item)
                w.check(view["state"] == stands, view)
                pending, = view["pending"]
                w.check(pending["standing"] == "refused" and pending["code"] == "TZ-STEP-001", pending)
                w.check({"verify": "verified", "return": "returned"}[first] in pending["text"], pending)
                attention, = two.status()["attention"]
                w.check(attention["seq"] == pending["seq"] and "again" in attention["next"], attention)
                w.check("again" in refused(two, "hang", item, "review_on=2031-01-01", "--opinion", "x"), "another step before the refused one")
                if first == "verify":  # what is verified may still be returned
                    ledger(two, "again", str(pending["seq"]))
                    d.sync(two, one)
                    for office in (one, two):
                        view = shown(office, item)
                        w.check(view["state"] == "returned" and not view["pending"], office.name, view)
                        w.check(view["steps"][-1]["opinion"] == "照片不清楚", view)
                else:  # what is returned cannot be verified: nothing changes, and he takes it back
                    before = two.status()["unsent"]
                    refused(two, "again", str(pending["seq"]))
                    w.check(two.status()["unsent"] == before, two.status())
                    two("withdraw", str(pending["seq"]))
                    d.sync(two, one)
                    w.check(state_of(two, item) == "returned" and not shown(two, item)["pending"], shown(two, item))
                w.check(server.sql('SELECT count(*) FROM "case"') == [(0,)], "a case about a step")
                d.sync()
                d.same()


def a_chain_behind_a_refused_step_comes_along():
    """The clerk signs and submits offline while somebody else declines: the whole chain is offered again."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            d = District(folder, server)
            other = d.office("other", "D_CLERK")
            item = d.open(d.clerk)
            d.sync()
            d.bring_to("assigned", item)
            other.sync()
            ledger(d.clerk, "sign", item)
            ledger(d.clerk, "submit", item, "result=好了", "--evidence", d.photo)
            ledger(other, "decline", item, "--opinion", "不归我们")
            other.sync()
            d.clerk.sync()
            pending = shown(d.clerk, item)["pending"]
            w.check([p["standing"] for p in pending] == ["refused", "waiting"], pending)
            refused(d.clerk, "again", str(pending[0]["seq"]))  # there is nothing to sign yet
            d.super.sync()
            ledger(d.super, "assign", item)
            d.super.sync()
            d.clerk.sync()
            ledger(d.clerk, "again", str(pending[0]["seq"]))
            view = shown(d.clerk, item)
            w.check([p["action"] for p in view["pending"]] == ["sign", "submit"], view["pending"])
            d.sync()
            w.check(state_of(d.super, item) == "submitted", shown(d.super, item))
            d.same()


def one_machine_for_several_people():
    """Submitter, verifier and writer-off are people, not machines; offline too."""
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            d = District(folder, server)
            for code, name, role in (("zhang", "张三", "D_CLERK"), ("li", "李四", "D_SUPER"), ("wang", "王五", "D_SUPER")):
                server.cli("user", "add", code, "--name", name, "--role", role, "--area", AREA, "--unit", UNIT)
            server.cli("user", "unit", "zhang", "--unit", "CY001")
            item = d.open(d.clerk)
            d.sync()
            d.bring_to("rectifying", item)
            w.check("市委党校" not in refused(d.super, "report", item, user="zhang"), "the wrong unit is named")
            server.cli("user", "unit", "zhang", "--unit", UNIT)
            d.super.sync()
            ledger(d.super, "submit", item, "result=好了", "--evidence", d.photo, user="zhang")
            refused(d.super, "verify", item, user="zhang")
            ledger(d.super, "verify", item, user="li")
            w.check("somebody else" in refused(d.super, "write_off", item, user="li"), "the verifier wrote off")
            ledger(d.super, "write_off", item, user="wang")
            d.sync()
            view = shown(d.clerk, item)
            w.check(view["state"] == "written_off", view)
            d.same()


def killed_at_any_time():
    """Server and clients die in the middle: every step once, numbers without gaps."""
    rng = random.Random(7)
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            d = District(folder, server)
            items = []
            for _ in range(6):
                items += [d.open(d.clerk), d.open(d.insp)]
                running = [d.clerk.popen("sync"), d.insp.popen("sync")]
                time.sleep(rng.uniform(0.0, 0.15))
                server.kill9()
                running[0].kill()
                for p in running:
                    p.wait()
                server.start()
            d.sync()
            numbers = sorted(listed(d.super)[i]["fields"]["item_no"] for i in items)
            w.check([int(n[-6:]) for n in numbers] == list(range(1, len(items) + 1)), numbers)
            for i in items:
                ledger(d.super, "assign", i)
            running = d.super.popen("sync")
            time.sleep(rng.uniform(0.0, 0.1))
            running.kill()
            running.wait()
            d.sync()
            for i in items:
                w.check([s["action"] for s in shown(d.clerk, i)["steps"]] == ["open", "assign"], shown(d.clerk, i))
            d.same()


if __name__ == "__main__":
    w.main(from_open_to_written_off, verified_and_returned_at_once, a_chain_behind_a_refused_step_comes_along, one_machine_for_several_people,
           killed_at_any_time)
