# SPDX-License-Identifier: Apache-2.0
"""The codec of the second implementation against vectors worked out by hand from proto/README.md. Needs no server."""
import hashlib
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, HERE)

import taizhang_py as tz  # noqa: E402
import values as v  # noqa: E402

CATALOGUE = v.Catalogue(os.path.join(SOURCE, "common", "catalogue"))
ORGANISATION = CATALOGUE.types["organisation"]
_work = tempfile.TemporaryDirectory()
tz.load_protocol(os.path.join(SOURCE, "proto"), _work.name)


class Bodies(unittest.TestCase):
    def test_known_vector(self):
        body = v.encode_body(ORGANISATION, {"employees": 0, "name": "甲", "usci": "A1", "full_members": 150})
        self.assertEqual(body.hex(), "0a024131" "1203e794b2" "a00100" "b001ac02")
        self.assertEqual(v.decode_body(ORGANISATION, body),
                         ({"usci": "A1", "name": "甲", "employees": 0, "full_members": 150}, []))

    def test_zigzag_of_negative_numbers(self):
        for number in (0, 1, -1, 2**63 - 1, -2**63):
            self.assertEqual(v.scan_body(v.put_value(5, number)), [(5, number)])
        self.assertEqual(v.put_value(1, -1).hex(), "0801")

    def test_null_is_absent(self):
        self.assertEqual(v.encode_body(ORGANISATION, {"employees": None}), b"")

    def test_unknown_fields_are_kept_raw(self):
        known, unknown = v.decode_body(ORGANISATION, v.put_value(2, "x") + v.put_value(17999, b"\x01"))
        self.assertEqual((known, unknown), ({"name": "x"}, [(17999, b"\x01")]))

    def test_every_other_encoding_is_damaged(self):
        bad = {"descending": "1201780a0178", "twice": "0a01780a0178", "long varint": "a0018000", "long length": "12810078",
               "empty text": "1200", "cut short": "1203e794", "fixed64": "090000000000000000", "group": "0b0c",
               "field 0": "0200", "number for text": "1002", "text for number": "a20101", "field 18000": "80e50800",
               "CR": "12020d61", "not trimmed": "12022061", "not NFC": "120365cc81", "NUL": "120361006b",
               "bad date": "aa010a323031372d30322d3330", "bool 2": "7804", "negative count": "a00101"}
        for why, body in bad.items():
            with self.subTest(why), self.assertRaises(v.Damaged):
                v.decode_body(ORGANISATION, bytes.fromhex(body))


class Values(unittest.TestCase):
    def check(self, type_name, field, value, stored):
        self.assertEqual(v.canonical(CATALOGUE.types[type_name].fields[field], value), stored)

    def test_forms(self):
        self.check("organisation", "name", "\ufeff　e\u0301 \u200b", "\u00e9")
        self.check("organisation", "name", " ", None)
        self.check("organisation", "former_names", "a\r\nb\r", "a\nb")
        for date in ("2017", "2017-03", "2017-03-05"):
            self.check("organisation", "employees_on", date, date)
        self.check("organisation", "has_union", False, 0)
        self.check("organisation", "verified_at", -1, -1)
        self.check("weak_case", "categories", [], None)
        self.check("meeting", "branch_id", b"\1" * 16, b"\1" * 16)
        self.check("study_event", "audience_branches", [b"\2" * 16, b"\1" * 16, b"\2" * 16],
                   '["' + "01" * 16 + '","' + "02" * 16 + '"]')
        self.check("centre", "checklist", {"乙": 1, "a": [True, None], "\U0001f600": "\u20ac\n", "\ufb33": -0},
                   '{"a":[true,null],"乙":1,"\U0001f600":"\u20ac\\n","\ufb33":0}')

    def test_what_has_no_form(self):
        for type_name, field, value in (
                ("organisation", "status", "gone"), ("organisation", "district_code", "12010"), ("organisation", "name", "x" * 121),
                ("organisation", "employees", -1), ("rating", "team", 21), ("organisation", "employees_on", "2017-2-1"),
                ("organisation", "employees_on", "2017-13"), ("organisation", "has_union", 2), ("organisation", "site_id", b"x"),
                ("centre", "checklist", {"a": 2**53}), ("organisation", "name", "a\0b"),
                ("organisation", "name", "a\nb"), ("organisation", "usci", "9.1E+17"), ("organisation", "employees", 2**53),
                ("organisation", "verified_at", 2**53), ("organisation", "employees_on", "0999"), ("centre", "checklist", {"a": "\0"}),
                ("weak_case", "categories", ["a b"])):
            with self.subTest(field=field, value=value), self.assertRaises(v.Damaged):
                v.canonical(CATALOGUE.types[type_name].fields[field], value)


class IdsAndClocks(unittest.TestCase):
    def test_layout(self):
        made = v.IdMaker(7, clock=lambda: 0x0123456789AB).make()
        self.assertEqual(made[:8].hex(), "0123456789ab7000")
        self.assertEqual((made[8] >> 6, made[12:]), (2, b"\0\0\0\7"))

    def test_ascending_also_when_the_clock_goes_back(self):
        times = iter([1000, 1000, 10] + [10] * 5000)
        maker = v.IdMaker(7, clock=lambda: next(times))
        made = [maker.make() for _ in range(5003)]
        self.assertEqual(made, sorted(set(made)))

    def test_hlc_grows_with_each_save(self):
        times = iter([5, 5, 3, 6])
        hlc = v.Hlc(clock=lambda: next(times))
        self.assertEqual([hlc.tick() for _ in range(4)], [5 << 16, (5 << 16) + 1, (5 << 16) + 2, 6 << 16])


