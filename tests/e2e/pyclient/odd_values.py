# SPDX-License-Identifier: Apache-2.0
"""Values at the edge of what proto/README.md calls canonical, as record bodies: what one side takes, the other must take."""
import values as v

LETTERS = ["甲", "é", "e\u0301", "\u0301", "\u1100\u1161", "\uac00", "\ufb01", "\u212b", "\u00c5", " ", "\u3000", "\u00a0", "\u200b",
           "\u200d", "\u2028", "\ufeff", "\u2060", "\u180e", "\x1c", "\x7f", "\x85", "\t", "\n", "\r", "\0", "a", "1", ".", "E+7", "1e-5",
           "\U0001f600", "\ufffd", "\ue000", "\U0002f800", "\u3099か", "か", "\u0344", "\uffff", "〔"]
NOT_UTF8 = (b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe7\x94")
DATES = ("2017", "2017-03", "2017-03-05", "2016-02-29", "2017-02-29", "1900-02-29", "2000-02-29", "0999", "1000", "9999-12-31",
         "10000", "2017-0", "2017-00", "2017-13", "2017-3-5", "2017-03-00", "2017-04-31", "2017/03/05", "20170305", "２０１７",
         "2017-03-05 ", "-2017")
NUMBERS = (-1, 0, 1, 2, 2**53 - 1, 2**53, 2**63 - 1, -2**63)
CODES = ("park", "unheard_of", "园区", "a b", "a.b-c_D", "x" * 63, "x" * 64, "A")
DOCUMENTS = ("{}", "[]", '""', "null", "true", "1", "-1", "-0", "01", "1.0", "1e2", "9007199254740991", "9007199254740992",
             "-9007199254740991", '{"a":1,"b":2}', '{"b":1,"a":2}', '{"a":1,"a":1}', '{"a": 1}', '{"a":1}\n', r'"\u0041"', r'"\u00e9"',
             r'"\u001f"', r'"\u001F"', r'"\n"', r'"\u000a"', r'"\/"', '"/"', r'"\u0000"', '"e\u0301"', '{"\U0001f600":1,"\ufb33":2}',
             '{"\ufb33":2,"\U0001f600":1}', '"\x7f"', '"\u2028"', "[" * 32 + "]" * 32, "[" * 33 + "]" * 33,
             "[" * 32 + "1" + "]" * 32, "{", "tru", "1 2", "'a'", r'"\ud800"', '"\ufeff"', " 1", "NaN", "[1,]", '{"":1}',
             '"' + "x" * 65534 + '"', '"' + "x" * 65535 + '"')
SETS = ("[]", '["a"]', '["a","b"]', '["b","a"]', '["a","a"]', '["a", "b"]', '["a b"]', '[""]', '["甲"]', "[1]", '"a"', '["a"]]',
        '["a","b"', r'["a\u0062"]', '["A","a"]', '["a","A"]')


def decodes(rtype, body):
    try:
        v.decode_body(rtype, body)
    except v.Damaged:
        return False
    return True


def bodies(catalogue, district, branch, dice):
    """(type, body of a record that has one odd value and else what its type requires)."""
    beside = {"organisation": {"name": "甲", "district_code": district},
              "centre": {"name": "中心", "level": "district", "district_code": district, "checklist": "{}"},
              "weak_case": {"branch_id": branch, "year": 2017, "categories": '["x"]', "plan": "甲", "due_on": "2017-12-31"}}
    for name, field, odd in odd_values(catalogue, dice):
        rtype = catalogue.types[name]
        stored = {rtype.fields[other].id: value for other, value in beside[name].items()} | {rtype.fields[field].id: odd}
        yield rtype, b"".join(v.put_value(number, value) for number, value in sorted(stored.items()))


def odd_values(catalogue, dice):
    """(type name, field name, value as it would be stored: str, bytes or int)."""
    for field in ("name", "former_names", "usci", "grid_no"):
        size = catalogue.types["organisation"].fields[field].size
        for letter in LETTERS:
            yield from (("organisation", field, text) for text in (letter, letter + "a", "a" + letter, f"a{letter}a", "1" + letter))
        yield from (("organisation", field, "".join(dice.choices(LETTERS, k=dice.randint(1, 6)))) for _ in range(60))
        yield from (("organisation", field, "甲" * (size + more)) for more in (-1, 0, 1) if size)
        yield from (("organisation", field, raw) for raw in NOT_UTF8)
    for name, field, odd in (("organisation", "employees_on", DATES), ("organisation", "employees", NUMBERS),
                             ("organisation", "has_union", NUMBERS), ("organisation", "site_type", CODES),
                             ("centre", "checklist", DOCUMENTS), ("weak_case", "categories", SETS)):
        yield from ((name, field, value) for value in odd)
