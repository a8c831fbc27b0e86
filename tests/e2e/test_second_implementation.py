# SPDX-License-Identifier: Apache-2.0
"""The Python client, written from proto/README.md alone, beside the real server and the real client.

One server and one C client for all cases; each case enrols Python devices of its own and works on records of its own, so the cases
stand in no order. pyclient/taizhang_py.py says what that client is.
"""
import atexit
import contextlib
import datetime
import hashlib
import itertools
import json
import os
import random
import subprocess
import unittest

import world
import odd_values  # world.py put pyclient/ on the path
import taizhang_py as py
import values as v

CATALOGUE = v.Catalogue(world.CATALOGUE)
DISTRICT, STREET, ELSEWHERE = "120101", "120101001", "120102"
C_ORGANISATIONS = [("911200000000000001", "海河甲公司", "10"), ("911200000000000002", "海河乙公司", "0"),
                   ("911200000000000003", "海河丙公司", "30")]
QUIET_S = 1.0  # long enough on loopback to see that nothing more comes

_stack = contextlib.ExitStack()
atexit.register(_stack.close)


def setUpModule():
    """The server, the C client "office" with three organisations, and the protocol module."""
    global folder, server, office, pb
    folder = _stack.enter_context(world.world())
    pb = world.load_protocol(os.path.join(folder, "pb")).pb
    server = world.Server(os.path.join(folder, "server"))
    _stack.enter_context(world.running(server))
    office = world.Office(os.path.join(folder, "office")).join(server, "D_CLERK", DISTRICT)
    for usci, name, employees in C_ORGANISATIONS:
        office.add("organisation", f"usci={usci}", f"name={name}", f"district_code={DISTRICT}", f"employees={employees}")
    office.sync()


def tearDownModule():
    _stack.close()


class Case(unittest.TestCase):
    numbers = itertools.count(1)

    def device(self, role="D_CLERK", area=DISTRICT):
        """A freshly enrolled device; its name on the server is its folder's."""
        name = f"py-{next(Case.numbers)}"
        device = py.Device(os.path.join(folder, name), CATALOGUE)
        device.enrol(server.invite(role, area, name))
        return device

    @contextlib.contextmanager
    def session(self, device, caught_up=True, **options):
        with py.Session(device, **options) as session:
            if caught_up:
                session.pull()
                self.assertTrue(session.catch_up())
            yield session

    def push(self, session, ops, **more):
        """Save and push; (outcome name, Result)."""
        key = session.device.save(ops, **more)
        self.assertTrue(session.push([key]))
        return self.outcome(session.device, key)

    def outcome(self, device, key):
        result = device.result(key)
        return pb.Outcome.Name(result.outcome).removeprefix("OUTCOME_"), result

    def organisation(self, session, name, **more):
        """A new organisation, applied and seen again in the feed; returns its id."""
        op = session.device.create("organisation", name=name, district_code=DISTRICT, **more)
        outcome, result = self.push(session, [op])
        self.assertEqual(outcome, "APPLIED", result)
        self.assertTrue(session.catch_up(result.ver))
        return op.id

    def assert_error(self, code, run):
        with self.assertRaises(py.ServerError) as caught:
            run()
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def assert_ended(self, conn, clean=True):
        """At most an Error follows, then the end, by close_notify when @clean."""
        with self.assertRaises(py.Closed) as caught:
            while True:
                self.assertEqual(py.expect(conn.receive(10))[0], "Error")
        self.assertIn(clean, (None, caught.exception.clean))

    def assert_verified(self, session):
        """Rows and digest equal the server's answer, at the same version."""
        answer, rows, digest = session.verify()
        self.assertEqual((rows, digest.hex()), (answer.rows, answer.digest.hex()))
        self.assertTrue(answer.audit_ok)
        return answer


