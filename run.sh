#!/bin/sh
# Installs what is missing, builds the release, and starts the server on this machine.  With arguments
# it passes them to the program:  ./run.sh txt2img --prompt "a small green square on a white background"
set -eu
here=$(cd "$(dirname "$0")" && pwd)

. "$here/tools/packages.sh"
packages_install build

build=$here/build/release
log=$build/build.log
mkdir -p "$build"
if ! { cmake -S "$here" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo &&
       cmake --build "$build" --target diffusionapi diffusionapi-client; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "run.sh: the build failed; all of its output is in $log" >&2
    exit 1
fi

program=$build/diffusionapi
if [ $# -gt 0 ]; then
    exec "$program" "$@"
fi

exec "$program" serve
