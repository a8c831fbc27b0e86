# SPDX-License-Identifier: Apache-2.0
"""P1, P2, P3, P7 with the real programs: four offices edit without pause while server and clients are killed with -9.

Every save that a program acknowledged (exit 0) is written down. At the end each of them must be there exactly once: as the value of
its field, as a candidate of a case, or overwritten by a save that had seen it (its op's base says so).

Most server kills are aimed: a proxy waits until a Push has gone up, holds back every byte of the answer, lets the server work on
for a random moment, and then the server dies. Whether such a kill really fell between sending and result is counted from the
outboxes afterwards, not assumed: some office with a sync under way had saves without result before the kill, and still has no
result for one of them after its sync ended.

Default 25 rounds; TZ_ROUNDS=n or TZ_LONG=1 (200). TZ_SEED=n repeats the choices, not the timing.
"""
import datetime
import os
import random
import signal
import subprocess
import threading
import time

import compare_data
import world as w

ROUNDS = int(os.environ.get("TZ_ROUNDS", 200 if os.environ.get("TZ_LONG") == "1" else 25))
SEED = int(os.environ.get("TZ_SEED", random.SystemRandom().randrange(10**6)))
BETWEEN_LEAST_PCT = 60
BLIND_EVERY = 6  # one round in so many strikes at any moment
PADDING = "海河" * 60  # so that a single save is as large as a Push must be to be told apart from a Pull


class Save:
    """One acknowledged edit. @field None: a new record."""

    def __init__(self, client, rid, field, value, token):
        self.client, self.rid, self.field, self.value, self.token = client, rid, field, value, token


