# SPDX-License-Identifier: Apache-2.0
"""The data commands of `taizhang`, between two offices and a server: what one saves the other sees, and nothing is lost on the way."""
import json
import os
import subprocess
import time
import unittest

import tz

SAMPLE = os.path.join(tz.SOURCE, "deploy", "sample")
CASES = os.path.join(tz.SOURCE, "tests", "e2e", "data", "import-cases.csv")
AREA = "120103"
USCI = "911201030TF37B6P7J"


class DataCommands(tz.TestCase):
    def setUp(self):
        super().setUp()
        self.srv = self.server()
        self.desk = self.join("desk")

    def join(self, name, role="D_CLERK", area=AREA):
        data = self.path(name)
        tz.taizhang("join", self.srv.invite(name, role, area), "--data", data)
        tz.taizhang("sync", "--data", data)
        return data

    def do(self, data, *args, code=0):
        return tz.taizhang(*args, "--data", data, "--lang", "en", code=code)

    def sync(self, *datas):
        for data in datas:
            self.do(data, "sync", code=None)

    def add_org(self, *fields):
        return self.do(self.desk, "add", "organisation", f"usci={USCI}", "name=甲公司", "区=河西", "街道=大营门", *fields,
                       "--json").json()["id"]

    def show(self, data, key, rtype="organisation"):
        return self.do(data, "show", rtype, key, "--json").json()

    def test_added_record_is_found_by_key_and_reaches_the_other_office(self):
        rid = self.add_org("职工人数=35人")
        mine = self.show(self.desk, USCI)
        self.assertEqual((mine["id"], mine["pending"]), (rid, True))
        self.assertEqual(mine["fields"]["street_code"], "120103001")
        self.assertEqual(mine["fields"]["employees"], 35)
        other = self.join("other")
        self.do(other, "show", "organisation", rid, code=1)
        self.sync(self.desk, other)
        theirs = self.show(other, USCI)
        self.assertEqual((theirs["id"], theirs["pending"]), (rid, False))
        self.assertEqual(self.do(self.desk, "dump").out, self.do(other, "dump").out)
        self.assertEqual(self.do(self.desk, "dump").out, self.srv("dump", "--as-device", "desk").out)

    def test_edit_sends_what_differs_and_nothing_else(self):
        self.add_org()
        done = self.do(self.desk, "edit", "组织", USCI, "name=甲公司", "address=新路1号", "--json").json()
        self.assertEqual(done["changes"], [{"field": "address", "from": None, "to": "新路1号"}])
        again = self.do(self.desk, "edit", "organisation", USCI, "address=新路1号")
        self.assertIn("nothing to change", again.err)
        cleared = self.do(self.desk, "edit", "organisation", USCI, "address=", "--json").json()
        self.assertEqual(cleared["changes"][0]["to"], None)

    def test_bad_values_name_the_field_and_change_nothing(self):
        self.do(self.desk, "add", "organisation", "name=乙", "区=塘古区", code=8)
        self.do(self.desk, "add", "organisation", "name=乙", "区=和平区", "街道=大营门", code=8)
        self.do(self.desk, "add", "organisation", "name=乙", "区=和平区", code=1)  # not this office's area
        self.do(self.desk, "add", "organisation", "name=乙", "usci=12", code=8)
        self.do(self.desk, "add", "organisation", "没有=乙", code=2)
        self.do(self.desk, "add", "没有", "name=乙", code=2)
        self.do(self.desk, "add", "organisation", code=2)
        self.assertEqual(self.do(self.desk, "list", "organisation", "--json").out, "")

    def test_concurrent_edits_make_a_case_and_resolve_ends_it(self):
        self.add_org("address=旧路")
        self.sync(self.desk)
        other = self.join("other")
        self.do(self.desk, "edit", "organisation", USCI, "address=一路")
        self.do(other, "edit", "organisation", USCI, "address=二路")
        self.sync(self.desk, other, self.desk)
        cases = self.do(self.desk, "cases", "--json").lines()
        self.assertEqual(len(cases), 1)
        case = cases[0]
        self.assertEqual((case["subject"], case["title"], len(case["candidates"])), ("address", "甲公司", 1))
        values = {case["standing"]["values"]["address"], case["candidates"][0]["values"]["address"]}
        self.assertEqual(values, {"一路", "二路"})
        self.assertEqual(self.show(self.desk, USCI)["cases"][0]["id"], case["id"])
        text = self.do(self.desk, "cases").out
        self.assertIn("一路", text)
        self.assertIn("二路", text)
        self.do(self.desk, "resolve", "1", "theirs:2", code=1)
        self.do(self.desk, "resolve", "7", "mine", code=1)
        self.do(self.desk, "resolve", "1", "theirs", "--candidate", "x", code=1)
        self.do(self.desk, "resolve", case["id"][:12], "theirs")  # what the other office said, wherever it stands
        self.sync(self.desk, other)
        kept = "二路"
        for data in (self.desk, other):
            self.assertEqual(self.show(data, USCI)["fields"]["address"], kept)
            self.assertEqual(self.do(data, "cases", "--json").out, "")
            self.assertEqual(len(self.do(data, "cases", "--all", "--json").lines()), 1)

    def test_typed_value_and_group_members_resolve_a_case(self):
        self.add_org("正式党员数=3", "党员数截至日期=2020-01-01")
        self.sync(self.desk)
        other = self.join("other")
        self.do(self.desk, "edit", "organisation", USCI, "full_members=4", "counts_on=2020-02-01")
        self.do(other, "edit", "organisation", USCI, "full_members=5", "counts_on=2020-03-01")
        self.sync(self.desk, other, self.desk)
        self.assertEqual(self.show(self.desk, USCI)["fields"]["full_members"], 5)
        self.do(self.desk, "resolve", "1", "正式党员数=6人", code=1)  # no list was shown yet: a number means nothing
        self.do(self.desk, "cases")
        self.do(self.desk, "resolve", "#1", "正式党员数=6人")
        self.sync(self.desk, other)
        self.assertEqual(self.show(other, USCI)["fields"]["full_members"], 6)
        self.assertEqual(self.do(other, "cases", "--json").out, "")

    def test_mine_is_mine_and_numbers_are_those_of_the_printed_list(self):
        other = self.join("other")
        ids = [self.do(self.desk, "add", "organisation", f"name=案{n}", "区=河西", "--json").json()["id"] for n in range(3)]
        self.sync(self.desk, other)
        for n, rid in enumerate(ids):
            self.do(self.desk, "edit", "organisation", rid, f"address=先{n}")
            self.do(other, "edit", "organisation", rid, f"address=后{n}")
        self.sync(self.desk, other, self.desk)
        shown = [c["title"] for c in self.do(other, "cases", "--json").lines()]
        for number in (1, 2, 3):  # working down the page: each number is the case that was printed
            self.do(other, "resolve", str(number), "mine")
        self.sync(other, self.desk)
        self.assertEqual(sorted(shown), ["案0", "案1", "案2"])
        for n, rid in enumerate(ids):
            self.assertEqual(self.show(self.desk, rid)["fields"]["address"], f"后{n}")

    def test_delete_restore_and_withdraw(self):
        rid = self.add_org()
        self.sync(self.desk)
        self.do(self.desk, "delete", "organisation", USCI, "--reason", "登记错误")
        self.assertTrue(self.show(self.desk, rid)["deleted"])
        self.assertEqual(self.do(self.desk, "list", "organisation", "--json").out, "")
        self.sync(self.desk)
        self.do(self.desk, "delete", "organisation", rid, code=1)
        self.do(self.desk, "restore", "organisation", rid)
        self.sync(self.desk)
        self.assertFalse(self.show(self.desk, USCI)["deleted"])
        seq = self.do(self.desk, "edit", "organisation", USCI, "address=误填", "--json").json()["seq"]
        self.do(self.desk, "withdraw", seq)
        self.assertNotIn("address", self.show(self.desk, USCI)["fields"])
        self.do(self.desk, "withdraw", "9999", code=1)
        self.sync(self.desk)
        self.assertEqual(self.do(self.desk, "dump").out, self.srv("dump", "--as-device", "desk").out)

    def test_list_filters_sorts_and_cuts(self):
        for n, street in ((3, "大营门"), (1, "下瓦房"), (2, "大营门")):
            self.do(self.desk, "add", "organisation", f"name=第{n}家", "区=河西区", f"街道={street}", f"employees={n}")
        def names(*args):
            return [r["name"] for r in self.do(self.desk, "list", "organisation", *args, "--json").lines()]
        self.assertEqual(names("--sort", "employees"), ["第1家", "第2家", "第3家"])
        self.assertEqual(names("--sort", "-职工人数", "--limit", "1"), ["第3家"])
        self.assertEqual(sorted(names("街道=大营门街道")), ["第2家", "第3家"])
        self.assertEqual(names("employees=1人", "kind="), ["第1家"])
        csv = self.do(self.desk, "list", "organisation", "--csv", "--columns", "name,employees", "--sort", "employees").out
        self.assertEqual(csv.splitlines()[0], "_id,name,employees")
        self.assertTrue(csv.splitlines()[1].endswith(",第1家,1"))
        types = {t["type"]: t["count"] for t in self.do(self.desk, "list", "--json").lines()}
        self.assertEqual(types["organisation"], 3)
        self.assertEqual(types["division"], 316)
        fields = {f["field"]: f for f in self.do(self.desk, "list", "organisation", "--fields", "--json").lines()}
        self.assertEqual(fields["site_id"]["type"], "ref(site)")
        self.assertIn("enterprise", [c["code"] for c in fields["kind"]["choices"]])
        self.do(self.desk, "list", "organisation", "--sort", "没有", code=2)

    def test_import_takes_this_district_and_twice_changes_nothing(self):
        sheet = os.path.join(SAMPLE, "organisations.csv")
        first = self.do(self.desk, "import", "organisation", sheet, "--filter", f"district_code={AREA}", "--json").json()
        self.assertEqual(first["rows"], 20000)
        self.assertEqual((first["accepted"], first["rejected"]), (1099, 0))
        self.assertEqual(first["accepted"] + first["filtered"], 20000)
        again = self.do(self.desk, "import", "organisation", sheet, "--filter", f"district_code={AREA}", "--json").json()
        self.assertEqual((again["accepted"], again["changesets"], again["skipped"]), (0, 0, 1099))
        branches = self.do(self.desk, "import", "branch", os.path.join(SAMPLE, "branches.csv"), "--filter",
                           f"district_code={AREA}", "--json").json()
        self.assertEqual(branches["accepted"], 106)
        links = self.do(self.desk, "import", "coverage", os.path.join(SAMPLE, "coverage.csv"), "--json", code=3).json()
        self.assertEqual((links["accepted"], links["accepted"] + links["rejected"]), (883, 16184))
        self.assertTrue(os.path.exists(os.path.join(links["kept"], "rejected.csv")))
        self.sync(self.desk)
        other = self.join("other")
        self.sync(self.desk)  # the other device's user is a record too
        self.assertEqual(self.do(self.desk, "dump").out, self.do(other, "dump").out)
        self.assertEqual(self.do(self.desk, "dump").out, self.srv("dump", "--as-device", "desk").out)

    def test_killed_import_goes_on_where_it_stopped(self):
        sheet = os.path.join(SAMPLE, "organisations.csv")
        args = ("import", "organisation", sheet, "--filter", f"district_code={AREA}", "--json")
        running = subprocess.Popen([tz.TAIZHANG, *args, "--data", self.desk], env=tz.environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            while running.poll() is None and not self.count():
                time.sleep(0.01)
        finally:
            running.kill()
            running.wait()
        before = self.count()
        self.assertGreater(before, 0)
        done = self.do(self.desk, *args).json()
        self.assertEqual((done["skipped"], done["accepted"]), (before, 1099 - before))
        self.assertEqual(self.count(), 1099)

    def count(self):
        return self.do(self.desk, "query", "select count(*) as n from organisation", "--json").json()["n"]

    def test_dump_holds_secrets_only_where_the_role_reads_them(self):
        self.do(self.desk, "add", "person", "name=某某人", "区=河西区", "legacy_no=P1")
        self.sync(self.desk)
        offices = {"desk": self.desk, "centre": self.join("centre", "C_LEAD", "120000"),
                   "field": self.join("field", "F_INSP", AREA)}
        self.sync(*offices.values())
        self.sync(*offices.values())
        for name, data in offices.items():
            dump = self.do(data, "dump").out
            self.assertEqual(dump, self.srv("dump", "--as-device", name).out, name)
            self.assertEqual("某某人" in dump, name == "desk", name)
            self.assertIn("P1", dump)

    def test_template_is_a_sheet_that_imports(self):
        sheet = self.path("sheet.csv")
        head = tz.taizhang("import", "organisation", "--template", "--data", self.desk).out
        columns = head.lstrip("\ufeff").strip().split(",")
        values = {"名称": "模板公司", "所属区": "河西区", "职工人数": "7"}
        with open(sheet, "w", encoding="utf-8") as f:
            f.write(head + ",".join(values.get(c, "") for c in columns) + "\r\n")
        done = self.do(self.desk, "import", "organisation", sheet, "--json").json()
        self.assertEqual((done["created"], done["rejected"]), (1, 0))
        self.assertEqual(self.show(self.desk, "模板公司")["fields"]["employees"], 7)

    def test_import_of_messy_rows_keeps_the_bad_ones_with_reasons(self):
        dry = self.do(self.desk, "import", "organisation", CASES, "--dry-run", "--json", code=3).json()
        self.assertEqual(self.do(self.desk, "list", "organisation", "--json").out, "")
        done = self.do(self.desk, "import", "organisation", CASES, "--json", code=3).json()
        for key in ("rows", "accepted", "skipped", "warned", "rejected", "review"):
            self.assertEqual(dry[key], done[key], key)
        twin = CASES.replace(".csv", ".gb18030.csv")
        again = self.do(self.desk, "import", "organisation", twin, "--json", code=3).json()
        self.assertEqual((again["encoding"], again["accepted"]), ("gb18030", 0))
        with open(os.path.join(done["kept"], "rejected.csv"), encoding="utf-8-sig") as f:
            header = f.readline().strip().split(",")
            self.assertEqual(header[-1], "错误说明")
            self.assertIn("塘古区", f.read())
        with open(os.path.join(done["kept"], "import.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["import_id"], done["import_id"])
        held = self.do(self.desk, "import", "organisation", CASES, "--all-or-nothing", "--json", code=8).json()
        self.assertEqual(held["accepted"], 0)

    def write(self, text):
        sheet = self.path("sheet.csv")
        with open(sheet, "w", encoding="utf-8") as f:
            f.write(text)
        return sheet

    def test_old_sheet_does_not_revert_what_others_saved_since(self):
        old = f"usci,name,区,address\n{USCI},甲公司,河西区,旧路\n"
        self.do(self.desk, "import", "organisation", self.write(old), "--json")
        self.sync(self.desk)
        other = self.join("other")
        self.do(other, "edit", "organisation", USCI, "address=新路")
        self.sync(other, self.desk)
        done = self.do(self.desk, "import", "organisation", self.write(old), "--json", code=3).json()
        self.assertEqual((done["review"], done["edited"], done["changesets"]), (1, 0, 0))
        with open(os.path.join(done["kept"], "rejected.csv"), encoding="utf-8-sig") as f:
            self.assertIn("新路 → 旧路", f.read())
        self.assertEqual(self.show(self.desk, USCI)["fields"]["address"], "新路")
        asked = self.do(self.desk, "import", "organisation", os.path.join(done["kept"], "rejected.csv"), "--update")
        self.assertIn("新路 → 旧路", asked.err)
        self.assertIn("甲公司", asked.err)
        self.assertEqual(self.show(self.desk, USCI)["fields"]["address"], "旧路")

    def test_files_that_are_no_sheets_are_refused_and_leave_no_folder(self):
        for text, word in (("", "empty"), ("PK\x03\x04", "Excel"), ("name;区\n", "semicolons"), ("a,b\n", "no known column")):
            refused = self.do(self.desk, "import", "organisation", self.write(text), code=8)
            self.assertIn(word, refused.err)
        kept = os.path.join(self.desk, "imports")
        self.assertEqual(os.listdir(kept) if os.path.isdir(kept) else [], [])

    def test_one_field_twice_is_a_slip(self):
        twice = self.do(self.desk, "add", "organisation", "name=甲", "名称=乙", "区=河西区", code=2)
        self.assertIn("name", twice.err)
        self.assertEqual(self.do(self.desk, "list", "organisation", "--json").out, "")

    def test_query_reads_and_only_reads(self):
        rid = self.add_org()
        rows = self.do(self.desk, "query", "select _id, name, 1.5 as x, null as y from organisation", "--json").lines()
        self.assertEqual(rows, [{"_id": rid, "name": "甲公司", "x": 1.5, "y": None}])
        csv = self.do(self.desk, "query", "select name, '=1+1' as f from organisation", "--csv").out
        self.assertEqual(csv, "name,f\r\n甲公司,\"'=1+1\"\r\n")
        for bad in ("delete from organisation", "select 1; select 2", "pragma user_version=9", "attach 'x' as y",
                    "select * from nothing", ""):
            self.do(self.desk, "query", bad, code=8)
        self.assertEqual(self.show(self.desk, USCI)["id"], rid)


if __name__ == "__main__":
    unittest.main()
