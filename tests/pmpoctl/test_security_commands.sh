#!/usr/bin/env bash
# token, certificate, audit and the filters of events, at a daemon with TLS.
set -u
work=$(mktemp -d) || exit 1
export PMPO_DIR=$work/run
ctl=$PMP_BIN/pmpoctl daemon=
unset PMPO_TOKEN PMPO_TOKEN_FILE PMPO_CA PMPO_URL
end() {
  [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null
  rm -rf "$work"
}
trap end EXIT
bad() {
  echo "FAILED: $*" >&2
  cat "$work/out" "$work/err" "$work/log" >&2 2>/dev/null
  exit 1
}
# try CODE ARGS...: runs pmpoctl; standard output and error in out and err.
try() {
  local want=$1 got
  shift
  "$ctl" "$@" >"$work/out" 2>"$work/err"
  got=$?
  [ "$got" -eq "$want" ] || bad "pmpoctl $* ended with $got, not $want"
}
says() { grep -qF -- "$2" "$work/$1" || bad "$1 does not say: $2"; }

try 0 token list
says out "wants no tokens"
try 2 token create ada
try 2 token create ada --role king
try 2 token create ada --role labeler --expires soon
try 1 token create 'a b' --role labeler
try 0 token create ada --role labeler --expires 30d
grep -qE '^pmp_[A-Za-z0-9_-]{43}$' "$work/out" || bad "that is no token"
cp "$work/out" "$work/ada"
try 1 token create ada --role observer
says err "live token"
try 0 token create eye --role observer --json
grep -q '"role":"observer"' "$work/out" || bad "no JSON"
eye=$(grep -oE 'pmp_[A-Za-z0-9_-]{43}' "$work/out")
try 0 token create boss --role operator
printf 'observer %s\noperator %s\n' "$eye" "$(cat "$work/out")" >"$work/mine"
chmod 600 "$work/mine"
try 0 token list
says out "ada                      labeler   live"
try 0 token list --json
python3 -c 'import json, sys; t = json.load(open(sys.argv[1])); assert t["wanted"] and [x["state"] for x in t["tokens"]] == ["live"] * 3, t' \
  "$work/out" || bad "the list"
grep -q "$eye" "$work/out" && bad "the list shows a token"

try 2 certificate
try 1 certificate --host 'no host'
try 0 certificate --host lab.example,10.1.2.3 --days 30
openssl verify -CAfile "$PMPO_DIR/tls/ca.pem" "$PMPO_DIR/tls/server.pem" >/dev/null 2>&1 || bad "openssl does not verify it"
[ "$(stat -c %a "$PMPO_DIR/tls/ca.key")$(stat -c %a "$PMPO_DIR/tls/server.key")" = 600600 ] || bad "keys are open"
for name in DNS:lab.example 'IP Address:10.1.2.3' DNS:localhost 'IP Address:127.0.0.1'; do
  openssl x509 -in "$PMPO_DIR/tls/server.pem" -noout -ext subjectAltName | grep -qF "$name" || bad "no $name"
done
before=$(sha256sum "$PMPO_DIR/tls/ca.pem" "$PMPO_DIR/tls/ca.key")
try 0 certificate --host other.example
[ "$before" = "$(sha256sum "$PMPO_DIR/tls/ca.pem" "$PMPO_DIR/tls/ca.key")" ] || bad "the CA was written over"
openssl verify -CAfile "$PMPO_DIR/tls/ca.pem" "$PMPO_DIR/tls/server.pem" >/dev/null 2>&1 || bad "the second is not of the CA"
mv "$PMPO_DIR/tls/ca.key" "$work/ca.key"
try 1 certificate --host other.example
mv "$work/ca.key" "$PMPO_DIR/tls/ca.key"

"$PMP_BIN/pmpod" -d "$PMPO_DIR" -s listen.desk=tcp://0.0.0.0:0 -s listen.data=tcp://0.0.0.0:0 -s listen.http=off \
  -s "listen.tls_cert=$PMPO_DIR/tls/server.pem" -s "listen.tls_key=$PMPO_DIR/tls/server.key" 2>"$work/log" &
daemon=$!
export PMPO_TOKEN_FILE=$work/mine
try 0 -D "$PMPO_DIR" --timeout 30 status # --dir waits for it, and finds the CA
try 1 -D "$PMPO_DIR" --token "$eye" status
says err "never an argument"
grep -qF "$eye" "$work/err" && bad "the refusal shows the token"
try 1 -D "$PMPO_DIR" --token-file /nowhere status
try 1 -D "$PMPO_DIR" --token-file "$work/ada" status
for i in 1 2 3 4 5 6 7 8 9 10; do
  "$ctl" -D "$PMPO_DIR" set optim.lr 0.001 >"$work/out" 2>"$work/err" && break
  [ "$i" -lt 10 ] || bad "the setting"
  sleep 0.5
done
try 0 -D "$PMPO_DIR" events --kind setting
says out "boss"
[ "$(wc -l <"$work/out")" -eq 1 ] || bad "more than one setting"
try 0 -D "$PMPO_DIR" audit
says out setting
try 0 -D "$PMPO_DIR" audit --verify
says out "whole: "
mark=$(tail -n 1 "$work/out")
try 0 -D "$PMPO_DIR" audit --expect "$mark"
try 1 -D "$PMPO_DIR" audit --expect "${mark%?}x"
try 1 -D "$PMPO_DIR" audit --expect "999:${mark#*:}"
try 0 -D "$PMPO_DIR" audit --verify --json
grep -q '"whole":true' "$work/out" || bad "audit's JSON"
try 0 token revoke ada
try 1 token revoke ada
kill "$daemon"
wait "$daemon" || bad "pmpod did not end in order"
daemon=
grep -q "$eye" "$work/log" && bad "the log shows a token"
"$PMP_BIN/pmpod" --check "$PMPO_DIR" >"$work/out" 2>&1 || bad "the stopped run is not whole"
exit 0
