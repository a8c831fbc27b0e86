# SPDX-License-Identifier: Apache-2.0
"""The replica is an ordinary database: `taizhang query`, the sqlite3 shell and Python read one table and get one answer."""
import os

import world as w

ROWS = {"120101": 3, "120102": 5}
GROUPED = "select district_code, count(*) from organisation group by 1"


def shell(path, statement):
    return w.run(["sqlite3", "-readonly", path, statement]).out


def both_read_the_same_table():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            for area, count in ROWS.items():
                office = w.Office(os.path.join(folder, area)).join(server, "D_CLERK", area)
                for n in range(count):
                    office.add("organisation", f"name={area}第{n}家", f"employees={n}", "employees_on=2017-05-01")
                office.sync()
            centre = w.Office(os.path.join(folder, "centre")).join(server, "C_LEAD", "120000")
            told = {line["district_code"]: line["count(*)"] for line in centre("query", "--json", GROUPED).lines()}
            w.check(told == ROWS, "query says", told)
            plain = shell(centre.database(), GROUPED)
            w.check(plain == "".join(f"{area}|{n}\n" for area, n in sorted(ROWS.items())), "the shell says", plain)
            for path in (centre.database(), os.path.join(server.data, "server.db")):
                w.check(shell(path, "select sum(employees), max(employees_on) from organisation") == "13|2017-05-01\n", path)
            text = centre("query", GROUPED).out
            w.check(all(f"{n}" in text and area in text for area, n in ROWS.items()), "the table for people:", text)


def query_only_reads():
    with w.world() as folder:
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            office = w.Office(os.path.join(folder, "120101")).join(server, "D_CLERK", "120101")
            rid = office.add("organisation", "name=只读")
            for statement in ("delete from organisation", "update organisation set name='x'", "pragma user_version=99",
                              "attach '/dev/null' as other", "select 1; delete from organisation", "create table t(a)"):
                done = office("query", statement, ok=None)
                w.check(done.code == w.BAD_INPUT, statement, "exits", done)
            w.check(shell(office.database(), "select lower(hex(_id)), name from organisation") == f"{rid}|只读\n", "something was written")
            w.check(shell(office.database(), "pragma user_version") != "99\n", "user_version was written")


if __name__ == "__main__":
    w.main(both_read_the_same_table, query_only_reads)