class Enrolment(Case):
    def test_a_wrong_pin_is_refused_and_costs_nothing(self):
        code = server.invite("D_CLERK", DISTRICT, "wrong-pin")
        invitation = py.Invitation.parse(code)
        device = py.Device(os.path.join(folder, "wrong-pin"), CATALOGUE)
        forged = py.Invitation(bytes(32), invitation.secret, invitation.address)
        with self.assertRaises(py.PinMismatch):
            device.enrol(forged.text())
        device.enrol(code)  # the secret was not spent

    def test_the_invitation_has_one_text(self):
        code = server.invite("D_CLERK", DISTRICT, "one-text")
        self.assertEqual(py.Invitation.parse(code).text(), code)

    def test_same_key_again_is_the_same_device_and_another_key_is_refused(self):
        code = server.invite("D_CLERK", DISTRICT, "twice")
        device = py.Device(os.path.join(folder, "twice"), CATALOGUE)
        first, again = device.enrol(code), device.enrol(code)
        self.assertEqual((first.device, first.certificate, first.user), (again.device, again.certificate, again.user))
        self.assertEqual((first.name, first.role, first.area, len(first.user)), ("twice", "D_CLERK", DISTRICT, 16))
        thief = py.Device(os.path.join(folder, "thief"), CATALOGUE)
        error = self.assert_error(96, lambda: thief.enrol(code))
        self.assertTrue(error.fatal)
        device.enrol(code)

    def test_a_made_up_secret_is_refused(self):
        real = py.Invitation.parse(server.invite("D_CLERK", DISTRICT, "made-up"))
        device = py.Device(os.path.join(folder, "made-up"), CATALOGUE)
        self.assert_error(96, lambda: device.enrol(py.Invitation(real.pin, bytes(16), real.address).text()))

    def test_the_certificate_is_signed_by_the_ca(self):
        device = py.Device(os.path.join(folder, "signed"), CATALOGUE)
        enrolled = device.enrol(server.invite("D_CLERK", DISTRICT, "signed"))
        certificate, ca = map(py.x509.load_der_x509_certificate, (enrolled.certificate, enrolled.ca))
        ca.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes,
                               py.ec.ECDSA(certificate.signature_hash_algorithm))

    def test_an_enrolled_key_without_its_certificate_is_not_let_in(self):
        device = self.device()
        name = py.x509.Name([py.x509.NameAttribute(py.NameOID.COMMON_NAME, "own")])
        own = (py.x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(device.key().public_key())
               .serial_number(1).not_valid_before(datetime.datetime(2017, 1, 1))
               .not_valid_after(datetime.datetime(2099, 1, 1)).sign(device.key(), py.hashes.SHA256()))
        with open(os.path.join(device.folder, "cert.pem"), "wb") as f:
            f.write(own.public_bytes(py.serialization.Encoding.PEM))
        with self.assertRaises((py.Closed, py.ServerError)):
            py.Session(device)


class Opening(Case):
    def test_an_unknown_protocol_version_is_refused(self):
        device = self.device()
        error = self.assert_error(91, lambda: py.Session(device, protocol=2))
        self.assertTrue(error.fatal)
        py.Session(device).conn.close()

    def test_welcome_tells_the_grant(self):
        device = self.device()
        with py.Session(device) as session:
            welcome = session.welcome
        self.assertEqual((welcome.device, welcome.incarnation), (device.meta["device"], device.meta["incarnation"]))
        self.assertEqual({(a.district, a.street) for a in welcome.areas}, {py.CITY, (DISTRICT, "")})
        self.assertEqual((welcome.role, welcome.area, welcome.reads_secret), ("D_CLERK", DISTRICT, True))
        self.assertIn(device.meta["user"], [u.id.hex() for u in welcome.users if u.active])
        self.assertEqual((welcome.epoch, welcome.push_in_flight_max, welcome.rows_in_flight_max), (v.epoch_of(welcome.head), 8, 4))
        self.assertEqual(welcome.catalogue_version, CATALOGUE.version)

    def test_ping_is_answered_with_its_nonce(self):
        with py.Session(self.device()) as session:
            self.assertTrue(session.ping(2**63 + 5))

    def test_frames_that_break_the_rules_end_the_session(self):
        device = self.device()
        bad = {"unknown type": (99, 0, b"", 0), "server's type": (2, 0, b"", 0), "wrong lane": (8, 1, b"\x08\x01", 0),
               "second Hello": (1, 0, b"\x08\x01", 0), "ack of nothing": (8, 2, b"\x08\x01", 0), "damaged": (5, 2, b"\x0a\x7f", 0)}
        for why, (number, lane, body, flags) in bad.items():
            with self.subTest(why), py.Session(device) as session:
                session.conn.send_raw(number, lane, body, flags)
                error = self.assert_error(90 if why != "damaged" else 5, lambda: session.pump(lambda: False, 10))
                self.assertTrue(error.fatal)
                self.assert_ended(session.conn)

    def test_frames_wrong_in_the_header_end_the_connection(self):
        device = self.device()
        for why, (body, flags) in {"flags": (b"", 1), "over the cap": (bytes(py.FRAME_MAX + 1), 0)}.items():
            with self.subTest(why), py.Session(device) as session:
                with contextlib.suppress(py.Closed):  # it may hang up while we still send
                    session.conn.send_raw(11, 0, body, flags)
                self.assert_ended(session.conn, clean=None)

    def test_an_area_outside_the_grant_is_not_pulled(self):
        with py.Session(self.device()) as session:
            session.conn.send("Pull", pb.Pull(cursors=[pb.Cursor(district=ELSEWHERE, tier=1)]))
            self.assert_error(63, lambda: session.pump(lambda: False, 10))

    def test_nothing_but_a_hello_of_4_kib_opens(self):
        device = self.device()
        address = py.Invitation(b"", b"", device.meta["address"]).endpoint()
        files = (os.path.join(device.folder, "cert.pem"), os.path.join(device.folder, "key.pem"))
        large = pb.Hello(protocol=1, incarnation=1, lost_seqs=range(2**50, 2**50 + 1000)).SerializeToString()
        for number, body in ((11, b""), (5, b""), (20, b""), (1, large)):
            conn = py.Connection(address, bytes.fromhex(device.meta["pin"]), py.ALPN_SESSION, files)
            conn.send_raw(number, 0, body)
            self.assert_ended(conn, clean=None)
            conn.close()


