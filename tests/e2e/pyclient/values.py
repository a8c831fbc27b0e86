# SPDX-License-Identifier: Apache-2.0
"""Catalogue, canonical values, record bodies, ids and versions: proto/README.md, section 1, in Python.

Written from the specification and the catalogue tables alone. Values in Python: TEXT is str, INT is int, BLOB is bytes, NULL is
an absent key. It has no defaults, no required-field checks and no merge: those are the server's.
"""
import csv
import datetime
import json
import os
import re
import secrets
import struct
import time
import unicodedata

TEXT_MAX = 64 * 1024
BODY_MAX = 256 * 1024
SET_MAX = 1000
NUMBER_MAX = 2**53 - 1
JSON_DEPTH_MAX = 32
_UTC8 = datetime.timezone(datetime.timedelta(hours=8))
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
INSTANTS = tuple((datetime.datetime(*day, tzinfo=_UTC8) - _EPOCH) // datetime.timedelta(milliseconds=1)
                 for day in ((1000, 1, 1), (9999, 12, 31, 23, 59, 59, 999000)))


class Damaged(ValueError):
    """Bytes or a value that are not in the one canonical form."""


# ---- catalogue -----------------------------------------------------------------------------------------------------------

class Field:
    def __init__(self, row, enums):
        self.id = int(row["id"])
        self.name = row["field"]
        self.visibility = row["visibility"]
        match = re.fullmatch(r"(str|code|int|ref|refs)?(?:\(?(\w+)\)?)?", row["ftype"])
        base, argument = match.groups() if match and match.group(1) else (row["ftype"], None)
        self.kind = base
        self.size = int(argument) if base in ("str", "code", "int") and argument else None
        self.target = argument if base in ("ref", "refs") else None
        self.codes = enums.get(row["enum"], frozenset())

    @property
    def wire(self):
        if self.kind in ("bool", "int", "dec1", "money", "instant"):
            return "INT"
        return "BLOB" if self.kind in ("ref", "digest") else "TEXT"


class Type:
    def __init__(self, row):
        self.id = int(row["id"])
        self.name = row["type"]
        self.tier = int(row["tier"])
        self.fields = {}  # name -> Field
        self.by_id = {}


class Catalogue:
    """The CSV tables of one folder."""

    def __init__(self, folder):
        def rows(name):
            with open(os.path.join(folder, name + ".csv"), encoding="utf-8", newline="") as f:
                return list(csv.DictReader(f))

        self.version = next(int(r["value"]) for r in rows("catalogue") if r["key"] == "version")
        enums = {}
        for row in rows("enums"):
            enums.setdefault(row["enum"], set()).add(row["code"])
        self.types = {r["type"]: Type(r) for r in rows("types")}
        self.by_id = {t.id: t for t in self.types.values()}
        for row in rows("fields"):
            field = Field(row, enums)
            owner = self.types[row["type"]]
            owner.fields[field.name] = field
            owner.by_id[field.id] = field
        self.tiers = sorted({t.tier for t in self.types.values()})


# ---- canonical values ----------------------------------------------------------------------------------------------------

WHITE = "".join(map(chr, (*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F,
                          0x2060, 0x3000, 0xFEFF)))
CODE = re.compile(r"[A-Za-z0-9_.-]{1,63}")
SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]*)?[eE][+-][0-9]+")


