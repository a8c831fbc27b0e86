#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Do the replicas hold the server's data? Reads the SQLite files themselves and shares no code with the product: not its dump,
not its digests, not its codec. What a device should hold follows from the server's rows, the device's role and area in the server's
list, and the catalogue's CSV tables.

    compare_data.py SERVER.db CLIENT.db ...          compares; exit 1 names what differs
    compare_data.py --tree DIR                       every folder in DIR that has a server.db, with its client*.db

All of them must have come together before (every client at the server's newest version that concerns it).
"""
import csv
import glob
import os
import sqlite3
import sys

CITY = "120000"
SHOWN_MAX = 20


class Catalogue:
    """What the CSV tables say that matters for who holds what."""

    def __init__(self, folder):
        def rows(name):
            with open(os.path.join(folder, name), encoding="utf-8-sig", newline="") as f:
                return list(csv.DictReader(f))
        self.types = {r["type"]: r for r in rows("types.csv")}
        self.roles = {r["role"]: r for r in rows("roles.csv")}
        self.fields = {}
        for r in rows("fields.csv"):
            self.fields.setdefault(r["type"], {})[r["field"]] = r
        self.numbers = {t: {int(f["id"]): f for f in fields.values()} for t, fields in self.fields.items()}
        self.type_of_number = {int(r["id"]): name for name, r in self.types.items()}


class Row:
    def __init__(self, ver, district, street, values):
        self.ver, self.district, self.street, self.values = ver, district, street, values


def opened(path):
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
        raise SystemExit(f"{path} is damaged")
    return db


def tables(db):
    return {r[0] for r in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")}


def typed_rows(db, catalogue):
    """{(type, id): Row} of the tables that people see."""
    have = tables(db)
    out = {}
    for name, fields in catalogue.fields.items():
        if name not in have:
            continue
        for r in db.execute(f'SELECT * FROM "{name}"'):
            values = {f: r[f] for f in fields if f in r.keys() and r[f] is not None}
            out[name, bytes(r["_id"])] = Row(r["_ver"], r["_district"], r["_street"], values)
    return out


# ---- bodies: protobuf wire format, read by hand ----

def varint(b, at):
    value = shift = 0
    while True:
        byte = b[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def body(b, fields):
    """{field: value} of a record body; fields that the catalogue lacks are passed over."""
    values, at = {}, 0
    while at < len(b):
        key, at = varint(b, at)
        if key & 7 == 0:
            value, at = varint(b, at)
            value = (value >> 1) ^ -(value & 1)
        elif key & 7 == 2:
            n, at = varint(b, at)
            value, at = bytes(b[at:at + n]), at + n
        else:
            raise SystemExit(f"a body with wire type {key & 7}")
        f = fields.get(key >> 3)
        if f:
            binary = f["ftype"].startswith("ref(") or f["ftype"] == "digest"
            values[f["field"]] = value if isinstance(value, int) or binary else value.decode("utf-8")
    return values


def confirmed(db, catalogue):
    """A client's rows as the server last gave them: records with own edits on top have their image aside."""
    out = typed_rows(db, catalogue)
    for r in db.execute("SELECT type, id, state, ver, district, street, body FROM _shadow"):
        name = catalogue.type_of_number.get(r["type"])
        key = (name, bytes(r["id"]))
        out.pop(key, None)
        if r["state"] == 1 and name:
            out[key] = Row(r["ver"], r["district"], r["street"], body(r["body"], catalogue.numbers[name]))
    return out


# ---- where a record belongs ----

def text(row, field):
    value = row.values.get(field)
    return value if isinstance(value, str) else ""


def own_area(row):
    district, street = text(row, "district_code"), text(row, "street_code")
    district = district or street[:6]
    return district, street if street.startswith(district) and district else ""


def of_city_row(kind, row):
    code = text(row, "code") if kind == "division" else text(row, "district_code")
    if len(code) < 6 or code[2:6] == "0000":
        return "", ""
    return code[:6], code if len(code) == 9 else ""


def area_of(catalogue, rows, kind, row, depth=0):
    """(district, street) by the catalogue's rule; None where it cannot be followed (a deleted parent, a case of two records)."""
    rule = catalogue.types[kind]["area_rule"]
    if rule == "city":
        return "", ""
    if rule == "own":
        return own_area(row)
    field = catalogue.types[kind]["area_field"]
    ftype = catalogue.fields[kind][field]["ftype"]
    above = ftype[4:-1]
    if above == "any":
        above = text(row, catalogue.fields[kind][field]["any_type_field"])
        above = "division" if above == "district" else above
    parent = rows.get((above, row.values.get(field)))
    if parent is None or depth > 32 or row.values.get("other_id"):
        return None
    if catalogue.types[above]["area_rule"] == "city":
        return of_city_row(above, parent)
    return area_of(catalogue, rows, above, parent, depth + 1)


def reads(area, row):
    """Does a device of that division code hold the row?"""
    if row.district == "" or area == CITY:
        return True
    return row.district == area[:6] and (len(area) == 6 or row.street == area)


# ---- comparing ----

def misplaced(catalogue, rows):
    out = []
    for (kind, rid), row in rows.items():
        want = area_of(catalogue, rows, kind, row)
        if want is not None and want != (row.district, row.street):
            out.append(f"server: {kind} {rid.hex()} lies in {row.district}/{row.street}, belongs to {want[0]}/{want[1]}")
    return out


def due(catalogue, rows, device):
    """What the device should hold."""
    role = catalogue.roles[device["role"]]
    if role["reads_business"] != "yes":
        return {}
    out = {}
    for key, row in rows.items():
        if not reads(device["area"], row):
            continue
        values = {f: v for f, v in row.values.items()
                  if role["reads_secret"] == "yes" or catalogue.fields[key[0]][f]["visibility"] != "secret"}
        out[key] = Row(row.ver, row.district, row.street, values)
    return out


def differences(name, want, have):
    out = [f"{name}: {k[0]} {k[1].hex()} is missing" for k in want.keys() - have.keys()]
    out += [f"{name}: {k[0]} {k[1].hex()} should not be there" for k in have.keys() - want.keys()]
    for key in want.keys() & have.keys():
        w, h = want[key], have[key]
        if (w.ver, w.district, w.street) != (h.ver, h.district, h.street):
            out.append(f"{name}: {key[0]} {key[1].hex()} is of {h.ver} in {h.district}/{h.street}, the server's of {w.ver} in "
                       f"{w.district}/{w.street}")
        elif w.values != h.values:
            fields = sorted(f for f in w.values.keys() | h.values.keys() if w.values.get(f) != h.values.get(f))
            out.append(f"{name}: {key[0]} {key[1].hex()} differs in {', '.join(fields)}")
    return out


def compare(server, clients, folder):
    """(rows compared, differences)."""
    catalogue = Catalogue(folder)
    central = opened(server)
    rows = typed_rows(central, catalogue)
    wrong, compared = misplaced(catalogue, rows), 0
    for path in clients:
        db = opened(path)
        office = db.execute("SELECT device, filling FROM office").fetchone()
        device = central.execute("SELECT name, role, area, revoked, until_ms, last_seen_ms FROM device WHERE number=?",
                                 (office["device"],)).fetchone()
        if device is not None and device["revoked"]:
            continue  # whoever was shut out is owed nothing; that nothing is left there has a test of its own
        if device is None or office["filling"]:
            wrong.append(f"{path}: the device is unknown or still filling")
            continue
        ended = 0 < device["until_ms"] <= device["last_seen_ms"]  # it was here since: it was told, and holds nothing
        want = {} if ended else due(catalogue, rows, device)
        compared += len(want)
        wrong += differences(device["name"], want, confirmed(db, catalogue))
        db.close()
    central.close()
    return compared, wrong


def catalogue_folder():
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "common", "catalogue")