class Down(Case):
    def test_the_district_is_pulled_whole_and_the_digest_is_the_servers(self):
        device = self.device()
        with self.session(device) as session:
            self.assert_verified(session)
            names = {device.confirmed("organisation", row.id)["name"] for row in device.live("organisation")}
            self.assertLessEqual({name for _, name, _ in C_ORGANISATIONS}, names)
            second = device.find("organisation", usci=C_ORGANISATIONS[1][0])
            self.assertEqual(device.confirmed("organisation", second[0])["employees"], 0)
            self.assertGreater(len(device.live("division")), 16)

    def test_the_state_on_disk_resumes_from_its_cursors(self):
        device = self.device()
        with self.session(device):
            pass
        again = py.Device(device.folder, CATALOGUE)
        self.assertEqual(again.digest(), device.digest())
        with self.session(again, caught_up=False) as session:
            session.pull()
            self.assertTrue(session.catch_up())
            self.assertLess(session.rows_seen, 50)
            self.assert_verified(session)

    def test_the_servers_dump_as_this_device_is_the_same_state(self):
        device = self.device()
        with self.session(device) as session:
            self.organisation(session, "倾出公司", usci="911200000000000201", employees=0, has_union=True, employees_on="2017-03")
            answer = self.assert_verified(session)
        rows = [dumped_row(json.loads(line)) for line in server.dump_as(os.path.basename(device.folder)).splitlines()]
        self.assertEqual(sorted(r.to_list() for r in rows), sorted(r.to_list() for r in device.live()))
        self.assertEqual((len(rows), py.digest_of(rows)), (answer.rows, answer.digest))

    def test_buckets_that_differ_are_found_and_their_rows_are_the_servers(self):
        device = self.device()
        with self.session(device) as session:
            self.assertEqual(session.differing_keys(), [])
            row = next(r for r in device.live("organisation"))
            body, row.body = row.body, row.body[:-1] + bytes([row.body[-1] ^ 1])
            lost = next(r for r in device.live("division") if len(r.street) == 0)
            del device.rows[(lost.type, lost.id)]
            keys = session.differing_keys()
            self.assertEqual(keys, sorted({(r.type, r.district, r.street) for r in (row, lost)}))
            buckets = session.differing_ranges(keys)
            self.assertEqual(buckets, sorted((r.type, r.district, r.street, py.range_of(r.id)) for r in (row, lost)))
            for bucket in buckets:
                for theirs in session.rows_of(bucket):
                    device.rows[(theirs.type, theirs.id)] = theirs
            self.assertEqual(device.rows[(row.type, row.id)].body, body)
            self.assertEqual(session.differing_keys(), [])
            self.assert_verified(session)
            session.conn.send("Damage", pb.Damage(ver=device.meta["checkpoint"], changed=1, missing=1))
            self.assertTrue(session.pump(lambda: session.noted) and session.noted[-1].noted)
            self.assertTrue(session.pump(lambda: device.live("incident")))

    def test_both_implementations_hold_the_same_bytes(self):
        device = self.device()
        with self.session(device) as session:
            self.organisation(session, "两家一样")
        office.sync()
        rows = [dumped_row(json.loads(line)) for line in office.dump().splitlines()]
        self.assertEqual(sorted(r.to_list() for r in rows), sorted(r.to_list() for r in device.live()))

    def test_no_more_frames_than_allowed_go_without_ack(self):
        device = self.device()
        with self.session(device, caught_up=False, auto_ack=False) as session:
            session.pull()
            while not session.checkpoints:  # the first load, acknowledged by hand
                session.pump(lambda: session.unacked, 10)
                session.ack()
            writer = self.device()
            with self.session(writer) as other:
                for n in range(8):
                    outcome, result = self.push(other, [writer.create("organisation", name=f"慢慢来{n}", district_code=DISTRICT)])
                    self.assertEqual(outcome, "APPLIED", result)
            self.assertFalse(session.pump(lambda: session.unacked > 4, QUIET_S))
            self.assertEqual(session.unacked, 4)
            session.auto_ack = True
            session.ack()
            self.assertTrue(session.catch_up(result.ver))
            self.assert_verified(session)

    def test_to_acknowledge_more_than_was_sent_is_an_error(self):
        with self.session(self.device()) as session:
            session.conn.send("Ack", pb.Ack(frames=1))
            self.assert_error(90, lambda: session.pump(lambda: False, 10))

    def test_a_street_sees_its_street_and_the_city(self):
        street, district = self.device("S_CLERK", STREET), self.device()
        with self.session(district) as session:
            inside = self.organisation(session, "街内公司", street_code=STREET)
            outside = self.organisation(session, "街外公司")
        with self.session(street) as session:
            self.assertEqual({(a.district, a.street) for a in session.welcome.areas}, {py.CITY, (DISTRICT, STREET)})
            self.assert_verified(session)
            self.assertIsNotNone(street.confirmed("organisation", inside))
            self.assertIsNone(street.confirmed("organisation", outside))
            with self.session(district) as mover:  # out of the street and in again, live
                for code, gone in ((None, True), (STREET, False)):
                    outcome, result = self.push(mover, district.change(district.read("organisation", inside), street_code=code))
                    self.assertEqual(outcome, "APPLIED", result)
                    self.assertTrue(mover.catch_up(result.ver) and session.catch_up(result.ver))
                    self.assertEqual(street.confirmed("organisation", inside) is None, gone)
            self.assert_verified(session)


