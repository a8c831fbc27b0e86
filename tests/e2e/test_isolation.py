# SPDX-License-Identifier: Apache-2.0
"""P6: a device learns nothing about rows outside its grant, whatever it sends.

A device of 120101 sends every kind of request that can name a row, once with the id of a row of 120114 and once with an id that
never existed. The two answers must be the same bytes when seq, hash, mac and the ids it sent itself are blanked.

Which fields can name a row is not a list somebody remembered: the descriptors of sync.proto are walked, and every `bytes` field of a
message that a client sends must be classified in BYTES below. A new message, field, op kind or choice without a class fails the build (--classified).
References inside record bodies come from the catalogue's tables in the same way.
"""
import csv
import hashlib
import os
import sys
import tempfile

import world as w

HOME, FOREIGN, NOWHERE = "120101", "120114", "129999"
TYPES_MADE_LEAST = 15

# ---- what a client can say ---------------------------------------------------------------------------------------------------

CLIENT = {"Hello", "Push", "ReOffer", "Offered", "Renumber", "LostRows", "Pull", "Cursor", "Ack", "Verify", "DigestRequest", "DigestKey", "Damage", "DamageBucket", "HistoryAsk", "WipeReceipt", "Enrol",
          "Ping", "Pong", "Error", "Changeset", "Op"}
SERVER = {"Welcome", "LostRange", "Area", "SessionUser", "Given", "OpResult", "Result", "SignedResult", "Results", "Row", "Rows", "Checkpoint",
          "Verified", "Digest", "DigestEntry", "DamageNoted", "Renumbered", "LostTaken", "WipeOrder", "WipeNoted", "Enrolled", "History", "HistoryEntry", "HistoryOp", "FieldStamp"}
ROW, BODY, NO = "names a row in a changeset", "a body whose references name rows", "names no row"
ASKED = "names a row in a question of its own"
BYTES = {
    "Hello.audit_hash": (NO, "hash of the public chain"),
    "Verify.audit_hash": (NO, "hash of the public chain"),
    "DigestRequest.ranges": (NO, "a set of hash ranges"),
    "DigestRequest.after_id": (NO, "a place in the order of ids, compared and never looked up; see digests_end_at_the_border"),
    "HistoryAsk.id": (ASKED, "see ask_by_history"),
    "Enrol.secret": (NO, "names an invitation; see invitations_look_alike"),
    "Enrol.csr": (NO, "the peer's own key"),
    "Push.changesets": (NO, "a Changeset, walked on its own"),
    "Changeset.former": (NO, "hash of an own changeset, looked up among this device's alone"),
    "Renumber.token": (NO, "names an own installation; another device's is refused like any unknown peer's mistake"),
    "Offered.changeset": (NO, "a Changeset, walked on its own: judged by the same rules as one in a Push"),
    "Offered.result": (NO, "an own answer of before, taken only with the server's own mac"),
    "Offered.mac": (NO, "proof of that answer"),
    "Changeset.user": (ROW, "a row of type user"),
    "Changeset.import_id": (ROW, "groups changesets; no row, but sixteen bytes that might be looked up"),
    "Changeset.signature": (NO, "reserved, empty"),
    "Op.id": (ROW, ""),
    "Op.other_id": (ROW, ""),
    "Op.values": (BODY, ""),
    "Op.target_hash": (NO, "hash of an own changeset"),
    "Op.note": (NO, "what the author of a step says: a text and a list of file names and hashes"),
    "Op.elements": (BODY, "elements of refs fields are ids in hex"),
}


def descriptor_is_covered(pb):
    """Every bytes field is classified; every op kind and choice has a case."""
    messages = pb.DESCRIPTOR.message_types_by_name
    w.check(set(messages) == CLIENT | SERVER, "messages without a side:", set(messages) ^ (CLIENT | SERVER))
    found = {f"{name}.{field.name}" for name in CLIENT for field in messages[name].fields if field.type == field.TYPE_BYTES}
    w.check(found == set(BYTES), "bytes fields without a class:", found ^ set(BYTES))
    w.check(set(pb.OpKind.keys()) == set(SHAPES), "op kinds without a case:", set(pb.OpKind.keys()) ^ set(SHAPES))
    w.check(set(pb.Choice.keys()) == set(CHOICES), "choices without a case:", set(pb.Choice.keys()) ^ set(CHOICES))
    return sorted(name for name, (kind, _) in BYTES.items() if kind == ROW)