def must_be_the_same(server, clients):
    """For tests: fails with what differs."""
    compared, wrong = compare(server, clients, catalogue_folder())
    if wrong:
        raise AssertionError("\n".join(wrong[:SHOWN_MAX] + [f"{len(wrong)} differences"]))
    print(f"same data: {compared} rows of {len(clients)} replicas, compared by hand", flush=True)


def main(argv):
    sets = [(argv[0], argv[1:])] if argv and argv[0] != "--tree" else []
    if argv and argv[0] == "--tree":
        for server in sorted(glob.glob(os.path.join(argv[1], "*", "server.db"))):
            clients = sorted(glob.glob(os.path.join(os.path.dirname(server), "client*.db")))
            sets += [(server, clients)] if clients else []  # all of its devices are shut out
    if not sets or not all(clients for _, clients in sets):
        print(__doc__, file=sys.stderr)
        return 2
    total = bad = 0
    for server, clients in sets:
        compared, wrong = compare(server, clients, catalogue_folder())
        total, bad = total + compared, bad + len(wrong)
        for line in wrong[:SHOWN_MAX]:
            print(f"{os.path.dirname(server)}: {line}")
    print(f"same data: {total} rows of {sum(len(c) for _, c in sets)} replicas of {len(sets)} servers, {bad} differences")
    return 1 if bad or not total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
