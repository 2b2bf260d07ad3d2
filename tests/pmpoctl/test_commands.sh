#!/usr/bin/env bash
# pmpoctl against a real daemon that learns a bandit: every command, its exit code, and what it leaves.
# shellcheck source=tests/support/run.sh
. "$PMP_SOURCE/tests/support/run.sh"

is_json() { python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$work/out" || no "not JSON: $(head -c 200 "$work/out")"; }

start_daemon() { serve -c "$PMP_SOURCE/examples/bandit/sphere.yaml" -s learner.metrics_ms=50 -s run.max_steps=0; }

# without a daemon
expect 2
expect 2 staus
has 'did you mean status' err
expect 2 status --nonsense
expect 2 set onlyakey
expect 2 verdict 1:x accept
expect 2 wait a '>=' b
expect 0 help watch
has 'usage: pmpoctl watch'
"$PMP_BIN/pmpoctl" --dir "$work/nothing" --timeout 0.2 status 2>/dev/null
[ $? -eq 3 ] || no "a folder that nobody serves is not exit code 3"
"$PMP_BIN/pmpoctl" --connect tcp://127.0.0.1:1 --timeout 0.2 status 2>/dev/null
[ $? -eq 3 ] || no "an address that nobody serves is not exit code 3"

start_daemon
expect 0 wait state '!=' loading
"$PMP_BIN/pmpo-actor" bandit --connect "$(ctl status desk_url)" --quiet --report-every 40 2>"$work/actor.log" &
aside=$!

expect 0 wait learner.steps '>=' 200 --timeout 60
expect 0 wait actor.f_mean '>=' 0 --mean 2 --timeout 20
expect 4 wait learner.steps '<' 0 --timeout 0.3
expect 0 status
has learner
expect 0 status --json
is_json
expect 0 status state learner.steps
[ "$(wc -l <"$work/out")" -eq 2 ] || no "two names are not two lines"
expect 1 status no.such.number
expect 1 status learner.stepss
has 'did you mean learner.steps' err
expect 0 actors
has bandit
expect 0 actors --json
is_json
expect 0 history
has learner.loss
expect 0 history learner.loss --csv
has '^learner.loss,'
expect 0 history learner.loss learner.kl --json
is_json
expect 0 history learner.loss --points 3
[ "$(wc -l <"$work/out")" -le 5 ] || no "--points 3 gave $(wc -l <"$work/out") lines"
expect 1 history learner.los
has 'did you mean learner.loss' err
expect 0 history learner.loss --png "$work/curve.png" --x step,wall --mean 5 --line 0 --title "a 'title' \"quoted\""
[ "$(head -c 4 "$work/curve.png" | tail -c 3)" = PNG ] || no "no picture was drawn"
[ ! -e "$work/curve.png.tmp" ] || no "the picture's temporary file is left"
expect 1 history learner.loss --png "$work/no/such/folder.png"
expect 0 history learner.std --png "$work/log.png" --log --mean 3
[ "$(head -c 4 "$work/log.png" | tail -c 3)" = PNG ] || no "no picture with a logarithmic scale was drawn"
expect 2 history learner.loss --log
has 'add --png' err
expect 2 history learner.loss --png "$work/log.png" --log --line 0
has 'begins above 0' err
expect 0 weights
has version
expect 0 weights --json
is_json
expect 0 export "$work/policy.safetensors"
python3 - "$work/policy.safetensors" <<'END' || no "the export is no safetensors file of a whole policy"
import json, struct, sys
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
head = json.loads(data[8:8 + size])
meta = head.pop("__metadata__")
assert meta["which"] == "reference" and int(meta["version"]) >= 1 and "config" in meta
assert max(t["data_offsets"][1] for t in head.values()) == len(data) - 8 - size
END
expect 0 export "$work/policy.safetensors" --which policy
step=$(python3 - "$work/policy.safetensors" <<'END'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
print(json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]["learner_step"])
END
)
has "policy, step $step,"
expect 1 export "$work/no/such/folder.safetensors"
expect 0 pause
expect 0 wait state = paused --timeout 10
expect 0 set optim.lr 0.005
has 'new 0.005'
expect 1 set optim.lrr 0.005
has 'did you mean optim.lr' err
expect 1 set learner.batch 8
expect 1 set optim.lr -- -1
expect 0 resume
expect 0 refresh
expect 0 checkpoint
expect 0 events -n 50
for kind in pause setting resume checkpoint; do has " $kind "; done
expect 0 events -n 1 --json
is_json
expect 1 verdict 1:0 accept
expect 0 watch --plain --every 0.2 --for 1
has 'learner steps'
expect 0 watch --plain --until 'learner.steps >= 1'
expect 4 watch --plain --until 'learner.steps < 0' --for 0.5
expect 0 watch --full --every 0.3 --for 1
for word in environment learner policy labels inserts store products; do has "$word"; done
expect 0 watch --plain --for 1.5 --metric learner.lss
has 'did you mean learner.loss' err
expect 4 wait learner.lss '<' 0 --timeout 0.5
has 'did you mean learner.loss' err
expect 4 wait learner.lss '<' 0 --timeout 0.5 -q
[ ! -s "$work/err" ] || no "a quiet wait said: $(cat "$work/err")"

# the screen: drawn at several sizes, keys answered, left by q
for size in 24x80 40x120 50x200 5x20; do
  python3 - "$size" "$PMP_BIN/pmpoctl" --dir "$work/run" watch --log <<'END' || no "the screen at $size"
import fcntl, os, pty, select, signal, struct, sys, termios, time

rows, columns = map(int, sys.argv[1].split("x"))
os.environ.update(TERM="xterm-256color", LANG="C.UTF-8", LINES=str(rows), COLUMNS=str(columns))
pid, screen = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, end = b"", time.monotonic() + 60


def until(word):
    global seen
    while word not in seen:
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            sys.exit(f"no {word} in {seen[-2000:]}")
        if select.select([screen], [], [], 0.2)[0]:
            seen += os.read(screen, 65536)


until(b"running" if rows > 5 else b"pmpod")
if rows >= 24:
    for word in (b"environment", b"inserts", b"bandit", b"products"):
        until(word)
    os.write(screen, b"x")
    until(b"does nothing")
    os.write(screen, b"P")
    until(b"mean p?")
    os.write(screen, b"lm")
os.write(screen, b"q")
while True:
    try:
        if not os.read(screen, 65536):
            break
    except OSError:
        break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
done

# a daemon that dies and comes back elsewhere
ctl watch --plain --every 0.2 --until 'state = paused' --for 60 >"$work/watch" 2>&1 &
watch=$!
ctl wait state = paused --timeout 60 >/dev/null 2>&1 &
waiting=$!
sleep 1
kill -TERM "$aside" && wait "$aside"
aside=''
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
for _ in $(seq 100); do
  grep -q 'no answer' "$work/watch" && break
  sleep 0.1
done
start_daemon
expect 0 wait state '!=' loading
expect 0 pause
wait "$watch" || no "watch did not find the daemon again: $(tail -n 3 "$work/watch")"
grep -q 'no answer for' "$work/watch" || no "watch did not say that nobody answered"
wait "$waiting" || no "wait did not find the daemon again"

expect 0 stop
wait "$daemon" || no "the daemon ended with status $?: $(tail -n 3 "$work/pmpod.log")"
daemon=''
exit $bad
