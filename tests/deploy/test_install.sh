#!/usr/bin/env bash
# `cmake --install` gives a layout from which a program outside of this tree links by pkg-config alone, and in which
# the installed programs find their libraries.
set -u
box=$(mktemp -d) && trap 'rm -rf "$box"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

cmake --install "${PMP_BUILD:?}" --prefix "$box/usr" >"$box/log" 2>&1 || { cat "$box/log"; fail "install"; }
for file in bin/pmpod lib/libpmpo.a lib/pkgconfig/libpmpo.pc include/pmpo/clients/libpmpo/pmpo.h \
  share/pmpo/dm_control/suite/cartpole.xml share/pmpo/dm_control/suite/common/visual.xml share/doc/pmpod/licences/mujoco/LICENSE \
  lib/systemd/system/pmpod.service bin/pmpo-actor bin/pmpoctl lib/pmpo/libmujoco.so.3.17.0 \
  share/man/man1/pmpod.1 share/bash-completion/completions/pmpoctl share/pmpo/examples/control/cartpole_swingup.yaml; do
  [ -e "$box/usr/$file" ] || fail "$file is not installed"
done
[ -z "$(find "$box/usr/include" -name '*.pb-c.h')" ] || fail "a generated protobuf header is installed"
grep -q '^ExecStart=.*/bin/pmpod ' "$box/usr/lib/systemd/system/pmpod.service" || fail "the unit starts no pmpod"

for program in "$box"/usr/bin/*; do
  ldd "$program" >"$box/ldd" || fail "ldd $program"
  ! grep 'not found' "$box/ldd" || fail "$program misses a library"
  readelf -d "$program" | grep -i 'r.*path' | grep -v '\[\$ORIGIN' && fail "$program looks for libraries in the build tree"
done
"$box/usr/bin/pmpod" --version >/dev/null || fail "the installed pmpod does not start"

cat >"$box/client.c" <<'EOF'
#include "clients/libpmpo/pmpo.h"
#include <stdio.h>
#include <string.h>
int main(void) {
  struct pmpo_options options = {.url = "tcp://127.0.0.1:1", .role = PMP_ROLE_OBSERVER, .connect_ms = 50};
  struct pmpo *client = NULL;
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmpo_open(&client, &options, &msg);
  printf("%s: %s\n", pmp_err_name(err), msg.text);
  pmpo_close(client);
  return err == PMP_ETIMEOUT ? 0 : 1;
}
EOF
flags=()
case ${PMP_FLAVOUR:-} in asan) flags=(-fsanitize=address,undefined) ;; tsan) flags=(-fsanitize=thread) ;; esac
# A pkg-config file names the prefix that was configured; pkg-config can be told where it went.
packages() { PKG_CONFIG_PATH=$box/usr/lib/pkgconfig pkg-config --define-variable=prefix="$box/usr" "$@"; }
# shellcheck disable=SC2046
gcc -std=c17 "${flags[@]}" "$box/client.c" $(packages --cflags --libs libpmpo) -o "$box/client" || fail "a client does not link by pkg-config"
"$box/client" || fail "the client gave no timeout where nobody listens"
if packages --exists libpmpo-policy && [ -e "$box/usr/lib/libpmpo-policy.a" ]; then
  # shellcheck disable=SC2046
  gcc -std=c17 "${flags[@]}" "$box/client.c" $(packages --cflags --libs libpmpo-policy) -o "$box/actor" || fail "libpmpo-policy does not link by pkg-config"
fi
echo "installed, linked, started"
