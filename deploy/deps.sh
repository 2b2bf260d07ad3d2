#!/usr/bin/env bash
# deps.sh ARCHIVES WORK PREFIX: unpacks the pinned archives (already checked) below WORK, builds mbedTLS and nng, and
# fills PREFIX with include/, lib/ and share/. The prefix's key is a hash of this file and the pins.
set -eu
archives=$1 work=$2 prefix=$3
jobs=$(nproc)

echo "unpacking"
mkdir -p "$work/mujoco" "$work/dm_control" "$work/pynng" "$prefix/include" "$prefix/lib" "$prefix/share"
unzip -q "$archives/mujoco-"*.wheel 'mujoco/include/mujoco/*' 'mujoco/libmujoco.so.*' '*.dist-info/*' -d "$work/mujoco"
unzip -q "$archives/dm_control-"*.wheel 'dm_control/suite/*' '*.dist-info/*' -d "$work/dm_control"
tar -xzf "$archives/pynng-"*.source -C "$work/pynng" --strip-components=1

echo "MuJoCo and the task models"
licences=$prefix/share/licences
mkdir -p "$prefix/share/dm_control/suite/common" "$licences/mujoco" "$licences/dm_control" "$licences/nng" "$licences/mbedtls"
cp -r "$work/mujoco/mujoco/include/mujoco" "$prefix/include/"
cp "$work"/mujoco/mujoco/libmujoco.so.* "$prefix/lib/"
cp "$work"/mujoco/*.dist-info/licenses/* "$licences/mujoco/"
suite=$work/dm_control/dm_control/suite
cp "$suite"/*.xml "$prefix/share/dm_control/suite/"
cp "$suite"/common/*.xml "$prefix/share/dm_control/suite/common/"
cp -r "$suite/dog_assets" "$prefix/share/dm_control/suite/"
cp "$work"/dm_control/*.dist-info/licenses/* "$licences/dm_control/"

common=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON "-DCMAKE_INSTALL_PREFIX=$prefix"
  -DCMAKE_INSTALL_LIBDIR=lib)
echo "mbedTLS"
cmake -S "$work/pynng/mbedtls" -B "$work/build-mbedtls" "${common[@]}" -DENABLE_PROGRAMS=OFF -DENABLE_TESTING=OFF
cmake --build "$work/build-mbedtls" -j "$jobs"
cmake --install "$work/build-mbedtls"
cp "$work/pynng/mbedtls/LICENSE" "$licences/mbedtls/"

echo "nng"
cmake -S "$work/pynng/nng" -B "$work/build-nng" "${common[@]}" -DNNG_ENABLE_TLS=ON -DNNG_TLS_ENGINE=mbed -DNNG_TESTS=OFF \
  -DNNG_TOOLS=OFF "-DMBEDTLS_ROOT_DIR=$prefix"
cmake --build "$work/build-nng" -j "$jobs"
cmake --install "$work/build-nng"
cp "$work/pynng/nng/LICENSE.txt" "$licences/nng/"