class Up(Case):
    def test_edit_create_and_append_go_up_and_come_back(self):
        device = self.device()
        with self.session(device) as session:
            rid, = device.find("organisation", usci=C_ORGANISATIONS[0][0])
            edit = device.change(device.read("organisation", rid), employees=12, employees_on="2017-03-31")
            made = device.create("organisation", name="新做公司", district_code=DISTRICT, employees=0, has_union=False)
            visit = device.create("visit", pb.OP_APPEND, org_id=made.id, by_ref=bytes.fromhex(device.meta["user"]),
                                  visited_on="2017-04-01", way="on_site", note="甲\n乙")
            before = {op.id: device.rows.get((op.type, op.id)) for op in (*edit, made, visit)}
            keys = [device.save(ops) for ops in (edit, [made], [visit])]
            self.assertEqual(device.read("organisation", rid).shown["employees"], 12)  # the overlay
            self.assertTrue(session.push(keys))
            results = [device.result(key) for key in keys]
            self.assertEqual([self.outcome(device, key)[0] for key in keys], ["APPLIED"] * 3, results)
            self.assertLess(results[0].ver, results[1].ver)
            self.assertEqual([len(r.ops) for r in results], [1, 1, 1])
            self.assertTrue(session.catch_up(max(r.ver for r in results)))
            self.assertEqual([device.rows[(op.type, op.id)].ver for op in (*edit, made, visit)], [r.ver for r in results])
            self.assertTrue(any(before.values()))
            self.assertEqual(list(device.pending()), [])
            self.assertEqual(device.confirmed("organisation", rid)["employees"], 12)
            self.assertEqual(device.confirmed("organisation", made.id)["status"], "unverified")  # the catalogue's default
            self.assertEqual(device.confirmed("visit", visit.id)["note"], "甲\n乙")
            self.assert_verified(session)
        office.sync()
        shown = office.show("organisation", rid.hex())["fields"]
        self.assertEqual((shown["employees"], shown["employees_on"]), (12, "2017-03-31"))
        self.assertEqual(office.show("organisation", made.id.hex())["fields"]["name"], "新做公司")

    def test_resent_bytes_get_the_same_result_and_change_nothing(self):
        device = self.device()
        with self.session(device) as session:
            key = device.save([device.create("organisation", name="再送公司", district_code=DISTRICT)])
            self.assertTrue(session.push([key]))
            entry = dict(device.outbox[key])
            self.assertTrue(session.push([key]) and session.push([key]))
            self.assertEqual(device.outbox[key], entry)  # result and mac, byte for byte
        with self.session(device) as session:
            self.assertEqual(session.welcome.judged_seq, key[1])
            self.assertTrue(session.push([key]))
            self.assertEqual(device.outbox[key], entry)
            self.assertEqual(len(device.find("organisation", name="再送公司")), 1)
            self.assert_verified(session)

    def test_a_lost_answer_is_asked_for_again(self):
        device = self.device()
        key = device.save([device.create("organisation", name="断线公司", district_code=DISTRICT)])
        session = py.Session(device)
        session.conn.send("Push", session._one_push([key])[0])
        self.assertIsNotNone(session.conn.receive(10))  # the answer is on its way and we lose it
        session.conn.abort()
        self.assertEqual(device.unsent(), [key])
        with self.session(py.Device(device.folder, CATALOGUE)) as session:
            self.assertTrue(session.push())
            self.assertEqual(self.outcome(session.device, key)[0], "APPLIED")
            self.assertTrue(session.catch_up(session.device.result(key).ver))
            self.assertEqual(len(session.device.find("organisation", name="断线公司")), 1)

    def test_many_pushes_are_answered_in_order(self):
        device = self.device()
        with self.session(device) as session:
            keys = [device.save([device.create("organisation", name=f"多多{n}", district_code=DISTRICT)]) for n in range(40)]
            for key in keys:  # a frame each, at most as many in flight as Welcome allows
                if len(session.in_flight) == session.welcome.push_in_flight_max:
                    self.assertTrue(session.pump(lambda: len(session.in_flight) < session.welcome.push_in_flight_max))
                session.conn.send("Push", session._one_push([key])[0])
            self.assertTrue(session.pump(lambda: not session.in_flight))
            vers = [device.result(key).ver for key in keys]
            self.assertEqual(vers, sorted(set(vers)))
            self.assertTrue(session.catch_up(vers[-1]))
            self.assert_verified(session)

    def test_more_pushes_in_flight_than_allowed_are_an_error(self):
        device = self.device()
        keys = [device.save([device.create("organisation", name=f"太急{n}", district_code=DISTRICT)]) for n in range(48)]
        with py.Session(device) as session:
            frames = [session.conn.frame("Push", session._one_push([key])[0]) for key in keys]
            self.assertLess(len(b"".join(frames)), 16 * 1024)  # one TLS record, so the server sees all at once
            session.conn.tls.sendall(b"".join(frames))
            self.assert_error(90, lambda: session.pump(lambda: not session.in_flight))
        with self.session(device) as session:  # what was taken in has its result, the rest is sent again
            self.assertTrue(session.push(keys))
            self.assertEqual({self.outcome(device, key)[0] for key in keys}, {"APPLIED"})

    def test_a_hole_in_the_seqs_is_an_error(self):
        device = self.device()
        keys = [device.save([device.create("organisation", name=f"漏洞{n}", district_code=DISTRICT)]) for n in range(3)]
        with py.Session(device) as session:
            error = self.assert_error(70, lambda: session.push([keys[0], keys[2]]))
            self.assertEqual(error.args_given[:1], ["2"])
            self.assertEqual([self.outcome(device, key)[0] for key in keys], ["APPLIED", "NONE", "NONE"])
        with self.session(device) as session:  # nothing stuck: all three go through now
            self.assertTrue(session.push(keys))
            self.assertEqual([self.outcome(device, key)[0] for key in keys], ["APPLIED"] * 3)

    def test_a_declared_hole_is_passed_over(self):
        device = self.device()
        keys = [device.save([device.create("organisation", name=f"丢失{n}", district_code=DISTRICT)]) for n in range(3)]
        del device.outbox[keys[1]]
        with self.session(device, lost_seqs=[keys[1][1]]) as session:
            self.assertTrue(session.push())
            self.assertEqual([self.outcome(device, key)[0] for key in (keys[0], keys[2])], ["APPLIED"] * 2)

    def test_damaged_changesets_and_those_of_others_end_the_session(self):
        device, other = self.device(), self.device()
        foreign = other.save([other.create("organisation", name="别人", district_code=DISTRICT)])
        for data in (b"\x08", other.outbox[foreign]["bytes"]):
            with py.Session(device) as session:
                session.conn.send("Push", pb.Push(changesets=[data]))
                session.in_flight.append([])
                with self.assertRaises(py.ServerError) as caught:
                    session.pump(lambda: False, 10)
                self.assertIn(caught.exception.code, (5, 90))

    def test_what_cannot_be_written_is_refused_with_its_code(self):
        device = self.device()
        elsewhere = self.device(area=ELSEWHERE)
        with self.session(elsewhere) as session:
            op = elsewhere.create("organisation", name="外区公司", district_code=ELSEWHERE)
            self.assertEqual(self.push(session, [op])[0], "APPLIED")
        organisation = CATALOGUE.types["organisation"]
        seen_elsewhere = py.Seen(organisation, op.id, {}, (1, 0), {})
        never = py.Seen(organisation, device.ids.make(), {}, (1, 0), {})
        someone = device.create("organisation", name="冒名", district_code=DISTRICT)
        someone.id = someone.id[:12] + b"\0\0\0\1" if device.meta["device"] != 1 else someone.id[:12] + b"\0\0\0\2"
        untyped = pb.Op(kind=pb.OP_CREATE, type=9999, id=device.ids.make(), values=v.put_value(1, "x"))
        unnamed = device.create("organisation", district_code=DISTRICT)
        spaced = pb.Op(kind=pb.OP_CREATE, type=10, id=device.ids.make(), values=v.put_value(2, " x") + v.put_value(6, DISTRICT))
        out_of_area = device.create("organisation", name="越界", district_code=ELSEWHERE)
        central = device.create("division", code="129999", name="x", level="district")
        expected = [(device.change(seen_elsewhere, employees=1), 62), (device.change(never, employees=1), 62), ([someone], 64),
                    ([untyped], 42), ([unnamed], 45), ([spaced], 44), ([out_of_area], 63), ([central], 61)]
        with self.session(device) as session:
            for ops, code in expected:
                outcome, result = self.push(session, ops)
                self.assertEqual((outcome, result.code, result.ver), ("REFUSED", code, 0), (code, result))
            foreign, unknown = (device.result(key) for key in sorted(device.outbox)[:2])
            self.assertEqual((foreign.args, foreign.ops[0].args), (unknown.args, unknown.ops[0].args))  # one answer for both
            self.assert_verified(session)

    def test_a_body_in_another_encoding_is_refused(self):
        district, name = v.put_value(6, DISTRICT), v.put_value(2, "别样")
        bad = {"descending": district + name, "twice": name + name + district, "long varint": name + district + b"\xa0\x01\x80\x00",
               "wire type": name + district + b"\xa2\x01\x01x", "empty text": name + district + b"\x3a\x00",
               "field 18000": name + district + v.put_value(18000, 1), "cut short": name + district + b"\xa0"}
        device = self.device()
        with self.session(device) as session:
            for why, body in bad.items():
                with self.subTest(why):
                    op = pb.Op(kind=pb.OP_CREATE, type=10, id=device.ids.make(), values=body)
                    outcome, result = self.push(session, [op])
                    self.assertEqual((outcome, result.code), ("REFUSED", 66))

    def test_a_field_the_server_does_not_know_is_refused_whole(self):
        """It cannot judge who may write it, nor keep both words of a conflict: nothing is taken rather than something lost."""
        device = self.device(area=ELSEWHERE)
        body = v.put_value(2, "多一列") + v.put_value(6, ELSEWHERE) + v.put_value(500, "later")
        with self.session(device) as session:
            op = pb.Op(kind=pb.OP_CREATE, type=10, id=device.ids.make(), values=body)
            outcome, result = self.push(session, [op])
            self.assertEqual(outcome, "REFUSED", result)
            self.assertEqual(result.ops[0].code, 43, result)
            self.assertEqual(result.ver, 0)
            self.assert_verified(session)

    def test_the_server_takes_exactly_what_the_specification_calls_canonical(self):
        """Odd values of every kind: its verdict and ours agree."""
        device = self.device()
        with self.session(device) as session:
            branch = device.create("branch", name="试点支部", branch_type="branch", district_code=DISTRICT, established_on="2017")
            self.assertEqual(self.push(session, [branch])[0], "APPLIED")
            ops, ours = [], []
            for rtype, body in odd_values.bodies(CATALOGUE, DISTRICT, branch.id, random.Random(20170305)):
                ops.append(pb.Op(kind=pb.OP_CREATE, type=rtype.id, id=device.ids.make(), values=body))
                ours.append(odd_values.decodes(rtype, body))
            self.assertEqual({True, False}, set(ours))
            for at in range(0, len(ops), 200):
                _, result = self.push(session, ops[at:at + 200], independent=True)
                for op, mine, theirs in zip(ops[at:at + 200], ours[at:at + 200], result.ops):
                    self.assertIn(theirs.code, (0, 44, 46), theirs)
                    self.assertEqual(theirs.code == 0, mine, (op.values[-200:], theirs))
            self.assertTrue(session.catch_up(result.ver))
            self.assert_verified(session)

    def test_ops_of_a_save_stand_or_fall_together_unless_independent(self):
        device = self.device()
        with self.session(device) as session:
            for independent in (False, True):
                good = device.create("organisation", name=f"好{independent}", district_code=DISTRICT)
                bad = device.create("organisation", district_code=DISTRICT)
                outcome, result = self.push(session, [good, bad], independent=independent)
                self.assertEqual(outcome, "APPLIED" if independent else "REFUSED", result)
                if independent:
                    self.assertEqual([o.outcome for o in result.ops], [pb.OUTCOME_APPLIED, pb.OUTCOME_REFUSED])
                    self.assertTrue(session.catch_up(result.ver))
                self.assertEqual(len(device.find("organisation", name=f"好{independent}")), independent)

    def test_what_depends_on_a_refused_save_waits(self):
        device = self.device()
        with self.session(device) as session:
            refused, waiting, bad = self.refused_and_waiting(device)
            free = device.save([device.create("organisation", name="不相干", district_code=DISTRICT)])
            self.assertTrue(session.push([refused, waiting, free]))
            self.assertEqual([self.outcome(device, k)[0] for k in (refused, waiting, free)], ["REFUSED", "WAITING", "APPLIED"])
            self.assertEqual((device.result(waiting).blocked_by, device.unsent()), (refused[1], [waiting]))
            outcome, result = self.push(session, [device.withdrawal(waiting)])
            self.assertEqual((outcome, result.ver), ("APPLIED", 0), result)
            self.assertEqual(self.outcome(device, waiting)[0], "WITHDRAWN")  # told in the same Results
            self.assertEqual(device.unsent(), [])

    def test_a_mended_save_frees_what_waits(self):
        device = self.device()
        with self.session(device) as session:
            refused, waiting, bad = self.refused_and_waiting(device)
            self.assertTrue(session.push([refused, waiting]))
        with self.session(device) as session:
            bad.values = v.put_value(2, "补好公司") + v.put_value(6, DISTRICT)
            outcome, result = self.push(session, [bad])
            self.assertEqual(outcome, "APPLIED", result)
            self.assertTrue(session.push())  # the waiting one again, if the Results did not bring its outcome already
            outcome, result = self.outcome(device, waiting)
            self.assertEqual(outcome, "APPLIED", result)
            self.assertTrue(session.catch_up(result.ver))
            self.assertEqual(device.confirmed("organisation", bad.id)["employees"], 5)

    def refused_and_waiting(self, device):
        """A CREATE without its name, and an edit of that record; (key, key, the CREATE op)."""
        bad = device.create("organisation", district_code=DISTRICT)
        refused = device.save([bad])
        waiting = device.save([pb.Op(kind=pb.OP_SET, type=10, id=bad.id, base_seq=refused[1], values=v.put_value(20, 5))])
        return refused, waiting, bad

    def test_other_bytes_under_a_used_seq_are_held_as_a_fork(self):
        device = self.device()
        with self.session(device) as session:
            rid = self.organisation(session, "分叉公司")
        copy = py.Device(device.folder, CATALOGUE)  # the folder as it is now, twice
        with self.session(device) as session:
            first = device.save(device.change(device.read("organisation", rid), employees=1))
            self.assertTrue(session.push([first]))
        second = copy.save(copy.change(copy.read("organisation", rid), address="副本"))
        self.assertEqual(first, second)
        with self.session(copy) as session:
            for _ in range(2):
                self.assertTrue(session.push([second]))
                outcome, result = self.outcome(copy, second)
                self.assertEqual((outcome, result.code, result.ver), ("HELD", 71, 0), result)
            self.assertNotIn("address", copy.confirmed("organisation", rid))
            self.assert_verified(session)
        with self.session(device) as session:  # the first keeps its result
            entry = dict(device.outbox[first])
            self.assertTrue(session.push([first]))
            self.assertEqual((self.outcome(device, first)[0], device.outbox[first]), ("APPLIED", entry))