# ---- the tables of the catalogue ---------------------------------------------------------------------------------------------


class Tables:
    def __init__(self, catalogue):
        self.catalogue = catalogue
        self.types = {r["type"]: r for r in rows("types")}
        self.fields = {}
        for r in rows("fields"):
            self.fields.setdefault(r["type"], []).append(r)
        self.enums = {}
        for r in rows("enums"):
            if r["retired"] != "yes":
                self.enums.setdefault(r["enum"], []).append(r["code"])

    def creatable(self, editor):
        return [t for t, r in self.types.items() if editor in r["create"] and r["server_only"] == "no"]

    def is_city(self, rtype):
        return self.types[rtype]["area_rule"] == "city"

    def references(self, rtype, editor):
        """(field row, [target types that have rows in a district])."""
        for r in self.fields[rtype]:
            if editor not in r["editors"] or not r["ftype"].startswith("ref"):
                continue
            if r["ftype"] == "ref(any)":
                yield r, [t for t in self.any_targets(rtype, r) if not self.is_city(t)]
            else:
                target = r["ftype"].partition("(")[2].rstrip(")")
                yield r, [] if self.is_city(target) else [target]

    def any_targets(self, rtype, field):
        kind = next(r for r in self.fields[rtype] if r["field"] == field["any_type_field"])
        return [t for t in (self.enums[kind["enum"]] if kind["enum"] else self.types) if t in self.types]


