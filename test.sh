#!/bin/bash
# Installs what the tests need, builds and runs all of them, and ends with a line of totals.  The exit
# status says whether anything failed.  JOBS=N sets how many builds and tests run at once.
set -u
cd "$(dirname "$0")" || exit 1
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
logs=build/test-logs
passed=0 failed=0 skipped=0
mkdir -p "$logs"

. tools/packages.sh
packages_install build || exit 1
packages_install tests || echo "going on without: their stages are skipped" >&2
packages_install page || echo "going on without: the page is not tested" >&2

stage() {
    printf '\n== %s\n' "$1"
}

# check NAME COMMAND...: one test; shows what it said only when it failed.
check() {
    name=$1
    shift
    log=$logs/$(echo "$name" | tr -c 'A-Za-z0-9\n' -).log
    if "$@" >"$log" 2>&1; then
        echo "passed: $name"
        passed=$((passed + 1))
    else
        tail -n 60 "$log"
        echo "FAILED: $name (all of it: $log)"
        failed=$((failed + 1))
        return 1
    fi
}

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}

# configure_and_build FOLDER TARGETS CMAKE-ARGUMENT...
configure_and_build() {
    folder=$1 targets=$2
    shift 2
    cmake -S . -B "build/$folder" -G Ninja "$@" &&
        # shellcheck disable=SC2086 # a list of targets
        cmake --build "build/$folder" -j "$jobs" ${targets:+--target $targets}
}

# run_tests FOLDER CTEST-ARGUMENT...: adds its numbers to the totals.
run_tests() {
    folder=$1
    shift
    log=$logs/$folder-ctest.log
    ctest --test-dir "build/$folder" --output-on-failure --no-tests=error -j "$jobs" "$@" >"$log" 2>&1
    status=$?
    p=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log")
    s=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*Skipped' "$log")
    f=$(grep -E '^ *[0-9]+/[0-9]+ Test ' "$log" | grep -cvE ' Passed |\*\*\*Skipped')
    [ $status = 0 ] || [ "$f" -gt 0 ] || f=1 # ctest itself failed
    if [ "$f" -gt 0 ]; then
        cat "$log"
    else
        grep -E '\*\*\*Skipped' "$log"
    fi
    echo "$folder: $p passed, $f failed, $s skipped"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

debug=-DCMAKE_BUILD_TYPE=Debug

run_release() {
    stage "release: all tests"
    if check "release: build" configure_and_build release "" -DCMAKE_BUILD_TYPE=RelWithDebInfo; then
        run_tests release
        # Objects of one instruction set hold the same static code; only their tables are external.
        check "symbols are named after their files" \
            tools/check-symbols $(find build/release/src -name '*.a')
    fi
}

# The page against the program that was just built; screenshots come to lie beside the logs.
run_page() {
    stage "the page, in headless Chromium"
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        skip "page: no node or no npm"
    elif [ ! -x /usr/bin/chromium ]; then
        skip "page: no /usr/bin/chromium"
    elif [ ! -x build/release/diffusionapi ]; then
        skip "page: build/release has no program"
    elif ! npm ci --prefix tests --no-audit --no-fund >"$logs/page-npm.log" 2>&1; then
        skip "page: npm could not bring playwright-core ($logs/page-npm.log)"
    else
        log=$logs/page.log
        SCREENSHOTS=$PWD/$logs node --test --test-reporter=tap tests/web/*.test.mjs >"$log" 2>&1
        status=$?
        p=$(sed -n 's/^# pass //p' "$log")
        f=$(sed -n 's/^# fail //p' "$log")
        s=$(sed -n 's/^# skipped //p' "$log")
        p=${p:-0} f=${f:-0} s=${s:-0}
        [ $status = 0 ] || [ "$f" -gt 0 ] || f=1 # node itself failed
        [ "$f" = 0 ] || cat "$log"
        echo "page: $p passed, $f failed, $s skipped"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    fi
}

# Client libraries from npm against the program that was just built.
run_clients() {
    stage "contract tests with real clients"
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        skip "clients: no node or no npm"
    elif [ ! -x build/release/diffusionapi ]; then
        skip "clients: build/release has no program"
    elif ! npm ci --prefix tests --ignore-scripts --no-audit --no-fund >"$logs/clients-npm.log" 2>&1; then
        skip "clients: npm could not bring them ($logs/clients-npm.log)"
    else
        for file in tests/clients/*.test.mjs; do
            check "clients: $(basename "$file" .test.mjs)" \
                env DIFFUSIONAPI="$PWD/build/release/diffusionapi" node --test "$file"
        done
    fi
}

run_format() {
    stage "format"
    if command -v clang-format >/dev/null; then
        check "clang-format" sh -c \
            "find src bench tools/*.[ch] tests fuzz -name node_modules -prune -o -name '*.[ch]' -print |
             xargs clang-format --dry-run -Werror"
    else
        skip "clang-format: not installed"
    fi
}

run_clang() {
    stage "clang: warnings are errors"
    if command -v clang >/dev/null; then
        check "clang: build" configure_and_build clang "" -DCMAKE_C_COMPILER=clang \
            -DCMAKE_BUILD_TYPE=RelWithDebInfo
    else
        skip "clang: not installed"
    fi
}

run_asan() {
    stage "address and undefined-behaviour sanitizers: all tests"
    if check "asan: build" configure_and_build asan "" $debug -DDAPI_SANITIZE=address,undefined; then
        run_tests asan
    fi
}

run_tsan() {
    stage "thread sanitizer: what runs on several threads"
    concurrent="cpu_pool_test cpu_attention_test cpu_conv_test thread_test job_threads_test channel_test supervisor_test
        library_hash_test http_server_test api_wait_test plan_beside_test gen_plan_test diffusionapi"
    if check "tsan: build" configure_and_build tsan "$concurrent" $debug -DDAPI_SANITIZE=thread; then
        run_tests tsan -R '^(engine_cpu\.(cpu_pool|cpu_attention|cpu_conv)|base\.thread|jobs\.job_threads|channel\.channel|supervisor\.supervisor|library\.library_hash|http\.http_server|api\.api_wait|plan\.(plan_beside|gen_plan))$'
        check "tsan: a picture with three threads" build/tsan/diffusionapi txt2img \
            --prompt "a red circle" --steps 2 --threads 3 --output "$logs/tsan.png"
    fi
}

run_arm64() {
    stage "64-bit ARM under qemu: the kernels"
    if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
        if check "arm64: build" configure_and_build arm64 "" -DDAPI_KERNELS_ONLY=ON \
            -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/arm64.cmake"; then
            run_tests arm64
        fi
    else
        skip "arm64: no cross compiler or no qemu"
    fi
}

# All in one function, so that the script is read whole before anything runs.
main() {
    run_release
    run_page
    run_clients
    run_format
    run_clang
    run_asan
    run_tsan
    run_arm64
    printf '\n%d passed, %d failed, %d skipped\n' $passed $failed $skipped
    [ $failed = 0 ]
}
main; exit