class Conflicts(Case):
    def test_a_stale_edit_leaves_a_case_that_arrives(self):
        device = self.device()
        with self.session(device) as session:
            rid = self.organisation(session, "争议公司", grid_no="1")
        stale = device.read("organisation", rid)
        office.sync()
        office.edit("organisation", rid.hex(), "grid_no=2")
        office.sync()
        with self.session(device) as session:  # the newer row comes, but the person still looks at the old one
            outcome, result = self.push(session, device.change(stale, grid_no="3"))
            self.assertIn(outcome, ("APPLIED", "SUPERSEDED"), result)
            case, = result.ops[0].cases
            self.assertTrue(session.catch_up(result.ver))
            row = device.confirmed("case", case)
            self.assertEqual((row["target_type"], row["target_id"], row["subject"], row["state"]),
                             ("organisation", rid, "grid_no", "open"))
            standing = device.confirmed("organisation", rid)["grid_no"]
            self.assertEqual(standing, "2" if outcome == "SUPERSEDED" else "3")
            self.assertIn("2" if standing == "3" else "3", row["candidates"])
            self.assert_verified(session)
            self.resolve(session, case, row, rid)
            self.assert_history(session, rid, case)

    def assert_history(self, session, rid, case):
        """Made, changed in two places, decided: newest first, and what stands is the decision's."""
        device, entries, first = session.device, *session.history(10, rid)
        self.assertEqual([e.ops[0].kind for e in entries], [pb.OP_RESOLVE, pb.OP_SET, pb.OP_SET, pb.OP_CREATE])
        self.assertEqual({e.device for e in entries} - {device.meta["device"]}, {entries[2].device})
        self.assertEqual([v.decode_body(CATALOGUE.types["organisation"], e.ops[0].values)[0]["grid_no"] for e in entries], ["4", "3", "2", "1"])
        self.assertEqual(entries[0].ops[0].case_id, case)
        self.assertEqual(list(entries[1].ops[0].cases), [case])
        self.assertEqual([(s.ver, s.resolved) for s in first.stamps if s.field == 8], [(entries[0].ver, True)])
        self.assertEqual(first.born, entries[3].ver)
        self.assertEqual(session.history(10, os.urandom(16)), ([], pb.History()))

    def resolve(self, session, case, row, rid):
        """A typed value closes the case."""
        device = session.device
        ver = device.rows[(CATALOGUE.types["case"].id, case)].ver
        op = pb.Op(kind=pb.OP_RESOLVE, type=CATALOGUE.types["case"].id, id=case, base_ver=ver, base_seq=device.meta["last_seq"],
                   generation=row["generation"], choice=pb.CHOICE_TYPED, values=v.put_value(8, "4"))
        outcome, result = self.push(session, [op])
        self.assertEqual(outcome, "APPLIED", result)
        self.assertTrue(session.catch_up(result.ver))
        self.assertEqual(device.confirmed("organisation", rid)["grid_no"], "4")
        self.assertEqual(device.confirmed("case", case)["state"], "closed")

    def test_edits_of_different_fields_need_no_case(self):
        device = self.device()
        with self.session(device) as session:
            rid = self.organisation(session, "并行公司")
        stale = device.read("organisation", rid)
        office.sync()
        office.edit("organisation", rid.hex(), "grid_no=7")
        office.sync()
        with self.session(device) as session:
            outcome, result = self.push(session, device.change(stale, address="河边路 1 号"))
            self.assertEqual((outcome, list(result.ops[0].cases)), ("APPLIED", []))
            self.assertTrue(session.catch_up(result.ver))
            both = device.confirmed("organisation", rid)
            self.assertEqual((both["grid_no"], both["address"]), ("7", "河边路 1 号"))

    def test_own_edits_in_a_row_are_no_conflict(self):
        device = self.device()
        with self.session(device) as session:
            rid = self.organisation(session, "连改公司", grid_no="1")
            keys = [device.save(device.change(device.read("organisation", rid), **{"address": f"第 {n} 号", "grid_no": str(n)}))
                    for n in (2, 3, 4)]  # each form shows the pending edits before it
            self.assertEqual(device.read("organisation", rid).shown["grid_no"], "4")
            self.assertTrue(session.push(keys))
            results = [device.result(key) for key in keys]
            self.assertEqual([(r.outcome, len(o.cases)) for r in results for o in r.ops], [(pb.OUTCOME_APPLIED, 0)] * 3)
            self.assertTrue(session.catch_up(results[-1].ver))
            self.assertEqual(device.confirmed("organisation", rid)["grid_no"], "4")

    def test_delete_and_restore_come_as_states(self):
        device = self.device()
        with self.session(device) as session:
            rid = self.organisation(session, "删除公司")
            for kind, state in ((pb.OP_DELETE, pb.ROW_DELETED), (pb.OP_RESTORE, pb.ROW_LIVE)):
                row = device.rows[(10, rid)]
                outcome, result = self.push(session, [pb.Op(kind=kind, type=10, id=rid, base_ver=row.ver,
                                                            base_seq=device.meta["last_seq"])])
                self.assertEqual(outcome, "APPLIED", result)
                self.assertTrue(session.catch_up(result.ver))
                self.assertEqual(device.rows[(10, rid)].state, state)
                self.assert_verified(session)


