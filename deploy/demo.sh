#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job on the shipped data: a server, a central office, sixteen district offices and one inspector work on a registry of
# 20,000 organisations, online and offline, and nothing is lost. Installs what is missing and builds first.
#
#   ./deploy/demo.sh              run it, check every figure, clean up
#   ./deploy/demo.sh --keep       leave everything running and say how to look around
#   ./deploy/demo.sh --lang en    tell it in English (default: Chinese, or what LANG says)
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
keep=0
lang=zh
case ${LC_ALL:-${LANG:-zh}} in en*) lang=en ;; esac
while [ $# -gt 0 ]; do
    case $1 in
    --keep) keep=1 ;;
    --lang) lang=${2:?--lang zh or en}; shift ;;
    *) sed -n '3,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
    shift
done

say() { if [ "$lang" = en ]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi; }
step() { printf '\n'; if [ "$lang" = en ]; then printf '■ %s\n' "$2"; else printf '■ %s\n' "$1"; fi; }
fail() { if [ "$lang" = en ]; then printf 'FAILED: %s\n' "$2" >&2; else printf '失败：%s\n' "$1" >&2; fi; exit 1; }

# ---- build -----------------------------------------------------------------------------------------------------------------
step "准备：安装缺少的软件包，编译程序" "Preparing: install what is missing and build"
"$top/deploy/install-deps.sh"
mkdir -p "$top/build"
if ! { cmake -S "$top" --preset release && cmake --build "$top/build/release" --target taizhangd taizhang -j "$(nproc)"; } \
    >"$top/build/demo.log" 2>&1; then
    tail -n 30 "$top/build/demo.log" >&2
    fail "编译没有成功，全部输出在 build/demo.log" "the build failed; all of its output is in build/demo.log"
fi
export PATH="$top/build/release/server:$top/build/release/client:$PATH"
begin=$SECONDS

work=$(mktemp -d "${TMPDIR:-/tmp}/taizhang-demo.XXXXXX")
server_pid=
finish() {
    local status=$?
    if [ "$keep" = 1 ] && [ $status -eq 0 ]; then return; fi
    if [ -n "$server_pid" ]; then kill "$server_pid" 2>/dev/null || true; wait "$server_pid" 2>/dev/null || true; fi
    if [ $status -eq 0 ] || [ "$keep" = 0 ]; then rm -rf "$work"; fi
    [ $status -eq 0 ] || say "演示没有完成（$status）" "the demo did not finish ($status)" >&2
}
trap finish EXIT

tz() { local office=$1; shift; taizhang --lang "$lang" --data "$work/$office" "$@"; }
tzd() { taizhangd --lang "$lang" "$@" --data "$work/server"; }
# One value out of one JSON object.
json() { /usr/bin/python3 -c 'import json,sys; v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[k]
print(v)' "$1"; }
count() { tz "$1" query --json "$2" | json n; }

start_server() {
    : >"$work/server.out"
    taizhangd serve --data "$work/server" --listen "127.0.0.1:${1:-0}" >"$work/server.out" 2>>"$work/server.log" &
    server_pid=$!
    for _ in $(seq 100); do
        [ -s "$work/server.out" ] && break
        kill -0 "$server_pid" 2>/dev/null || { tail -n 5 "$work/server.log" >&2; fail "服务器没有启动" "the server did not start"; }
        sleep 0.1
    done
    port=$(sed -n 's/.*address=[^ ]*:\([0-9]*\).*/\1/p' "$work/server.out" | head -n 1)
    [ -n "$port" ] || fail "服务器没有报告端口" "the server reported no port"
}

# A command that saves; it says so on stderr, which is of interest only when it fails.
save() {
    tz "$@" >"$work/save.out" 2>&1 || { cat "$work/save.out" >&2; return 1; }
}

# Sync until it went through: a server that is away is what offices have to live with.
sync_until_done() {
    local office=$1 tries=0 status
    while :; do
        status=0
        tz "$office" sync >"$work/$office.sync" 2>&1 || status=$?
        case $status in
        0 | 3) return 0 ;;
        5) tries=$((tries + 1)); echo x >>"$work/$office.retries"; [ $tries -lt 200 ] || return 5; sleep 0.2 ;;
        *) cat "$work/$office.sync" >&2; return $status ;;
        esac
    done
}

in_parallel() { # function, then offices: all at once, all must succeed
    local what=$1 office status=0
    local -a pids=()
    shift
    for office in "$@"; do "$what" "$office" & pids+=($!); done
    for office in "${pids[@]}"; do wait "$office" || status=$?; done
    return $status
}

# ---- a server and its offices -------------------------------------------------------------------------------------------------
districts=(120101 120102 120103 120104 120105 120106 120110 120111 120112 120113 120114 120115 120116 120117 120118 120119)
offices=(centre "${districts[@]}" inspector)

step "一台服务器，市级一台、16 个区各一台电脑，一台和平区督查员的笔记本" \
    "One server; a machine for the central office and each of 16 districts; a laptop for an inspector in 和平区"
