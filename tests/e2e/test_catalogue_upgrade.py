# SPDX-License-Identifier: Apache-2.0
"""Record types are data: a new type and a new field reach everybody without a line of C, and old and new clients work on the same rows.

The catalogue of the source is copied; the next version of it has a type `volunteer_team` and the fields `organisation.slogan` and `organisation.mascot` more. The server
and one office move to it, another office stays behind, a third was ahead of the server.
"""
import os
import re
import shutil

import world as w

NEW_TYPE = "60,volunteer_team,志愿服务队,volunteer team,1,own,,no,no,no,D,D,team_name\n"
NEW_FIELDS = """organisation,35,slogan,口号,slogan,str60,,no,,FD,no,field,,open,,,,5
organisation,36,mascot,吉祥物,mascot,str60,,no,,FD,no,field,,open,,,,5
volunteer_team,1,team_name,队名,team name,str60,,yes,,D,no,field,,open,,,,5
volunteer_team,2,org_id,所属组织,organisation,ref(organisation),,no,,D,no,field,,open,ignores,,,5
volunteer_team,3,members,人数,members,int,,no,,D,no,field,,open,,,,5
volunteer_team,4,district_code,所属区,district code,code6,,yes,,CD,no,field,,open,,,,5
"""
AREA = "120101"


def next_catalogue(folder):
    """The version after the shipped one, in @folder."""
    shutil.copytree(w.CATALOGUE, folder)
    for name, more in (("types.csv", NEW_TYPE), ("fields.csv", NEW_FIELDS)):
        with open(os.path.join(folder, name), "a", encoding="utf-8") as f:
            f.write(more)
    path = os.path.join(folder, "catalogue.csv")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    found = re.search(r"^version,(\d+)$", text, re.M)
    w.check(found, "the shipped catalogue has no version:", text)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(found[0], f"version,{int(found[1]) + 1}"))
    return folder


def fields(office, rtype, rid):
    return office.show(rtype, rid)["fields"]


def one(office, statement):
    lines = office("query", "--json", statement).lines()
    w.check(len(lines) == 1, statement, lines)
    return lines[0]


def slogan_of(office, rid):
    return one(office, f"select slogan from organisation where lower(hex(_id))='{rid}'")["slogan"]


class World:
    def __init__(self, folder):
        self.next = next_catalogue(os.path.join(folder, "catalogue"))
        self.server = w.Server(os.path.join(folder, "server"))
        self.folder = folder

    def join(self, name, role="D_CLERK", area=AREA):
        return w.Office(os.path.join(self.folder, name)).join(self.server, role, area)

    def upgrade(self):
        self.server.stop()
        self.server.env["TAIZHANG_CATALOGUE"] = self.next
        self.server.start()

    def settle(self, *offices):
        for _ in range(2):
            for office in offices:
                office.sync()


def fields_written_ahead_of_the_server_are_refused(world, ahead, older, rid):
    """The server cannot judge what it does not know: it refuses such a save as a whole, and takes it once it knows."""
    ahead.catalogue(world.next)
    seq = ahead("edit", "organisation", rid, "slogan=走在前面", "grid_no=7", "--json").json()["seq"]
    world.settle(ahead, older)
    w.check(ahead.balance()["refused"] == 1, "a field that the server lacks was not refused:", ahead.balance())
    w.check("grid_no" not in fields(older, "organisation", rid), "a part of a refused save arrived")
    ahead("withdraw", str(seq))
    ahead.edit("organisation", rid, "grid_no=7")
    world.settle(ahead, older)
    w.check(fields(older, "organisation", rid)["grid_no"] == "7", "what the server knows did not arrive from an office ahead of it")


def new_type_and_field_work_end_to_end(world, newer, centre, rid):
    w.check(fields(newer, "organisation", rid).get("mascot") == "阿福", "one of two new fields did not arrive")
    w.check(slogan_of(newer, rid) == "走在前面", "the new field did not arrive:", slogan_of(newer, rid))
    newer.edit("organisation", rid, "slogan=团结协作")
    team = newer.add("volunteer_team", "team_name=先锋队", f"org_id={rid}", "members=12")
    world.settle(newer, centre)
    w.check(slogan_of(centre, rid) == "团结协作", "the new field did not reach the centre")
    got = fields(centre, "volunteer_team", team)
    w.check((got["team_name"], got["members"], got["org_id"], got["district_code"]) == ("先锋队", 12, rid, AREA), got)
    newer.edit("volunteer_team", team, "members=13")
    world.settle(newer, centre)
    w.check(one(centre, "select members n from volunteer_team") == {"n": 13}, "an edit of the new type did not arrive")
    listed = centre("list", "volunteer_team", "--json").lines()
    w.check([line["id"] for line in listed] == [team], "list:", listed)
    w.check(centre.dump() == world.server.dump_as("centre"), "the centre's dump differs")
    return team