def canonical_text(text, lines=False):
    """NFC, LF line ends, trimmed; "" becomes None. @lines: LF and tab may stand inside."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip(WHITE)
    if any(unicodedata.category(c) == "Cc" and not (lines and c in "\n\t") for c in text):
        raise Damaged("control character in a text")
    return text or None


def canonical_json(value, depth=0):
    """RFC 8785 of whole numbers, texts, lists and objects; key order is that of UTF-16 code units."""
    if depth >= JSON_DEPTH_MAX and isinstance(value, (list, dict)):
        raise Damaged("json nested too deep")
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        if abs(value) > NUMBER_MAX:
            raise Damaged("number beyond 2^53 - 1")
        return str(value)
    if isinstance(value, str):
        if "\0" in value:
            raise Damaged("U+0000 in json")
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(canonical_json(v, depth + 1) for v in value) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda k: k.encode("utf-16-be"))
        return "{" + ",".join(canonical_json(k) + ":" + canonical_json(value[k], depth + 1) for k in keys) + "}"
    raise Damaged(f"{type(value).__name__} in json")


def canonical_date(text):
    """A real day, month or year; the length is the precision."""
    if not re.fullmatch(r"[1-9][0-9]{3}(-[0-9]{2}(-[0-9]{2})?)?", text):
        raise Damaged("date")
    try:
        datetime.date.fromisoformat(text + "-01-01"[len(text) - 4:] if len(text) < 10 else text)
    except ValueError as e:
        raise Damaged("date") from e
    return text


def canonical_set(elements):
    if not isinstance(elements, list) or not all(isinstance(e, str) for e in elements):
        raise Damaged("not a list of codes")
    unique = sorted(set(elements), key=lambda e: e.encode())
    if len(unique) > SET_MAX or not all(map(CODE.fullmatch, unique)):
        raise Damaged("set element")
    return canonical_json(unique) if unique else None


def _canonical_str(field, value):
    text = canonical_text(value, field.kind == "text")
    if text is None:
        return None
    if field.kind == "enum" and text not in field.codes:
        raise Damaged(f"{field.name}: no such code")
    if field.kind == "str" and len(text) > field.size:
        raise Damaged(f"{field.name}: too long")
    if field.kind in ("str", "code") and SCIENTIFIC.fullmatch(text):
        raise Damaged(f"{field.name}: was a code once")
    if field.kind == "code" and not re.fullmatch(r"[0-9A-Za-z]{%d}" % field.size, text):
        raise Damaged(f"{field.name}: not a code of {field.size}")
    if field.kind == "date":
        return canonical_date(text)
    if len(text.encode()) > TEXT_MAX:
        raise Damaged(f"{field.name}: over {TEXT_MAX} bytes")
    return text


def canonical(field, value):
    """The one stored form of @value for @field, or None for NULL; Damaged when there is none."""
    if value is None:
        return None
    if field.kind == "set" or field.kind == "refs":
        value = [v.hex() if isinstance(v, bytes) else v for v in value]
        if field.kind == "set" and not set(value) <= field.codes:
            raise Damaged(f"{field.name}: no such code")
        if field.kind == "refs" and not all(re.fullmatch("[0-9a-f]{32}", v) for v in value):
            raise Damaged(f"{field.name}: not ids")
        return canonical_set(value)
    if field.kind == "json":
        text = canonical_json(value)
        if len(text.encode()) > TEXT_MAX:
            raise Damaged(f"{field.name}: over {TEXT_MAX} bytes")
        return text
    if field.wire == "INT":
        value = int(value)
        least, most = 0, 1 if field.kind == "bool" else field.size if field.size is not None else NUMBER_MAX
        if field.kind == "instant":
            least, most = INSTANTS
        if not least <= value <= most:
            raise Damaged(f"{field.name}: out of range")
        return value
    if field.wire == "BLOB":
        if not isinstance(value, bytes) or len(value) != (32 if field.kind == "digest" else 16) or not any(value):
            raise Damaged(f"{field.name}: length")
        return value
    return _canonical_str(field, value)


# ---- record bodies -------------------------------------------------------------------------------------------------------

def put_varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def get_varint(data, at):
    """(number, next offset); minimal length and 64 bits are demanded."""
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Damaged("varint")
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            break
        shift += 7
    if (byte == 0 and shift) or number >= 2**64:
        raise Damaged("varint not minimal")
    return number, at


def put_value(number, value):
    """One field of a body: INT zigzag in wire type 0, TEXT and BLOB in wire type 2."""
    if isinstance(value, int):
        return put_varint(number << 3) + put_varint(value << 1 if value >= 0 else (-value << 1) - 1)
    raw = value.encode() if isinstance(value, str) else value
    if not raw:
        raise Damaged("an empty value is NULL")
    return put_varint(number << 3 | 2) + put_varint(len(raw)) + raw


def encode_body(rtype, values):
    """@values: field name -> canonical value."""
    items = sorted((rtype.fields[name].id, value) for name, value in values.items() if value is not None)
    body = b"".join(put_value(number, value) for number, value in items)
    if len(body) > BODY_MAX:
        raise Damaged("body over 256 KiB")
    return body


def scan_body(body):
    """[(field id, int or bytes)], refusing every encoding but the canonical one."""
    if len(body) > BODY_MAX:
        raise Damaged("body over 256 KiB")
    out, at, last = [], 0, 0
    while at < len(body):
        tag, at = get_varint(body, at)
        number, wire = tag >> 3, tag & 7
        if not last < number < 18000 or wire not in (0, 2):
            raise Damaged("tag")
        last = number
        value, at = get_varint(body, at)
        if wire == 2:
            if not value or value > len(body) - at:
                raise Damaged("length")
            value, at = body[at:at + value], at + value
        else:
            value = value >> 1 if not value & 1 else -(value + 1 >> 1)
        out.append((number, value))
    return out


def decode_body(rtype, body):
    """(field name -> value, [(unknown field id, raw value)]); a value in another than its canonical form is Damaged."""
    known, unknown = {}, []
    for number, value in scan_body(body):
        field = rtype.by_id.get(number)
        if field is None:
            unknown.append((number, value))
            continue
        if (field.wire == "INT") != isinstance(value, int):
            raise Damaged(f"{field.name}: wire type")
        known[field.name] = _check_value(field, value)
    return known, unknown


def _check_value(field, value):
    if field.wire == "TEXT":
        if len(value) > TEXT_MAX:
            raise Damaged(f"{field.name}: over {TEXT_MAX} bytes")
        try:
            value = value.decode()
            again = json.loads(value) if field.kind in ("set", "refs", "json") else value
        except (ValueError, RecursionError) as e:
            raise Damaged(f"{field.name}: text") from e
        if field.kind in ("enum", "set"):  # a code of a newer catalogue is kept
            if (canonical_set(again) if field.kind == "set" else CODE.fullmatch(value) and value) != value:
                raise Damaged(f"{field.name}: not canonical")
            return value
        if (canonical_json(again) if field.kind == "json" else canonical(field, again)) != value:
            raise Damaged(f"{field.name}: not canonical")
        return value
    if canonical(field, value) != value:
        raise Damaged(f"{field.name}: not canonical")
    return value


# ---- ids, clocks, versions -----------------------------------------------------------------------------------------------

def wall_ms():
    return time.time_ns() // 1_000_000


class IdMaker:
    """UUIDv7 ids that end in the device's number, ascending also when the clock goes back."""

    def __init__(self, device, clock=wall_ms):
        self.device, self.clock, self.ms, self.count = device, clock, 0, 0

    def make(self):
        now = self.clock()
        if now > self.ms:
            self.ms, self.count = now, 0
        else:
            self.count += 1
            if self.count > 0xFFF:
                self.ms, self.count = self.ms + 1, 0
        low = 0x8000_0000 | secrets.randbits(30)
        return self.ms.to_bytes(6, "big") + struct.pack(">HII", 0x7000 | self.count, low, self.device)


class Hlc:
    """Milliseconds << 16 | counter; grows with every tick."""

    def __init__(self, last=0, clock=wall_ms):
        self.last, self.clock = last, clock

    def tick(self):
        self.last = max(self.last + 1, self.clock() << 16)
        return self.last


def epoch_of(ver):
    return ver >> 48


def covers(area, district, street):
    """Whether @area (district, street) covers a record there (1.5)."""
    return area[0] == district and (not area[1] or area[1] == street)