tzd init >/dev/null 2>&1
start_server
join_one() {
    local role=D_CLERK area=$1 code
    case $1 in centre) role=C_SUPER area=120000 ;; inspector) role=F_INSP area=120101 ;; esac
    code=$(tzd invite --role $role --area "$area" --name "$1" --json | json code)
    tz "$1" join "$code" >/dev/null 2>"$work/$1.join" || { cat "$work/$1.join" >&2; return 1; }
    sync_until_done "$1"
}
in_parallel join_one "${offices[@]}"
say "  ${#offices[@]} 台设备已登记，各自拿到了本辖区的基础资料。" "  ${#offices[@]} devices joined, each with the reference data of its area."

# ---- the registry ---------------------------------------------------------------------------------------------------------------
step "各区把自己的台账导入本机（共 20,000 行），然后同时上报；上报途中服务器被强行断电式终止（kill -9）" \
    "Every district imports its own rows (20,000 in all), then all send at once; the server is killed with -9 meanwhile"
import_one() {
    tz "$1" import organisation "$top/deploy/sample/organisations.csv" --filter "district_code=$1" --json \
        >"$work/$1.import" 2>"$work/$1.import.err" || { cat "$work/$1.import.err" >&2; return 1; }
}
in_parallel import_one "${districts[@]}"
imported=0
for d in "${districts[@]}"; do imported=$((imported + $(json accepted <"$work/$d.import"))); done
say "  16 个区离线导入 $imported 行。" "  16 districts imported $imported rows offline."
[ "$imported" -eq 20000 ] || fail "应为 20000 行" "expected 20000 rows"

in_parallel sync_until_done "${districts[@]}" &
pushing=$!
for _ in $(seq 200); do # strike when some of it is in and some is not
    rows=$(tzd status --json 2>/dev/null | json changesets 2>/dev/null || echo 0)
    [ "$rows" -ge 10 ] && break
    kill -0 "$pushing" 2>/dev/null || break
    sleep 0.02
done
kill -9 "$server_pid"
wait "$server_pid" 2>/dev/null || true
say "  服务器已被终止（当时已收 $rows 批）；各区显示“连不上服务器，工作都在本机”，不断重试……" \
    "  server killed (it had taken in $rows batches); the districts say \"unreachable, work is safe\" and keep trying …"