class Invitations(unittest.TestCase):
    def made(self):
        return tz.Invitation(bytes(range(32)), b"\xff" * 16, "[::1]:7443")

    def test_layout_of_the_text(self):
        text = self.made().text()
        # 32 + 16 + 10 + 4 bytes are 496 bits: 100 characters, the last with 4 padding bits
        self.assertEqual(len(text.replace("-", "")), 3 + 100)
        self.assertTrue(text.startswith("TZ1-000G4-0R40M-"))  # 00 01 02 03 04 05 …

    def test_typed_by_people(self):
        text = self.made().text()
        for typed in (text, text.lower(), text.replace("-", " \n"), text.replace("0", "o").replace("1", "l"),
                      text.replace("0", "O").replace("1", "I")):
            again = tz.Invitation.parse(typed)
            self.assertEqual(vars(again), vars(self.made()))
        self.assertEqual(self.made().endpoint(), ("::1", 7443))

    def test_mistyped_or_cut_short_is_refused(self):
        text = self.made().text()
        for bad in ("", "TZ1", text[4:], text[:-1], text[:40], text[:20] + ("2" if text[20] != "2" else "3") + text[21:],
                    text + "0", text + "U"):
            with self.subTest(bad), self.assertRaises(ValueError):
                tz.Invitation.parse(bad)


class DigestAndRows(unittest.TestCase):
    def row(self, number, ver, state=0, district="120101", body=b"\x12\x01x"):
        return tz.Row(10, bytes([number]) * 16, ver, district, "", state, body)

    def test_digest_by_hand(self):
        rows = [self.row(2, 5), self.row(1, 6, body=b"")]
        plain = (bytes.fromhex("0000000a") + b"\1" * 16 + bytes.fromhex("0000000000000006" "00000000")
                 + bytes.fromhex("0000000a") + b"\2" * 16 + bytes.fromhex("0000000000000005" "00000003" "120178"))
        self.assertEqual(tz.digest_of(rows), hashlib.sha256(plain).digest())

    def test_rows_in_any_order(self):
        """A record that moves between two areas of one device is not lost; old rows change nothing."""
        old, new, left = self.row(1, 5), self.row(1, 9, district="120102"), self.row(1, 9, state=2)
        for order in ([old, new, left], [old, left, new], [new, left, old]):
            with tempfile.TemporaryDirectory() as folder:
                device = tz.Device(folder, CATALOGUE)
                device.take_checkpoint(order, {}, tz.pb.Checkpoint(ver=9))
                self.assertEqual([r.ver for r in device.live()], [9])
                self.assertEqual([r.ver for r in tz.Device(folder, CATALOGUE).live()], [9])


class Outbox(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.device = tz.Device(self._folder.name, CATALOGUE)
        self.device.meta.update(device=7, incarnation=1, user="01" * 16)
        self.id = b"\5" * 16
        body = v.encode_body(ORGANISATION, {"name": "甲", "employees": 3})
        self.device.take_checkpoint([tz.Row(10, self.id, 4, "120101", "", 0, body)], {}, tz.pb.Checkpoint(ver=6))

    def test_only_differences_are_saved(self):
        seen = self.device.read("organisation", self.id)
        self.assertEqual(self.device.change(seen, name=" 甲", employees=3), [])
        self.assertIsNone(self.device.save([]))
        op, = self.device.change(seen, name="乙", employees=None)
        self.assertEqual((op.base_ver, op.base_seq, list(op.cleared), op.values.hex()), (4, 0, [20], "1203e4b999"))

    def test_a_field_that_shows_an_own_edit_keeps_its_base(self):
        self.device.save(self.device.change(self.device.read("organisation", self.id), employees=5))
        newer = v.encode_body(ORGANISATION, {"name": "丙", "employees": 4})
        self.device.take_checkpoint([tz.Row(10, self.id, 9, "120101", "", 0, newer)], {}, tz.pb.Checkpoint(ver=9))
        seen = self.device.read("organisation", self.id)
        self.assertEqual(seen.shown, {"name": "丙", "employees": 5})
        ops = self.device.change(seen, name="丁", employees=6)
        self.assertEqual([(o.base_ver, o.base_seq) for o in ops], [(4, 1), (9, 1)])

    def test_overlay_ends_at_the_checkpoint_of_the_result(self):
        key = self.device.save(self.device.change(self.device.read("organisation", self.id), employees=5))
        self.assertEqual(len(list(self.device.pending())), 1)
        self.device.outbox[key]["result"] = tz.pb.Result(outcome=tz.pb.OUTCOME_APPLIED, ver=8).SerializeToString()
        self.assertEqual(self.device.read("organisation", self.id).shown["employees"], 5)
        self.device.take_checkpoint([], {}, tz.pb.Checkpoint(ver=8))
        self.assertEqual(list(self.device.pending()), [])

    def test_a_new_incarnation_renumbers_what_has_no_result(self):
        first = self.device.save([self.device.create("organisation", name="甲")])
        self.device.save([self.device.create("organisation", name="乙")])
        self.device.outbox[first]["result"] = tz.pb.Result(outcome=tz.pb.OUTCOME_APPLIED, ver=8).SerializeToString()
        self.device.take_welcome(tz.pb.Welcome(incarnation=2, areas=[tz.pb.Area(), tz.pb.Area(district="120101")]))
        self.assertEqual(self.device.unsent(), [(2, 1)])
        self.assertEqual(tz.pb.Changeset.FromString(self.device.outbox[(2, 1)]["bytes"]).incarnation, 2)


if __name__ == "__main__":
    unittest.main()
