#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every library and tool that CMake found comes from a package of deploy/packages.txt: check_deps.py TOP BUILD-DIR"""
import re
import subprocess
import sys
from pathlib import Path

top, build = Path(sys.argv[1]), Path(sys.argv[2])
listed = {line.split()[0] for line in (top / "deploy/packages.txt").read_text().splitlines() if line and not line.startswith("#")}
found = {}
for line in (build / "CMakeCache.txt").read_text().splitlines():
    m = re.match(r"(pkgcfg_lib_\w+|OPENSSL_\w*LIBRARY|LIBCSV_LIBRARY|PROTOC_C)[^:]*:(?:FILEPATH|STRING|INTERNAL|PATH)=(/.+)", line)
    if m and not m.group(2).endswith("-NOTFOUND"):
        found[m.group(1)] = m.group(2)
bad = []
for name, path in sorted(found.items()):
    owner = ""
    for candidate in (path, str(Path(path).resolve()), path.removeprefix("/usr"), "/usr" + path):
        out = subprocess.run(["dpkg", "-S", candidate], capture_output=True, text=True)
        if out.returncode == 0:
            owner = out.stdout.split(":")[0]
            break
    verdict = "ok" if owner in listed else "NOT IN packages.txt"
    print(f"{name:40} {owner or '?':24} {verdict}")
    if owner not in listed and "/libc.so" not in path and not path.endswith(("libpthread.a", "libdl.a", "librt.a")):
        bad.append(name)
print(f"{len(found)} found, {len(bad)} missing from packages.txt")
sys.exit(1 if bad or len(found) < 6 else 0)