sleep 1
start_server "$port"
wait "$pushing" || fail "上报没有完成" "sending did not finish"
retries=$(cat "$work"/*.retries 2>/dev/null | wc -l)
say "  服务器重新启动，全部送达；各区共重试 $retries 次。" "  the server is back and has everything; the districts retried $retries times."
in_parallel sync_until_done centre inspector
n=$(count centre "select count(*) n from organisation")
say "  市级本机现有 $n 家组织。" "  the central office now holds $n organisations."
[ "$n" -eq 20000 ] || fail "应为 20000 家" "expected 20000"

# ---- the inspector is offline -----------------------------------------------------------------------------------------------------
step "督查员离线走访：核对 40 家、新登记 3 家；同一时间区里也在改其中一些，还删了一家" \
    "The inspector works offline: corrects 40, registers 3 new ones; the district edits some of the same and deletes one"
mapfile -t ids < <(tz inspector query --json \
    "select lower(hex(_id)) id from organisation where status='active' and usci not in
     (select o.usci from organisation o join coverage c on c.org_id=o._id) order by usci limit 40" |
    /usr/bin/python3 -c 'import json,sys
for line in sys.stdin: print(json.loads(line)["id"])')
[ ${#ids[@]} -eq 40 ] || fail "没有选出 40 家" "could not choose 40"
for i in "${!ids[@]}"; do
    save inspector edit organisation "${ids[$i]}" "employees=$((200 + i))" employees_on=2017-04-01
done
for i in 1 2 3; do
    save inspector add organisation "name=天津走访新登记${i}号商贸有限公司" "address=南京路${i}号" employees=$((i * 5)) employees_on=2017-04-01
done
for i in 0 1 2 3 4 5 6 7 8 9; do # the same field: the district's figure is of a later day
    save 120101 edit organisation "${ids[$i]}" "employees=$((900 + i))" employees_on=2017-05-01
done
for i in 10 11 12 13 14 15 16 17 18 19; do # another field
    save 120101 edit organisation "${ids[$i]}" "address=和平区示例路${i}号"
done
save 120101 delete organisation "${ids[20]}" --reason "演示：区里认为已注销"
waiting=$(tz inspector status --json | json unsent_ops)
say "  督查员本机有 $waiting 项尚未送出，status 第一句就这么说：" "  the inspector has $waiting changes not yet sent, and status says so first:"
tz inspector status 2>/dev/null | head -n 1 | sed 's/^/    /'
[ "$waiting" -eq 43 ] || fail "应为 43 项" "expected 43"
sync_until_done 120101
sync_until_done inspector
sync_until_done 120101
sync_until_done centre

# ---- cases -------------------------------------------------------------------------------------------------------------------------
step "合并的结果：谁的话都没有丢" "The merge: nobody's words are lost"
cases=$(tz 120101 cases --json | wc -l)
say "  不同字段自动合并 10 家；同一字段 10 处冲突、1 家“删除与修改”冲突：共 $cases 件待处理，删掉的那家又回来了。" \
    "  10 merged by field without a word; 10 conflicts in the same field and 1 of deletion against edit: $cases cases; the deleted one is back."
tz 120101 cases 2>/dev/null | head -n 8 | sed 's/^/    /'
[ "$cases" -eq 11 ] || fail "应为 11 件" "expected 11 cases"
case_id=$(tz 120101 cases --json | /usr/bin/python3 -c 'import json,sys
for line in sys.stdin:
    c = json.loads(line)
    if c["subject"] != "_deleted": print(c["id"]); break')
save 120101 resolve "$case_id" theirs
sync_until_done 120101
in_parallel sync_until_done "${offices[@]}"
left=$(tz inspector cases --json | wc -l)
say "  区里采用督查员的数，处理了 1 件，还有 $left 件；督查员和市级也看到了。" \
    "  the district took the inspector's figure in one; $left are left, and the inspector and the centre see it too."
[ "$left" -eq 10 ] || fail "应剩 10 件" "expected 10 left"

# ---- every replica against what the server says it should hold ------------------------------------------------------------------------
step "逐台核对：本机内容与服务器认为它应有的内容，逐字节比较" "Every replica against what the server says it should hold, byte for byte"
n=$(count centre "select count(*) n from organisation")
[ "$n" -eq 20003 ] || fail "市级应有 20003 家，实为 $n" "the centre should hold 20003, it holds $n"
printf '  %-10s %9s  %s\n' "$(say 设备 device)" "$(say 行数 rows)" "sha256"
for office in "${offices[@]}"; do
    tz "$office" dump >"$work/dump.local"
    tzd dump --as-device "$office" >"$work/dump.server"
    rows=$(wc -l <"$work/dump.local")
    here=$(sha256sum <"$work/dump.local" | cut -c1-64)
    there=$(sha256sum <"$work/dump.server" | cut -c1-64)
    printf '  %-10s %9d  %s\n' "$office" "$rows" "$here"
    [ "$rows" -gt 0 ] && [ "$here" = "$there" ] || fail "$office 与服务器不一致" "$office differs from the server"
done
say "  市级：$n 家组织（导入 20,000，新增 3；被删又被修改的那家还在）。" \
    "  the centre: $n organisations (20,000 imported, 3 added; the one deleted and edited is there)."

# ---- accounting ------------------------------------------------------------------------------------------------------------------------
step "对账：每一项操作都有下落" "The balance: every single operation is accounted for"
tzd balance 2>/dev/null | sed 's/^/  /'
tzd balance --json >"$work/balance"
/usr/bin/python3 - "$work" "${districts[@]}" <<'PY'
import json, sys
work, districts = sys.argv[1], sys.argv[2:]
got = {}
for line in open(f"{work}/balance", encoding="utf-8"):
    row = json.loads(line)
    assert row["unaccounted"] == 0, row
    if "device" in row:
        got[row["device"]] = row
want = {d: dict(applied=json.load(open(f"{work}/{d}.import"))["accepted"], superseded=0, refused=0) for d in districts}
want["120101"]["applied"] += 10 + 10 + 1 + 1  # same field, other field, deletion, one case resolved
want["centre"] = dict(applied=0, superseded=0, refused=0)
want["inspector"] = dict(applied=30 + 3, superseded=10, refused=0)  # ten lost to the later as-of date, and are in cases
for name, counts in want.items():
    for key, n in counts.items():
        assert got[name][key] == n, (name, key, got[name][key], n)
PY
say "  与本脚本所做的逐台一致：督查员 33 项生效、10 项在冲突中待定；没有一项下落不明。" \
    "  equal to what this script did, device by device: the inspector's 33 applied, 10 waiting in cases; none unaccounted for."
for office in "${offices[@]}"; do
    tz "$office" balance --json | /usr/bin/python3 -c 'import json,sys; b=json.load(sys.stdin); assert b["unaccounted"] == 0, b'
done

step "完成，用时 $((SECONDS - begin)) 秒" "Done in $((SECONDS - begin)) seconds"
if [ "$keep" = 1 ]; then
    say "全部留在 $work，服务器在 127.0.0.1:$port（进程 $server_pid）。可以试试：" \
        "Everything stays in $work, the server on 127.0.0.1:$port (process $server_pid). Try:"
    printf '  export PATH=%s:$PATH\n' "$top/build/release/server:$top/build/release/client"
    printf '  taizhang --data %s/120101 cases\n' "$work"
    printf '  taizhang --data %s/centre query "select district_code, count(*) from organisation group by 1"\n' "$work"
    printf '  taizhangd status --data %s/server\n' "$work"
    say "结束时：kill $server_pid; rm -rf $work" "To end: kill $server_pid; rm -rf $work"
fi
