#!/usr/bin/env bash
# peers.sh SCRIPT [ARGUMENT...]: runs a script of this folder with a Python that has its peers: JAX and PyTorch, or for
# control_peers.py EnvPool and dm_control. A virtual environment with pinned versions is made once, in the cache folder (some
# 7 GB with PyTorch as its index serves it, 1 GB for the control suite).
#   PMPO_BENCH_PYTHON=FILE   this Python instead; PMPO_BENCH_CONTROL_PYTHON=FILE for the control suite
#   PMPO_BENCH_PEERS=jax     without PyTorch (0.5 GB); none: no peers at all
# What goes wrong is said as the peers' reason: lines `NAME - REASON` on stdout.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
script=$here/$1
shift
peers=${PMPO_BENCH_PEERS:-all}
if [ "${script##*/}" = control_peers.py ]; then
  names=(envpool dm_control) folder=bench-control need=2500 python=${PMPO_BENCH_CONTROL_PYTHON:-}
  pins=(numpy==2.4.6 envpool==1.2.5 dm_control==1.0.50 mujoco==3.17.0)
else
  names=(jax torch) folder=bench-peers need=1500 python=${PMPO_BENCH_PYTHON:-}
  pins=(numpy==2.4.6 jax==0.10.2 jaxlib==0.10.2)
  [ "$peers" != all ] || pins+=(torch==2.15.0) need=14000
fi

absent() {
  for name in "${names[@]}"; do echo "$name - $1"; done
  exit 0
}

make_venv() {
  local cache=${PMPO_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/pmpod} key free
  key=$(echo "${pins[*]}" "$(python3 --version)" | sha256sum | cut -c 1-12)
  venv=$cache/$folder-$key
  mkdir -p "$cache" || absent "$cache cannot be written"
  exec 9>"$cache/bench-peers.lock"
  flock 9 || absent "$cache cannot be locked"
  [ ! -e "$venv/complete" ] || return 0
  free=$(df -Pm "$cache" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$need" ] || absent "${names[*]}: $need MB are needed in $cache, $free are free (PMPO_BENCH_PEERS=jax or none needs less)"
  echo "bench: fetching ${pins[*]}, once" >&2
  rm -rf "$venv"
  if ! { python3 -m venv "$venv" && "$venv/bin/python" -m pip install --quiet --no-cache-dir "${pins[@]}"; } >"$cache/bench-peers.log" 2>&1; then
    rm -rf "$venv"
    absent "they could not be installed: see $cache/bench-peers.log"
  fi
  touch "$venv/complete"
}

[ "$peers" != none ] || absent "PMPO_BENCH_PEERS is none"
if [ -z "$python" ]; then
  make_venv
  python=$venv/bin/python
fi
exec "$python" "$script" "$@"