def rows(name):
    with open(os.path.join(w.CATALOGUE, name + ".csv"), encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


class Maker:
    """Fills the required fields of any type, making what they refer to."""

    def __init__(self, tables, device, area):
        self.tables, self.device, self.area, self.made, self.serial = tables, device, area, {}, 0
        self.refusals = {}

    def fields(self, rtype, **given):
        out = dict(given)
        for r in self.tables.fields[rtype]:
            name = r["field"]
            if name in out or (r["required"] != "yes" and name not in ("district_code", "street_code")) or r["default"]:
                continue
            if "D" not in r["editors"] and not (self.tables.types[rtype]["append"] == "yes" and "S" in r["editors"]):
                continue
            out[name] = self.value(rtype, r, out)
        return out

    def value(self, rtype, r, out):
        self.serial += 1
        base = r["ftype"].partition("(")[0]
        if r["field"] == "district_code":
            return self.area
        if r["field"] == "street_code":
            return self.street()
        if base == "ref":
            return self.reference(rtype, r, out)
        if base in ("enum", "set"):
            code = self.tables.enums[r["enum"]][0]
            if any(f.get("any_type_field") == r["field"] for f in self.tables.fields[rtype]):
                code = next(c for c in ("organisation", "branch", *self.tables.enums[r["enum"]]) if c in self.tables.enums[r["enum"]])
            return [code] if base == "set" else code
        if any(f.get("any_type_field") == r["field"] for f in self.tables.fields[rtype]):
            return "organisation"
        return simple_value(r["ftype"], self.serial)

    def street(self):
        division = self.tables.catalogue.types["division"]
        import values
        codes = [values.decode_body(division, row.body)[0]["code"] for row in self.device.live("division")]
        return next(c for c in sorted(codes) if len(c) == 9 and c.startswith(self.area))

    def reference(self, rtype, r, out):
        target = r["ftype"].partition("(")[2].rstrip(")")
        if target == "any":
            target = out.get(r["any_type_field"]) or "organisation"
        if self.tables.is_city(target):
            return self.device.live(target)[0].id
        return self.make(target)

    def make(self, rtype):
        """Id of a record of @rtype that this device made; None when the server refuses it."""
        if rtype not in self.made:
            self.made[rtype] = self.fresh(rtype)
        return self.made[rtype]

    def fresh(self, rtype, **given):
        op = self.op(rtype, **given)
        result = send(self.device, [op])
        if result.outcome != 1:
            self.refusals[rtype] = (result.code, list(result.args))
            return None
        return op.id

    def op(self, rtype, **given):
        kind = 5 if self.tables.types[rtype]["append"] == "yes" else 1
        return self.device.create(rtype, kind=kind, **self.fields(rtype, **given))


def simple_value(ftype, serial):
    if ftype.startswith(("str", "text", "secret")):
        return f"t{serial}"
    if ftype.startswith("code"):
        return str(serial).zfill(int(ftype[4:]))
    if ftype == "date":
        return f"2017-05-{serial % 28 + 1:02d}"
    if ftype == "instant":
        return 1_500_000_000_000 + serial
    if ftype == "digest":
        return hashlib.sha256(str(serial).encode()).digest()
    if ftype == "json":
        return {"n": serial}
    return serial % 2 if ftype == "bool" else 1


# ---- asking ------------------------------------------------------------------------------------------------------------------


py = None  # the second implementation


def session_of(device):
    """One session per device, opened again after an error ended it."""
    if getattr(device, "session", None) is None:
        device.session = py.Session(device)
    return device.session


def hang_up(device):
    if getattr(device, "session", None):
        device.session.conn.close()
    device.session = None


def send(device, ops, **more):
    """Save, push, return the Result or the Error message."""
    key = device.save(ops)
    entry = device.outbox[key]
    changeset = py.pb.Changeset.FromString(entry["bytes"])
    for name, value in more.items():
        setattr(changeset, name, value)
    entry["bytes"] = changeset.SerializeToString(deterministic=True)
    try:
        w.check(session_of(device).push([key]), "no answer to a push")
        return device.result(key)
    except py.ServerError as e:
        hang_up(device)
        del device.outbox[key]
        device.meta["last_seq"] -= 1
        return py.pb.Error(code=e.code, args=e.args_given, fatal=e.fatal)


def blanked(answer, ids):
    """The answer without what differs by itself: seq, hash, version numbers, and the ids the device sent."""
    out = type(answer)()
    out.CopyFrom(answer)
    if isinstance(out, py.pb.Result):
        out.blocked_by = out.seq - out.blocked_by if out.blocked_by else 0
        out.ClearField("seq")
        out.ClearField("hash")
        out.ver, out.effective, out.received_ms = (1 if n else 0 for n in (out.ver, out.effective, out.received_ms))
    for holder in [out, *getattr(out, "ops", [])]:
        held = [hide(arg, ids) for arg in holder.args]
        del holder.args[:]
        holder.args.extend(held)
    return out.SerializeToString(deterministic=True)


def hide(text, ids):
    for one in ids:
        text = text.replace(one.hex() if isinstance(one, bytes) else one, "*")
    return text


class Interrogation:
    """Asks the same thing about several ids and compares."""

    def __init__(self, device):
        self.device, self.asked, self.outcomes = device, 0, {}

    def same(self, label, ids, build, **more):
        """@build(id) -> (ops, changeset fields); the answers for all @ids must be equal."""
        answers = {}
        for name, rid in ids.items():
            ops, fields = build(rid)
            answer = send(self.device, ops, **fields)
            follow = self.take_back(answer)
            answers[name] = (blanked(answer, [rid]), follow, answer)
            self.asked += 1
            self.outcomes[answer.code] = self.outcomes.get(answer.code, 0) + 1
        first = next(iter(answers.values()))
        for name, (bytes_, follow, answer) in answers.items():
            w.check(bytes_ == first[0] and follow == first[1], label, "tells", list(ids)[0], "from", name, "\n", first[2], "\n", answer)

    def take_back(self, answer):
        """Withdraw what was refused, so that the next question does not wait for it; this answer is compared as well."""
        if not isinstance(answer, py.pb.Result) or answer.outcome not in (py.pb.OUTCOME_REFUSED, py.pb.OUTCOME_WAITING):
            return b""
        return blanked(send(self.device, [py.pb.Op(kind=py.pb.OP_WITHDRAW, target_seq=answer.seq, target_hash=answer.hash)]), [])


# ---- one case per op kind -------------------------------------------------------------------------------------------------------

CHOICES = ("CHOICE_NONE", "CHOICE_MINE", "CHOICE_THEIRS", "CHOICE_TYPED")


def body_of(ask, rtype):
    """A harmless change of @rtype: its first plain text field."""
    import values
    kind = ask.catalogue.types[rtype]
    for r in ask.tables.fields[rtype]:
        if "D" in r["editors"] and r["ftype"].startswith(("str", "text")):
            return values.encode_body(kind, {r["field"]: "x"})
    return b""


def plain(ask, rtype):
    return {"values": body_of(ask, rtype), "base_ver": ask.head}


def only_base(ask, rtype):
    return {"base_ver": ask.head}


def whole(ask, rtype):
    import values
    return {"values": values.encode_body(ask.catalogue.types[rtype],
                                         {n: values.canonical(ask.catalogue.types[rtype].fields[n], v)
                                          for n, v in ask.maker.fields(rtype).items()})}


def of_set(ask, rtype):
    number = next((int(r["id"]) for r in ask.tables.fields[rtype] if r["ftype"] in ("set",) or r["ftype"].startswith("refs")), 1)
    return {"field": number, "elements": [b"x"], "base_ver": ask.head}


def event(ask, rtype):
    return {"action": "submit", "expected_state": "open", "expected_seq": 1}


def resolution(ask, rtype):
    return {"generation": 1, "choice": 1, "values": body_of(ask, "organisation"), "base_ver": ask.head}


def withdrawal(ask, rtype):
    return {"target_seq": 1, "target_hash": bytes(32)}


SHAPES = {"OP_NONE": only_base, "OP_CREATE": whole, "OP_SET": plain, "OP_ADD": of_set, "OP_REMOVE": of_set, "OP_APPEND": whole,
          "OP_VOID": only_base, "OP_EVENT": event, "OP_DELETE": only_base, "OP_RESTORE": only_base, "OP_MERGE": only_base,
          "OP_UNMERGE": only_base, "OP_RESOLVE": resolution, "OP_WITHDRAW": withdrawal}


class Ask:
    """Everything the cases need."""

    def __init__(self, world, tables):
        self.tables, self.catalogue = tables, tables.catalogue
        self.spy, self.maker = world["spy"], world["spy_maker"]
        self.there, self.moved, self.case = world["there"], world["moved"], world["case"]
        self.q = Interrogation(self.spy)
        self.head = session_of(self.spy).welcome.head

    def strange(self, like):
        """An id that never existed, by the same maker as @like."""
        maker = int.from_bytes(like[12:], "big")
        return py.v.IdMaker(maker).make()


def ask_by_id(ask, row_fields):
    """Each field that names a row x each op kind x each type with rows in the other district."""
    places = {**ask.there, "case": ask.case}
    for field in row_fields:
        for kind, shape in SHAPES.items():
            for rtype in (places if field == "Op.id" else ("organisation", "case")):
                ids = {"foreign": places[rtype], "never existed": ask.strange(places[rtype])}
                ask.q.same(f"{field} in {kind} of {rtype}", ids, lambda rid: question(ask, field, kind, shape, rtype, rid))


def question(ask, field, kind, shape, rtype, rid):
    own = ask.maker.made.get(rtype) or ask.maker.made["organisation"]
    op = py.pb.Op(kind=getattr(py.pb, kind), type=ask.catalogue.types[rtype].id, **shape(ask, rtype))
    if kind != "OP_WITHDRAW":
        op.id = own
    if kind in ("OP_CREATE", "OP_APPEND") and field != "Op.id":
        op.id = ask.spy.ids.make()
    if kind in ("OP_MERGE", "OP_UNMERGE"):
        op.other_id = own
    message, _, name = field.partition(".")
    if message == "Op":
        setattr(op, name, rid)
        return [op], {}
    return [op], {name: rid}


def ask_about_users(ask, foreign_user):
    ids = {"user of the other district": foreign_user, "never existed": ask.strange(foreign_user)}
    for kind, shape in SHAPES.items():
        ask.q.same(f"Changeset.user in {kind}", ids, lambda rid: question(ask, "Changeset.user", kind, shape, "organisation", rid))


def ask_by_own_id(ask):
    """Ids that end in the device's own number: a record it made that was moved away, and one it never made."""
    ids = {"moved away": ask.moved, "never existed": ask.spy.ids.make()}
    for kind, shape in SHAPES.items():
        if kind in ("OP_CREATE", "OP_APPEND"):
            continue
        for field in ("Op.id", "Op.other_id"):
            ask.q.same(f"own {field} in {kind}", ids, lambda rid: question(ask, field, kind, shape, "organisation", rid))
    # That the device made it is no news to it; where it is now must not show.
    own = {"moved away": ask.moved, "still here": ask.maker.made["organisation"]}
    ask.q.same("own Op.id in OP_CREATE", own, lambda rid: question(ask, "Op.id", "OP_CREATE", whole, "organisation", rid))


def ask_by_choice(ask):
    ids = {"foreign": ask.case, "never existed": ask.strange(ask.case)}
    for choice in CHOICES:
        for life in (0, 18000):
            ask.q.same(f"RESOLVE {choice}", ids, lambda rid: (
                [py.pb.Op(kind=py.pb.OP_RESOLVE, type=ask.catalogue.types["case"].id, id=rid, generation=1, field=life,
                          choice=py.pb.Choice.Value(choice), values=body_of(ask, "organisation"), base_ver=ask.head)], {}))


def ask_by_reference(ask):
    """Every reference that a district may write, in a new record and in a change of an own one."""
    asked, left_out = [], []
    for rtype in ask.tables.creatable("D"):
        for field, targets in ask.tables.references(rtype, "D"):
            for target in targets:
                if target not in ask.there:
                    left_out.append(f"{rtype}.{field['field']} -> {target}")
                    continue
                ask_one_reference(ask, rtype, field, target)
                asked.append(f"{rtype}.{field['field']} -> {target}")
    return asked, left_out


def ask_by_element(ask):
    """ADD and REMOVE of one id in a set of references."""
    asked = 0
    for rtype in ask.tables.creatable("D"):
        for field, targets in ask.tables.references(rtype, "D"):
            for target in targets if field["ftype"].startswith("refs") else []:
                ids = {"foreign": ask.there[target], "never existed": ask.strange(ask.there[target])}
                for kind in ("OP_ADD", "OP_REMOVE"):
                    ask.q.same(f"{kind} in {rtype}.{field['field']}", ids, lambda rid: ([py.pb.Op(
                        kind=getattr(py.pb, kind), type=ask.catalogue.types[rtype].id, id=ask.maker.make(rtype) or ask.spy.ids.make(),
                        field=int(field["id"]), elements=[rid.hex().encode()], base_ver=ask.head)], {}))
                    asked += 1
    w.check(asked, "no set of references in the catalogue: Op.elements has no case")


def ask_one_reference(ask, rtype, field, target):
    name, many = field["field"], field["ftype"].startswith("refs")
    ids = {"foreign": ask.there[target], "never existed": ask.strange(ask.there[target])}
    if target == "organisation":
        ids.update({"moved away": ask.moved, "never made": ask.spy.ids.make()})

    def fields(rid):
        given = {name: [rid] if many else rid}
        if field["any_type_field"]:
            given[field["any_type_field"]] = target
        return given

    ask.q.same(f"new {rtype}.{name} -> {target}", ids, lambda rid: ([ask.maker.op(rtype, **fields(rid))], {}))
    kind, own = ask.catalogue.types[rtype], ask.maker.make(rtype)
    if ask.tables.types[rtype]["append"] == "yes" or own is None:
        return

    def change(rid):
        body = py.v.encode_body(kind, {n: py.v.canonical(kind.fields[n], value) for n, value in fields(rid).items()})
        return [py.pb.Op(kind=py.pb.OP_SET, type=kind.id, id=own, base_ver=ask.head, base_seq=ask.spy.meta["last_seq"], values=body)], {}

    ask.q.same(f"changed {rtype}.{name} -> {target}", ids, change)


# ---- other requests ---------------------------------------------------------------------------------------------------------------


def ask_by_area(spy):
    """Pull of an area outside the grant is refused the same way whether there is such an area or not."""
    answers = {}
    for district, street in ((FOREIGN, ""), (NOWHERE, ""), (FOREIGN, FOREIGN + "001"), (NOWHERE, NOWHERE + "001"), ("", FOREIGN + "001")):
        hang_up(spy)
        session = session_of(spy)
        session.conn.send("Pull", py.pb.Pull(cursors=[py.pb.Cursor(district="", tier=0), py.pb.Cursor(district=district, street=street, tier=1)]))
        frames = []
        try:
            while True:
                frame = session.conn.receive(5)
                w.check(frame is not None, "no answer to a pull of", district, street)
                frames.append(frame)
        except py.Closed:
            pass
        names = [kind for kind, _, _ in frames]
        w.check(names == ["Error"], "pull of", district, street, "is answered with", names)
        hang_up(spy)
        if district:
            answers[(district, street)] = blanked(frames[0][1], [street, district] if street else [district])
            w.check(frames[0][1].code == 63, frames[0][1])
    for street in ("", "001"):
        one, other = ((d, d + street if street else "") for d in (FOREIGN, NOWHERE))
        w.check(answers[one] == answers[other], "a pull tells", one, "from", other)


def until_closed(session, what):
    """Every frame that comes before the server hangs up."""
    frames = []
    try:
        while True:
            frame = session.conn.receive(5)
            w.check(frame is not None, "no answer to", what)
            frames.append(frame)
    except py.Closed:
        return frames


def digests_end_at_the_border(spy, there):
    """Buckets of another district are refused alike whether there is such a place or not; the order of ids tells nothing."""
    rtype, ranges = spy.catalogue.types["organisation"].id, b"\xff" * 32
    for street in ("", "001"):
        for more in ({"round": 2}, {"round": 3, "ranges": ranges}):
            answers = []
            for district in (FOREIGN, NOWHERE):
                hang_up(spy)
                session = session_of(spy)
                key = py.pb.DigestKey(type=rtype, district=district, street=district + street if street else "")
                session.conn.send("DigestRequest", py.pb.DigestRequest(keys=[key], **more))
                frames = until_closed(session, f"a digest of {district}")
                hang_up(spy)
                w.check([kind for kind, _, _ in frames] == ["Error"] and frames[0][1].code == 63, "a digest of", district, frames)
                answers.append(blanked(frames[0][1], [district + street, district]))
            w.check(answers[0] == answers[1], "a digest tells one district from another")
    catch_up(spy)
    session = session_of(spy)
    mine = {(r.type, r.district, r.street) for r in spy.live()}
    answer = session.digest(py.pb.DigestRequest(round=1))
    w.check({(e.type, e.district, e.street) for e in answer.entries} == mine and not answer.more, "keys of others are told")
    key = py.pb.DigestKey(type=rtype, district=HOME)
    before = int.from_bytes(there["organisation"], "big")
    told = [[r.id for r in session.digest(py.pb.DigestRequest(round=3, keys=[key], ranges=ranges, after_id=at.to_bytes(16, "big"))).rows]
            for at in (before - 1, before)]
    w.check(told[0] == told[1], "a place in the order of ids tells that a foreign record is there")


def ask_by_history(ask, world):
    """The history of a row next door is that of an id which never existed, whatever the spy tried on it before; and of what it tried,
    those next door are told nothing."""
    orgs = {"foreign": ask.there["organisation"], "deleted next door": world["deleted"], "moved away": ask.moved,
            "never existed": ask.strange(ask.there["organisation"])}
    cases = [("organisation", orgs)] + [(t, {"foreign": rid, "never existed": ask.strange(rid)}) for t, rid in ask.there.items()]
    cases.append(("case", {"foreign": ask.case, "never existed": ask.strange(ask.case)}))
    asked = 0
    for rtype, ids in cases:
        number = ask.catalogue.types[rtype].id
        for field, before in ((0, 0), (1, 0), (18000, 0), (0, 1 << 40)):
            answers = {name: session_of(ask.spy).history_page(number, rid, field, before).SerializeToString() for name, rid in ids.items()}
            w.check(len(set(answers.values())) == 1, "history of", rtype, "tells", answers)
            asked += 1
    number = ask.catalogue.types["organisation"].id
    own, _ = session_of(ask.spy).history(number, ask.maker.made["organisation"])
    w.check(own, "an own row has no history: the test compares nothing")
    spied = ask.spy.meta["device"]
    for device, rid in ((world["one"], ask.there["organisation"]), (world["centre"], ask.there["organisation"])):
        told, _ = session_of(device).history(number, rid)
        w.check(told and spied not in {e.device for e in told}, "attempts of a stranger are in the history:", told)
    return asked


def whole_answer(spy):
    """Rows and digest of the spy's scope, as the server tells and as the spy counts."""
    hang_up(spy)
    session = session_of(spy)
    session.pull()
    w.check(session.catch_up(), "no checkpoint")
    answer, count, digest = session.verify()
    w.check((answer.rows, answer.digest) == (count, digest), "the spy's own count and digest differ from the server's")
    return answer.rows, answer.digest


def counts_and_digests_stand_still(spy, neighbour, maker, server, name):
    """What happens next door moves nothing here: no row, no count, no digest, no dump."""
    before, dumped = whole_answer(spy), server.dump_as(name)
    for _ in range(3):
        w.check(maker.fresh("organisation"), maker.refusals)
    after = whole_answer(spy)
    w.check(before == after, "rows next door changed count or digest here:", before, after)
    w.check(dumped == server.dump_as(name), "rows next door changed the dump")
    areas = {(r.district, r.street[:6]) for r in spy.rows.values()}
    w.check(all(d in ("", HOME) for d, _ in areas), "rows of other districts are here:", areas)
    w.check(any(r.district == FOREIGN for r in neighbour.rows.values()), "the neighbour has no rows: the test compares nothing")


def invitations_look_alike(server, folder, catalogue):
    """A used invitation and one that never was are refused with one answer."""
    code = server.invite("D_CLERK", FOREIGN, "used")
    py.Device(os.path.join(folder, "used"), catalogue).enrol(code)
    used = py.Invitation.parse(code)
    never = py.Invitation(used.pin, b"\x01" * 16, used.address)
    answers = []
    for n, invitation in enumerate((used, never)):
        try:
            py.Device(os.path.join(folder, f"guess{n}"), catalogue).enrol(invitation.text())
            raise w.Failed("enrolled with a used or invented invitation")
        except py.ServerError as e:
            answers.append((e.code, e.args_given, e.fatal))
    w.check(answers[0] == answers[1], "a used invitation is told from one that never was:", answers)


# ---- the world ----------------------------------------------------------------------------------------------------------------


def enrolled(server, folder, tables, name, role, area):
    device = py.Device(os.path.join(folder, name), tables.catalogue)
    device.enrol(server.invite(role, area, name))
    device.save_state = lambda: None  # thousands of questions, and no power cut in this test
    catch_up(device)
    return device


def catch_up(device):
    hang_up(device)
    session = session_of(device)
    session.pull()
    w.check(session.catch_up(), "no checkpoint")


def a_case(tables, one, two, rid):
    """Two devices of one district change one field without having seen each other."""
    for device in (one, two):
        catch_up(device)
    seen = [d.read("organisation", rid) for d in (one, two)]
    for n, device in enumerate((one, two)):
        w.check(send(device, device.change(seen[n], address=f"版本{n}")).outcome in (1, 2), "the conflicting edit was refused")
    catch_up(one)
    w.check(one.live("case"), "no case came of it")
    return one.live("case")[0].id


def moved_away(server, tables, spy, maker, centre):
    """A record that the spy's device made, now in the other district."""
    rid = maker.fresh("organisation")
    catch_up(centre)
    result = send(centre, centre.change(centre.read("organisation", rid), district_code=FOREIGN))
    w.check(result.outcome == 1, "the centre could not move a record:", result)
    catch_up(spy)
    w.check((tables.catalogue.types["organisation"].id, rid) not in spy.rows, "the moved record stayed")
    return rid


def ask_by_key(ask, world):
    """A business key that a record next door has already is as good as a free one, and no case tells of the clash."""
    asked = []
    for r in rows("keys"):
        rtype, name = r["type"], r["fields"]
        field = next((f for f in ask.tables.fields[rtype] if f["field"] == name), None)  # keys of several fields name their own area
        if rtype not in ask.there or not field or "D" not in field["editors"] or not field["ftype"].startswith("str"):
            continue
        taken, free = (f"91120101{n:010d}" for n in (len(asked), 500 + len(asked)))
        w.check(world["one_maker"].fresh(rtype, **{name: taken}), "the neighbour could not take the key:", world["one_maker"].refusals)
        ask.q.same(f"new {rtype} with {name}", {"taken next door": taken, "free": free},
                   lambda key: ([ask.maker.op(rtype, **{name: key})], {}))
        asked.append(f"{rtype}.{name}")
    catch_up(world["spy"])
    w.check(asked and not world["spy"].live("case"), "keys", asked, "a case came of a clash with a foreign record")


def ask_about_children(ask, world, tables):
    """An own site at which only a record next door points is deleted as if nothing did."""
    spy, maker, centre = world["spy"], world["spy_maker"], world["centre"]
    watched, lonely = maker.fresh("site"), maker.fresh("site")
    child = maker.fresh("organisation", site_id=watched)
    catch_up(centre)
    w.check(send(centre, centre.change(centre.read("organisation", child), district_code=FOREIGN)).outcome == 1, "not moved")
    catch_up(spy)
    head = session_of(spy).welcome.head
    ask.q.same("DELETE of an own site", {"pointed at from next door": watched, "pointed at by nobody": lonely}, lambda rid: (
        [py.pb.Op(kind=py.pb.OP_DELETE, type=tables.catalogue.types["site"].id, id=rid, base_ver=head, base_seq=spy.meta["last_seq"])], {}))


def build(server, folder, tables):
    spy = enrolled(server, folder, tables, "spy", "D_CLERK", HOME)
    one = enrolled(server, folder, tables, "one", "D_CLERK", FOREIGN)
    two = enrolled(server, folder, tables, "two", "D_CLERK", FOREIGN)
    centre = enrolled(server, folder, tables, "centre", "C_SUPER", "120000")
    maker, foreign = Maker(tables, spy, HOME), Maker(tables, one, FOREIGN)
    for rtype in tables.creatable("D"):
        if not tables.is_city(rtype):
            foreign.make(rtype)
            maker.make(rtype)
    there = {t: rid for t, rid in foreign.made.items() if rid}
    w.check(len(there) >= TYPES_MADE_LEAST, "only", sorted(there), "could be made;", foreign.refusals)
    world = {"spy": spy, "spy_maker": maker, "one": one, "one_maker": foreign, "there": there,
             "case": a_case(tables, one, two, there["organisation"]), "moved": moved_away(server, tables, spy, maker, centre),
             "centre": centre, "foreign_user": bytes.fromhex(one.meta["user"])}
    deleted = foreign.fresh("organisation")
    catch_up(one)
    result = send(one, [py.pb.Op(kind=py.pb.OP_DELETE, type=tables.catalogue.types["organisation"].id, id=deleted,
                                 base_ver=session_of(one).welcome.head, base_seq=one.meta["last_seq"])])
    w.check(result.outcome == 1, "the neighbour could not delete:", result)
    world["deleted"] = deleted
    catch_up(spy)
    return world


def ask_by_deleted(ask, deleted):
    ids = {"deleted next door": deleted, "never existed": ask.strange(deleted)}
    for kind, shape in SHAPES.items():
        ask.q.same(f"deleted Op.id in {kind}", ids, lambda rid: question(ask, "Op.id", kind, shape, "organisation", rid))


def a_device_learns_nothing_about_foreign_rows():
    global py
    with w.world() as folder:
        py = w.load_protocol(os.path.join(folder, "pb"))
        row_fields = descriptor_is_covered(py.pb)
        tables = Tables(py.v.Catalogue(w.CATALOGUE))
        server = w.Server(os.path.join(folder, "server"))
        with w.running(server):
            world = build(server, folder, tables)
            ask = Ask(world, tables)
            ask_by_id(ask, row_fields)
            ask_about_users(ask, world["foreign_user"])
            ask_by_own_id(ask)
            ask_by_deleted(ask, world["deleted"])
            ask_by_choice(ask)
            asked, left_out = ask_by_reference(ask)
            ask_by_element(ask)
            ask_by_key(ask, world)
            ask_about_children(ask, world, tables)
            histories = ask_by_history(ask, world)
            ask_by_area(world["spy"])
            digests_end_at_the_border(world["spy"], world["there"])
            counts_and_digests_stand_still(world["spy"], world["one"], world["one_maker"], server, "spy")
            invitations_look_alike(server, folder, tables.catalogue)
        print(f"{ask.q.asked} questions; answers by code {dict(sorted(ask.q.outcomes.items()))}; fields {row_fields}; "
              f"types next door {sorted(world['there'])}")
        print(f"histories asked for: {histories}")
        print(f"references asked {len(asked)}; left out, because nothing can be made to point at: {left_out}")
        w.check(len(asked) >= 20, "only", asked)


if __name__ == "__main__":
    if sys.argv[1:] == ["--classified"]:  # at build time: no programs yet
        with tempfile.TemporaryDirectory() as folder:
            descriptor_is_covered(w.load_protocol(folder).pb)
        sys.exit(0)
    w.main(a_device_learns_nothing_about_foreign_rows)