class Client:
    """An office with an editor thread and a syncing thread, each one process at a time."""

    def __init__(self, name, role, area, editable, live):
        self.name, self.role, self.area, self.editable, self.live = name, role, area, editable, live
        self.office = None
        self.random = random.Random(f"{SEED}/{name}")
        self.made = []       # Save, acknowledged
        self.uncertain = []  # Save, its program was killed: whole or not at all
        self.busy = 0
        self.touched = set()
        self.count = 0
        self.lock = threading.Lock()
        self.processes = {}  # "edit" / "sync" -> Popen
        self.stopping = threading.Event()
        self.threads = []
        self.broken = None
        self.device = 0

    def run(self, slot, *args):
        """(exit code, stdout); the process stands in the slot meanwhile so that somebody can kill it."""
        process = subprocess.Popen(self.office.argv(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.office.env,
                                   text=True)
        with self.lock:
            self.processes[slot] = process
        out, err = process.communicate()
        with self.lock:
            del self.processes[slot]
        return process.returncode, out, err

    def start(self):
        for target in (self.edit_forever, self.sync_forever):
            thread = threading.Thread(target=self.guard, args=(target,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def guard(self, target):
        try:
            target()
        except Exception as e:  # noqa: BLE001 - any surprise fails the test, in the main thread
            self.broken = e

    def stop(self):
        self.stopping.set()
        self.kill("sync")
        for thread in self.threads:
            thread.join(60)
            w.check(not thread.is_alive(), self.name, "does not stop")

    def abandon(self):
        """Nothing it started outlives the test, whatever happened."""
        self.stopping.set()
        for slot in ("edit", "sync"):
            self.kill(slot)

    def kill(self, slot):
        """True when there was a process to kill."""
        with self.lock:
            process = self.processes.get(slot)
            if process is None or process.poll() is not None:
                return False
            process.send_signal(signal.SIGKILL)
            return True

    def syncing(self):
        with self.lock:
            process = self.processes.get("sync")
            return process is not None and process.poll() is None

    # -- editing

    def edit_forever(self):
        while not self.stopping.is_set():
            self.edit_once()
            self.stopping.wait(self.random.uniform(0.02, 0.2))

    def edit_once(self):
        self.count += 1
        token = f"{self.name}-{self.count}"
        known = self.office.sql("SELECT lower(hex(_id)) FROM organisation ORDER BY _id")
        if not known or self.random.random() < 0.2:
            rid, field, value, args = None, None, token, self.addition(token)
        else:
            rid, field = self.place([row[0] for row in known[-60:]])
            value = self.value(field, token)
            args = ["edit", "organisation", rid, f"{field}={value}"]
        code, out, err = self.run("edit", *args)
        save = Save(self, rid, field, value, token)
        if code == 0:
            self.made.append(save)
        elif code == -signal.SIGKILL:
            self.uncertain.append(save)
        elif code == w.BUSY:
            self.busy += 1
        else:
            raise w.Failed(f"{self.name}: {args} exit {code}\n{out}{err}")

    def place(self, known):
        """A record and a field, mostly one that this office has not edited yet: then nothing of its own may cover the value."""
        for _ in range(5):
            place = self.random.choice(known), self.random.choice(self.editable)
            if place not in self.touched:
                break
        self.touched.add(place)
        return place

    def addition(self, token):
        if self.role == "C_SUPER":
            return ["add", "study_event", "event_type=" + EVENT_TYPE, "held_on=2017-05-01", "host_unit=GW120000", f"topic={token}",
                    "audience_count=30"]
        return ["add", "organisation", f"name={token}", f"district_code={self.area}", f"address={PADDING}"]

    def value(self, field, token):
        if field == "decoupled_on":  # a date as unique as a token
            return (datetime.date(1800, 1, 1) + datetime.timedelta(days=self.count)).isoformat()
        return f"{token} {PADDING}" if field == "address" else token

    # -- syncing

    def sync_forever(self):
        while not self.stopping.is_set():
            code, out, err = self.run("sync", "agent" if self.live else "sync")
            if not self.stopping.is_set():
                w.check(code in (0, w.PARTLY, w.UNREACHABLE, w.BUSY, -signal.SIGKILL), self.name, "sync exit", code, out, err)
            self.stopping.wait(self.random.uniform(0, 0.15))

    def unanswered(self):
        return {row[0] for row in self.office.sql("SELECT seq FROM outbox WHERE outcome=0")}


def event_type():
    with open(os.path.join(w.CATALOGUE, "enums.csv"), encoding="utf-8") as f:
        return next(line.split(",")[1] for line in f if line.startswith("study_event_type,"))


EVENT_TYPE = event_type()


class Counts:
    def __init__(self):
        self.server = self.aimed = self.between = self.on_wire = self.judged_unheard = self.client = 0
        self.client_by_slot = {"edit": 0, "sync": 0}


def strike(server, proxy, clients, counts, rng, blind):
    """Kill the server, aimed or not; say honestly what was under way."""
    on_wire = 0
    if blind:
        time.sleep(rng.uniform(0.05, 0.5))
    else:
        counts.aimed += 1
        proxy.arm()
        if proxy.wait_for_push(4):
            time.sleep(rng.uniform(0, 0.04))
    open_syncs = [c for c in clients if c.syncing()]
    before = {c: c.unanswered() for c in open_syncs}
    _, on_wire = proxy.open_links()
    proxy.gate.clear()
    server.kill9()
    proxy.cut()
    counts.server += 1
    between = [c for c in open_syncs if ended(c) and before[c] & c.unanswered()]
    if on_wire:
        counts.on_wire += 1
    if on_wire and between:
        counts.between += 1
    return {c: before[c] & c.unanswered() for c in between}


def ended(client, seconds=3.0):
    """The sync that stood at the kill is over; an agent stays, its line is gone."""
    if client.live:
        time.sleep(0.05)
        return True
    end = time.monotonic() + seconds
    process = client.processes.get("sync")
    while process is not None and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    return process is None or process.poll() is not None


def strike_client(clients, counts, rng):
    for client in rng.sample(clients, len(clients)):
        slot = rng.choice(("edit", "sync"))
        if client.kill(slot):
            counts.client += 1
            counts.client_by_slot[slot] += 1
            return


def attack(server, proxy, clients):
    counts, rng = Counts(), random.Random(SEED)
    for n in range(ROUNDS):
        unheard = strike(server, proxy, clients, counts, rng, n % BLIND_EVERY == BLIND_EVERY - 1)
        strike_client(clients, counts, rng)
        server.start()
        for client, seqs in unheard.items():
            judged = {r[0] for r in server.sql("SELECT seq FROM result WHERE device=?", client.device)}
            counts.judged_unheard += bool(seqs & judged)
        proxy.gate.set()
        for client in clients:
            w.check(client.broken is None, client.name, client.broken)
        time.sleep(rng.uniform(0.1, 0.5))
        strike_client(clients, counts, rng)
    return counts


def quiesce(clients):
    """Everything sent, everything received."""
    for client in clients:
        client.stop()
        w.check(client.broken is None, client.name, client.broken)
    for _ in range(2):  # the second time for what the others sent
        for client in clients:
            client.office.sync()
    for client in clients:
        status = client.office.status()
        w.check(status["unsent_ops"] == 0, client.name, status)


# ---- what must hold at the end --------------------------------------------------------------------------------------------------


class Op:
    """What the outbox says about one acknowledged save."""

    def __init__(self, seq, ver, base_ver, base_seq, rid):
        self.seq, self.ver, self.base_ver, self.base_seq, self.rid = seq, ver, base_ver, base_seq, rid

    def __str__(self):
        return f"seq {self.seq} ver {self.ver} saw ver {self.base_ver} seq {self.base_seq}"


def ops_by_value(client, pb):
    """Value bytes -> [Op] over everything this office ever saved."""
    found = {}
    for seq, raw, ver, outcome in client.office.sql("SELECT seq, raw, ver, outcome FROM outbox"):
        w.check(outcome in (pb.OUTCOME_APPLIED, pb.OUTCOME_SUPERSEDED), client.name, "seq", seq, "has outcome", outcome)
        for op in pb.Changeset.FromString(raw).ops:
            for value in texts(op.values):
                found.setdefault(value, []).append(Op(seq, ver, op.base_ver, op.base_seq, op.id.hex()))
    return found


def texts(body):
    import values
    return [value.decode() for _, value in values.scan_body(body) if isinstance(value, bytes) and is_text(value)]


def is_text(value):
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def successor(save, op, others):
    """Whether some later save of the same field had seen this one."""
    for other, theirs in others:
        if other is save or theirs.ver < op.ver:
            continue
        if theirs.base_ver >= op.ver or (other.client is save.client and theirs.base_seq >= op.seq > 0 and theirs.seq > op.seq):
            return True
    return False


def check_saves(server, clients, pb):
    """Each acknowledged save exactly once."""
    ops = {c: ops_by_value(c, pb) for c in clients}
    names = [r[0] for r in server.sql("SELECT name FROM organisation")]
    topics = [r[0] for r in server.sql("SELECT topic FROM study_event")]
    cases = "\n".join(r[0] for r in server.sql("SELECT candidates FROM \"case\" WHERE candidates IS NOT NULL"))
    by_place, standing, kept, seen = {}, 0, 0, 0
    saved = {c: c.made + [s for s in c.uncertain if s.value in ops[c]] for c in clients}
    for client in clients:
        for save in saved[client]:
            found = ops[client].get(save.value, [])
            w.check(len(found) == 1, save.token, "was acknowledged and is", len(found), "times in the outbox of", client.name)
            if save.field:
                by_place.setdefault((save.rid, save.field), []).append((save, found[0]))
    for client in clients:
        for save in [s for s in saved[client] if not s.field]:
            times = names.count(save.token) + topics.count(save.token)
            w.check(times == 1, "new record", save.token, "is there", times, "times")
    for (rid, field), edits in by_place.items():
        row = server.sql(f"SELECT \"{field}\" FROM organisation WHERE lower(hex(_id))=?", rid)
        w.check(len(row) == 1, rid, "is there", len(row), "times")
        for save, op in edits:
            stands = row[0][0] == save.value
            in_case = f'"{save.value}"' in cases
            overwritten = successor(save, op, edits)
            w.check(stands or in_case or overwritten, save.token, "edit of", field, "is nowhere: not the value",
                    row[0][0], ", in no case, overwritten by nobody who saw it;",
                    *(f"\n  {s.token} {o}" for s, o in edits))
            standing, kept, seen = standing + stands, kept + (in_case and not stands), seen + (not stands and not in_case)
    for client in clients:
        for save in client.uncertain:
            w.check(names.count(save.token) + topics.count(save.token) <= 1, save.token, "doubled")
    w.check(len(names) == len(set(names)), "organisations doubled:", sorted({n for n in names if names.count(n) > 1}))
    return standing, kept, seen


def check_books(server, clients):
    for client in clients:
        here, there = client.office.dump(), server.dump_as(client.name)
        w.check(here == there and here, client.name, "differs from what the server says it should hold:", difference(here, there))
        book = client.office.balance()
        w.check(book["unaccounted"] == 0, client.name, book)
        w.check(book["made"] >= len(client.made), client.name, "made", len(client.made), book)
        judged = server.sql("SELECT count(*), count(DISTINCT seq), max(seq) FROM result WHERE device=?", client.device)[0]
        saved = client.office.sql("SELECT count(*), max(seq) FROM outbox")[0]
        w.check(judged[0] == judged[1] == saved[0], client.name, "saves", saved, "results", judged)
        audited = server.sql("SELECT count(*) FROM audit WHERE meta LIKE ?", f"changeset device={client.device} %")[0][0]
        w.check(audited == saved[0], client.name, "saves", saved, "audit entries", audited)
    lines = server.cli("balance", "--json").lines()
    total = [line for line in lines if "unaccounted" in line]
    w.check(total and all(line["unaccounted"] == 0 for line in total), "server's balance:", lines)


def check_data(server, clients):
    """The same once more by who shares no code with the product."""
    compare_data.must_be_the_same(os.path.join(server.data, "server.db"), [c.office.database() for c in clients])


def difference(here, there):
    a, b = set(here.splitlines()), set(there.splitlines())
    return f"\nonly here: {sorted(a - b)[:3]}\nonly there: {sorted(b - a)[:3]}"


def the_clients():
    return [Client("east", "D_CLERK", "120101", ["address", "former_names", "status_reason", "registrar"], False),
            Client("west", "D_CLERK", "120102", ["address", "former_names", "status_reason", "registrar"], False),
            Client("inspector", "F_INSP", "120101", ["address"], True),
            Client("centre", "C_SUPER", "120000", ["decoupled_on"], False)]


def acknowledged_saves_survive_kill9():
    with w.world() as folder:
        pb = w.load_protocol(os.path.join(folder, "pb")).pb
        proxy = w.Proxy()
        server = w.Server(os.path.join(folder, "server"), public=f"127.0.0.1:{proxy.port}")
        proxy.server = server
        clients = the_clients()
        with w.running(server):
            for client in clients:
                client.office = w.Office(os.path.join(folder, client.name))
                client.office.join(server, client.role, client.area)
                client.device = client.office.sql("SELECT device FROM office")[0][0]
            try:
                for client in clients:
                    client.start()
                counts = attack(server, proxy, clients)
                quiesce(clients)
            finally:
                for client in clients:
                    client.abandon()
            standing, kept, seen = check_saves(server, clients, pb)
            check_books(server, clients)
            check_data(server, clients)
        made = sum(len(c.made) for c in clients)
        print(f"seed {SEED}: {made} saves acknowledged, {sum(len(c.uncertain) for c in clients)} killed before they were; "
              f"{sum(len(c.office.sql('SELECT 1 FROM outbox')) for c in clients)} in the outboxes")
        print(f"server kills: {counts.server}, {counts.aimed} aimed; {counts.on_wire} with a push on the wire and no answer delivered; "
              f"{counts.between} between sending and result; {counts.judged_unheard} times the server had judged what an office "
              f"had not heard of")
        print(f"client kills: {counts.client} {counts.client_by_slot}")
        print(f"edits: {standing} stand, {kept} in cases, {seen} overwritten by a save that had seen them")
        w.check(counts.between * 100 >= BETWEEN_LEAST_PCT * counts.server, "only", counts.between, "of", counts.server,
                "server kills fell between sending and result")
        proxy.close()


if __name__ == "__main__":
    w.main(acknowledged_saves_survive_kill9)
