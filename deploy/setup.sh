# Set-up: Debian packages, pinned archives, and the prefix with nng, mbedTLS, MuJoCo and the task models. Sourced by
# ./run, which has set `top`. Nothing is done twice, and without network nothing is asked of it once all is there.
# shellcheck shell=bash disable=SC2154

cache=${PMPO_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/pmpod}
space_cache_mb=700     # archives 90, unpacked and built 350, prefix 60, and room to move
space_package_mb=60  # a missing Debian package with what it brings, about

say() { printf '%s\n' "$*"; }
die() {
  printf 'run: %s\n' "$*" >&2
  exit 1
}

# need_space FOLDER MB WHAT: FOLDER or its nearest parent that exists has room.
need_space() {
  local folder=$1 free
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
  [ "${free:-$2}" -ge "$2" ] || die "$3 needs about $2 MB in $folder, and only $free MB are free there."
}

check_machine() {
  local machine id='' version=''
  machine=$(uname -m)
  [ "$machine" = x86_64 ] || die "pmpod's pinned MuJoCo is built for x86_64; this machine is $machine."
  # shellcheck disable=SC1091
  [ -r /etc/os-release ] && id=$(. /etc/os-release && echo "${ID:-}") && version=$(. /etc/os-release && echo "${VERSION_ID:-}")
  [ "$id $version" = "debian 12" ] ||
    say "Warning: this is ${id:-an unknown system} ${version}, and pmpod is tried on Debian 12: package names or versions may not fit."
}

missing_packages() {
  local wanted
  mapfile -t wanted < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$top/deploy/packages.txt")
  comm -23 <(printf '%s\n' "${wanted[@]}" | LC_ALL=C sort -u) \
    <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
      awk '$1 == "installed" { print $2 }' | LC_ALL=C sort -u)
}

# as_root COMMAND...: directly or by sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  local missing log=$cache/packages.log
  command -v dpkg-query >/dev/null || die "dpkg-query is not here: pmpod's set-up needs Debian 12 (see deploy/packages.txt for what to install by hand)."
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -gt 0 ] || return 0
  check_machine
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      die "These Debian packages are missing and there is no sudo to install them; as root: apt-get install ${missing[*]}"
    sudo -n true 2>/dev/null || [ -t 0 ] ||
      die "These Debian packages are missing and sudo wants a password, but there is no terminal to ask on; as root: apt-get install ${missing[*]}"
  fi
  need_space /usr $((space_package_mb * ${#missing[@]})) "Installing Debian packages"
  say "Installing Debian packages: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 update >"$log" 2>&1
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends "${missing[@]}" \
    >>"$log" 2>&1 ||
    die "apt-get could not install ${missing[*]} (no network, or another apt is running?): $(grep -a '^E:' "$log" | head -n 1) The whole log is $log"
}

# The first Python whose pip works: a version manager's shim may be in the way of Debian's.
python_with_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -m pip --version >/dev/null 2>&1 && echo "$python" && return 0
  done
  die "python3 has no working pip: install Debian's python3-pip."
}

archive_good() { [ -f "$1" ] && echo "$2  $1" | sha256sum --check --status; }

# fetch_archive NAME VERSION KIND SHA256: into the cache, unless a good copy lies there.
fetch_archive() {
  local name=$1 version=$2 kind=$3 sha=$4 file=$cache/archives/$1-$2.$3 python box log=$cache/$1.log flags
  archive_good "$file" "$sha" && return 0
  [ -e "$file" ] && say "The cached $name $version does not have its hash: fetching it again."
  rm -f "$file"
  python=$(python_with_pip) || exit 1
  if [ "$kind" = wheel ]; then
    flags=(--only-binary=:all: --platform manylinux_2_28_x86_64 --python-version 3.11 --implementation cp --abi cp311 --abi none)
  else
    flags=(--no-binary "$name")
  fi
  box=$work/$name-download
  mkdir -p "$box"
  say "Fetching $name $version"
  echo "$name==$version --hash=sha256:$sha" >"$box.txt"
  if ! "$python" -m pip --disable-pip-version-check download --no-deps --require-hashes "${flags[@]}" -d "$box" -r "$box.txt" >"$log" 2>&1; then
    grep -q 'DO NOT MATCH THE HASHES' "$log" &&
      die "$name $version as downloaded does not have the hash in deploy/pins.txt: not used. The whole log is $log"
    die "$name $version could not be downloaded (no network?). The whole log is $log"
  fi
  mv "$box"/* "$file"
  archive_good "$file" "$sha" || die "$name $version as downloaded does not have the hash in deploy/pins.txt: not used."
}

build_prefix() {
  local log=$cache/deps.log name version kind sha
  check_machine
  need_space "$cache" "$space_cache_mb" "Fetching and building the pinned archives"
  work=$(mktemp -d "$cache/work.XXXXXX") || die "$cache cannot be written."
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  trap 'exit 130' INT TERM
  mkdir -p "$cache/archives"
  while read -r name version kind sha; do
    case $name in '' | '#'*) continue ;; esac
    fetch_archive "$name" "$version" "$kind" "$sha" </dev/null
  done <"$top/deploy/pins.txt"
  say "Building nng and mbedTLS"
  bash "$top/deploy/deps.sh" "$cache/archives" "$work" "$work/prefix" >"$log" 2>&1 ||
    die "nng or mbedTLS could not be built; the end of $log says: $(tail -n 1 "$log")"
  touch "$work/prefix/complete"
  rm -rf "$prefix"
  mv "$work/prefix" "$prefix"
  rm -rf "$work"
  trap - EXIT INT TERM
}

# Sets `prefix`, makes it if it is missing, and leaves the link .deps to it for plain CMake.
setup() {
  mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] ||
    die "The cache folder $cache cannot be written; set PMPO_CACHE to one that can."
  prefix=$cache/prefix-$(cat "$top/deploy/pins.txt" "$top/deploy/deps.sh" | sha256sum | cut -c 1-16)
  exec 9>"$cache/lock"
  flock -n 9 || { say "Waiting for another set-up to finish."; flock 9; }
  install_packages
  [ -e "$prefix/complete" ] || build_prefix
  [ "$(readlink "$top/.deps")" = "$prefix" ] || ln -sfn "$prefix" "$top/.deps"
  exec 9>&-
  export PMPO_DEPS=$prefix
}