def an_old_client_edits_the_same_rows(world, newer, older, rid):
    """What it knows is right; what it does not know survives its edits."""
    world.settle(older)
    w.check("slogan" not in fields(older, "organisation", rid), "the old client shows a field it cannot know")
    older.edit("organisation", rid, "address=南京路1号", "employees=10", "employees_on=2017-05-01")
    newer.edit("organisation", rid, "slogan=同心同德", "registrar=市局")
    world.settle(older, newer)
    for office in (older, newer):
        got = fields(office, "organisation", rid)
        w.check((got["address"], got["employees"], got["registrar"]) == ("南京路1号", 10, "市局"), office.name, got)
    w.check(slogan_of(newer, rid) == "同心同德", "a concurrent edit by the old client took the new field")
    for n in range(3):
        older.edit("organisation", rid, f"address=南京路{n + 2}号")
        world.settle(older, newer)
    w.check(slogan_of(newer, rid) == "同心同德", "later edits by the old client took the new field")
    older("delete", "organisation", rid, "--reason", "误")
    world.settle(older)
    older("restore", "organisation", rid)
    world.settle(older, newer)
    w.check(slogan_of(newer, rid) == "同心同德", "deleting and restoring on the old client took the new field")
    w.check(not newer("cases", "--json").lines(), "edits of different fields opened cases")


def rows_of_an_unknown_type_wait(world, newer, older, team):
    done = older("list", "volunteer_team", ok=None)
    w.check(done.code == w.USAGE, "an unknown type is not a usage error:", done)
    w.check(older.sql("select type, lower(hex(id)) from raw_row") == [(60, team)], older.sql("select type, hex(id) from raw_row"))
    status = older.status()
    w.check(status.get("set_aside", 0) == 0, "rows of an unknown type count as damaged:", status)
    newer.edit("volunteer_team", team, "members=14")
    world.settle(newer, older)


def the_old_client_upgrades(world, older, rid, team):
    """Without the server: everything is there already."""
    world.server.stop()
    older.catalogue(world.next)
    w.check(slogan_of(older, rid) == "同心同德", "the value did not appear with the column:", slogan_of(older, rid))
    w.check(fields(older, "volunteer_team", team)["members"] == 14, "the raw row did not appear with its type")
    w.check(older.sql("select count(*) from raw_row") == [(0,)], "raw rows stayed")
    world.server.start()
    older.edit("volunteer_team", team, "members=15")
    world.settle(older)
    w.check(older.dump() == world.server.dump_as("older"), "dumps differ after the upgrade")
    w.check("volunteer_team" in older.dump() and "同心同德" in older.dump(), "the dump lacks the new type or field")


def an_office_goes_back_to_the_older_catalogue(world, older, rid, team):
    """An old program on a new database: what it does not know any more is still there afterwards."""
    older.catalogue(w.CATALOGUE)
    older.edit("organisation", rid, "address=退回之后")
    world.settle(older)
    w.check(older.balance()["unaccounted"] == 0, older.balance())
    older.catalogue(world.next)
    got = fields(older, "organisation", rid)
    w.check((got["address"], got.get("slogan")) == ("退回之后", "同心同德"), "after going back and forth:", got)
    w.check(fields(older, "volunteer_team", team)["members"] == 15, "the new type's row is gone")


def a_server_on_an_older_catalogue_does_not_start(world, older):
    """It would judge by rules that the data has outgrown: exit 9, nothing touched."""
    world.server.stop()
    world.server.env["TAIZHANG_CATALOGUE"] = w.CATALOGUE
    w.check(world.server.start(ok=False) == w.INCOMPATIBLE, "a server on an older catalogue than its data starts:", world.server.tail())
    world.server.env["TAIZHANG_CATALOGUE"] = world.next
    world.server.start()
    world.settle(older)


def a_catalogue_grows_without_c():
    with w.world() as folder:
        world = World(folder)
        with w.running(world.server):
            older, newer, ahead = world.join("older"), world.join("newer"), world.join("ahead")
            centre = world.join("centre", "C_SUPER", "120000")
            rid = older.add("organisation", "name=海河公司", "address=旧址")
            world.settle(older, newer, ahead)
            fields_written_ahead_of_the_server_are_refused(world, ahead, older, rid)
            world.upgrade()
            ahead.edit("organisation", rid, "slogan=走在前面")
            ahead.edit("organisation", rid, "mascot=阿福")
            world.settle(ahead)
            newer.catalogue(world.next)
            centre.catalogue(world.next)
            world.settle(newer, centre)
            team = new_type_and_field_work_end_to_end(world, newer, centre, rid)
            an_old_client_edits_the_same_rows(world, newer, older, rid)
            rows_of_an_unknown_type_wait(world, newer, older, team)
            the_old_client_upgrades(world, older, rid, team)
            an_office_goes_back_to_the_older_catalogue(world, older, rid, team)
            a_server_on_an_older_catalogue_does_not_start(world, older)
            for office in (older, newer, ahead, centre):
                office.catalogue(world.next)
                world.settle(office)
                w.check(office.dump() == world.server.dump_as(office.name), office.name, "differs from the server")
                w.check(office.balance()["unaccounted"] == 0, office.name, office.balance())


if __name__ == "__main__":
    w.main(a_catalogue_grows_without_c)