class Verification(Case):
    def test_a_rewritten_audit_head_is_found_out(self):
        device = self.device()
        with self.session(device) as session:
            number, digest = device.meta["audit"]
            self.assertGreater(number, 0)
            self.assertTrue(session.verify((number, bytes.fromhex(digest)))[0].audit_ok)
            self.assertTrue(session.verify((0, b""))[0].audit_ok)
            self.assertFalse(session.verify((number, hashlib.sha256(b"other").digest()))[0].audit_ok)
            self.assertEqual(session.welcome.audit, pb.AUDIT_SAME)
        device.meta["audit"] = [number, hashlib.sha256(b"other").hexdigest()]
        with self.session(device) as session:  # told without being asked
            self.assertEqual(session.welcome.audit, pb.AUDIT_CHANGED)

    def test_the_printed_proto_reads_every_body(self):
        """`taizhangd catalogue --proto` and the hand-written codec agree on every row held."""
        printed = world.run([world.TAIZHANGD, "catalogue", "--proto"], env=server.env).out
        with open(os.path.join(folder, "pb", "bodies.proto"), "w", encoding="utf-8") as f:
            f.write(printed)
        subprocess.run(["protoc", f"--python_out={folder}/pb", "-I", f"{folder}/pb", "bodies.proto"], check=True)
        bodies = __import__("bodies_pb2")
        device = self.device()
        with self.session(device):
            pass
        self.assertGreater(len(device.live()), 100)
        for row in device.live():
            rtype = CATALOGUE.by_id[row.type]
            message = next(m for name, m in vars(bodies).items() if name.lower() == rtype.name.replace("_", ""))
            again = message.FromString(row.body)
            self.assertEqual(again.SerializeToString(deterministic=True), row.body)
            self.assertEqual({f.number for f, _ in again.ListFields()}, {n for n, _ in v.scan_body(row.body)})


def dumped_row(line):
    """One line of `dump` as the Row it shows."""
    rtype = CATALOGUE.types[line["_type"]]
    stored = {}
    for name, value in line.items():
        if not name.startswith("_"):
            field = rtype.fields[name]
            stored[name] = v.canonical(field, bytes.fromhex(value) if field.wire == "BLOB" else value)
    return py.Row(rtype.id, bytes.fromhex(line["_id"]), int(line["_ver"]), line["_district"], line["_street"], 0,
                  v.encode_body(rtype, stored))


if __name__ == "__main__":
    unittest.main()
