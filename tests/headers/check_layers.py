#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which file may include what. CMake's link lines keep our own layers apart; this keeps third-party headers where they belong,
and server and client out of each other."""
import re
import sys
from pathlib import Path

TOP = Path(sys.argv[1])
# header pattern -> files that may include it (regular expressions over paths relative to the top)
RULES = [
    (r"uv\.h", [r"common/net/.*", r"common/db/dbthread\.[ch]", r"server/(server|exec|control_cmd|main)\w*\.[ch]",
                r"client/(conn|agent|round)\w*\.[ch]", r"tests/.*"]),
    (r"openssl/.*", [r"common/crypto/.*\.c", r"common/net/tls\.c", r"tests/.*"]),
    (r"sqlite3\.h", [r"common/db/.*", r"client/query\.c", r"tests/.*"]),
    (r"sync\.pb-c\.h|protobuf-c/.*", [r"proto/.*\.c", r"proto/msg_wire\.h", r"tests/.*"]),
    (r"jansson\.h", [r"common/core/value\w*\.[ch]", r"server/.*", r"client/.*", r"tests/.*"]),
    (r"csv\.h", [r"common/core/csvread\.c"]),
    (r"utf8proc\.h", [r"common/core/.*", r"client/cli/.*", r"tests/.*"]),
    (r"ini\.h", [r"server/config\.c", r"client/.*"]),
]
LAYERS = {  # folder -> folders of ours whose headers it may include
    "common/core": {"common/core"},
    "common/crypto": {"common/core", "common/crypto"},
    "common/net": {"common/core", "common/crypto", "common/net"},
    "common/db": {"common/core", "common/db"},
    "proto": {"common/core", "proto"},
    "server": {"common/core", "common/crypto", "common/net", "common/db", "proto", "server"},
    "client": {"common/core", "common/crypto", "common/net", "common/db", "proto", "client"},
}


def layer(path):
    for name in sorted(LAYERS, key=len, reverse=True):
        if path.startswith(name + "/"):
            return name
    return None


def main():
    files = [p for d in ("common", "proto", "server", "client", "tests") for p in (TOP / d).rglob("*.[ch]")]
    homes = {}
    for p in files:
        rel = p.relative_to(TOP).as_posix()
        if p.suffix == ".h" and layer(rel):
            homes.setdefault(p.name, set()).add(layer(rel))
    bad = [f"{name}: two headers of one name ({', '.join(sorted(where))})" for name, where in homes.items()
           if len(where - {"server", "client"}) + bool(where & {"server", "client"}) > 1]
    checked = 0
    for p in files:
        rel = p.relative_to(TOP).as_posix()
        mine = layer(rel)
        for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if not m:
                continue
            checked += 1
            header = m.group(1)
            for pattern, allowed in RULES:
                if re.fullmatch(pattern, header) and not any(re.fullmatch(a, rel) for a in allowed):
                    bad.append(f"{rel}:{n}: {header} does not belong here")
            base = header.rsplit("/", 1)[-1]
            if mine and '"' in line and base in homes and not homes[base] & LAYERS[mine]:
                bad.append(f"{rel}:{n}: {header} is of {', '.join(homes[base])}, which {mine} may not know")
    for b in bad:
        print(b)
    print(f"{checked} includes checked, {len(bad)} out of place")
    return 1 if bad or checked < 100 else 0


sys.exit(main())
