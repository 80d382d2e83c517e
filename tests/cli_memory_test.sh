#!/bin/sh
# Memory through the program: cli_memory_test.sh PROGRAM PICTURE_TOOL MKCHECKPOINT.  Each function
# finishes "it ...".
program=$(realpath "$1")
tool=$(realpath "$2")
mkcheckpoint=$(realpath "$3")
refs=$(realpath "${DAPI_REFS:-../shared/refs}" 2>/dev/null)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

run() {
    (cd "$work" && "$program" "$@") >"$work/out" 2>"$work/said"
    status=$?
}

says() { # a fixed string that standard error must hold
    grep -qF -- "$1" "$work/said" || fail "does not say '$1': $(cat "$work/said")"
}

prints() { # a fixed string that standard output must hold
    grep -qF -- "$1" "$work/out" || fail "does not print '$1': $(cat "$work/out")"
}

succeeds() {
    run "$@"
    [ "$status" = 0 ] || fail "$*: status $status: $(cat "$work/said")"
}

refuses() { # words, arguments
    words=$1
    shift
    run "$@"
    [ "$status" = 2 ] || fail "$*: status $status, not 2: $(cat "$work/said")"
    [ "$(wc -l <"$work/said")" = 1 ] || fail "$*: says more than a line: $(cat "$work/said")"
    [ ! -s "$work/out" ] || fail "$*: prints beside its refusal"
    says "$words"
    [ ! -e "$work/bad.png" ] || fail "$*: left a picture"
}

# Standard input is what the command's output must begin with.
begins_with() { # FILE
    cat >"$work/want"
    head -n "$(wc -l <"$work/want")" "$1" | diff -u "$work/want" - >&2 || fail "$1 begins otherwise"
}

prints_the_transcript_of_sdxl_on_a_mac() { # MODEL
    succeeds plan --model "$1" --width 2048 --height 2048 --device mps --total 16G --available 8.5G
    begins_with "$work/out" <<'LINES'
==> System memory: 16.0GB total, 8.5GB available
==> Using device: mps
==> Memory level: low
==> Image size adjusted from 2048x2048 to 768x768 to prevent memory issues
==> Applying memory optimizations for device: mps (memory level: low)
==> Enabled VAE tiling
==> Enabled attention slicing
==> Enabled model CPU offload
==> Reduced VAE sample size for memory optimization
LINES
    ! sed 1,9d "$work/out" | grep -qE 'Enabled|Reduced' || fail "more optimizations follow"
    succeeds plan --model "$1" --width 2048 --height 2048 --device cuda --total 24G --available 20G
    begins_with "$work/out" <<'LINES'
==> System memory: 24.0GB total, 20.0GB available
==> Using device: cuda
==> Memory level: medium
==> Image size adjusted from 2048x2048 to 1280x1280 to prevent memory issues
==> Applying memory optimizations for device: cuda (memory level: medium)
==> Enabled memory efficient attention
==> Enabled memory pooling
LINES
    succeeds plan --model "$1" --width 2048 --height 2048 --device mps --total 8G --available 6G
    prints "==> Memory level: very_low"
    prints "==> Enabled sequential CPU offload"
    prints "from 2048x2048 to 512x512"
}

plans_networks_of_full_size_from_headers_alone() {
    for model in sdxl refiner; do
        "$mkcheckpoint" $model "$work/$model" --holes || fail "no $model"
    done
    prints_the_transcript_of_sdxl_on_a_mac "$work/sdxl"
    succeeds plan --model sdxl --models-dir "$work" --width 1024 --height 1024 --device cuda \
        --total 24G --available 20G --json
    python=$(command -v python3) || return
    "$python" - "$work/out" <<'CHECK' || fail "sdxl: the plan's bytes"
import json, sys
plan = json.load(open(sys.argv[1]))
phases = {p["name"]: p for p in plan["phases"]}
unet = phases["denoise"]["weights_bytes"]
text = phases["text encode"]["weights_bytes"]
assert 5.13e9 < unet < 5.15e9, unet
assert 1.2e9 < text < 1.3e9, text  # the larger encoder; the first has gone by then
assert plan["peak_bytes"] == max(p["sum_bytes"] for p in plan["phases"])
assert plan["log"][0] == "==> System memory: 24.0GB total, 20.0GB available"
assert plan["used"] == {"width": 1024, "height": 1024} == plan["requested"]
CHECK
    succeeds plan --model "$work/refiner" --width 1024 --height 1024 --device cpu --total 4G \
        --available 2G --size-policy planned
    prints "==> Image size: 1024x1024 requested, 1024x1024 used"
    prints "==> Enabled sequential CPU offload"
}

tells_what_it_found_and_did() {
    succeeds txt2img --steps 1 --width 128 --height 64 --total 16G --available 9G --output a.png
    begins_with "$work/said" <<'LINES'
==> System memory: 16.0GB total, 9.0GB available
==> Using device: cpu
==> Memory level: low
==> Applying memory optimizations for device: cpu (memory level: low)
==> Image size: 128x64 requested, 128x64 used
LINES
    says "==> Planned peak: "
    says "==> Phase denoise: "
    says "==> Levers: none"
    says "size: 128x64 (requested 128x64)"
    says "memory: budget "
    says "memory: level low, device cpu, levers: none"
    [ -z "$("$tool" info "$work/a.png" "Requested size")" ] || fail "a size that was not adjusted"
}

makes_pictures_as_small_as_the_table_says() {
    succeeds txt2img --steps 1 --width 192 --height 96 --max-image-size 96x96 --output small.png
    says "==> Image size adjusted from 192x96 to 128x64 to prevent memory issues"
    says "size: 128x64 (requested 192x96)"
    [ "$("$tool" size "$work/small.png")" = 128x64 ] || fail "size"
    [ "$("$tool" info "$work/small.png" Size)" = 128x64 ] || fail "Size in the picture"
    [ "$("$tool" info "$work/small.png" "Requested size")" = 192x96 ] || fail "Requested size"
    succeeds txt2img --steps 2 --width 192 --height 96 --output in.png
    succeeds img2img --image in.png --steps 2 --max-image-size 96x96 --output small.png
    says "==> Image size adjusted from 192x96 to 128x64 to prevent memory issues"
    says "in.png resized from 192x96 to 128x64 (Lanczos)"
    begins_with "$work/said" <<LINES
$(head -1 "$work/said" | grep '^==> System memory: ')
==> Using device: cpu
LINES
    [ "$("$tool" size "$work/small.png")" = 128x64 ] || fail "size of img2img"
    for policy in planned refuse; do
        succeeds txt2img --steps 1 --width 192 --height 96 --max-image-size 96x96 \
            --size-policy $policy --output small.png
        [ "$("$tool" size "$work/small.png")" = 192x96 ] || fail "size under $policy"
    done
}

keeps_to_a_budget() {
    for budget in 100M 40M 20M; do
        succeeds txt2img --steps 1 --width 512 --height 512 --memory-budget $budget --output b.png
        planned=$(sed -n 's/^memory: .*planned peak \([0-9.]*\) MB.*/\1/p' "$work/said")
        measured=$(sed -n 's/^memory: .*measured peak \([0-9.]*\) MB.*/\1/p' "$work/said")
        echo "$planned ${measured:-0} ${budget%M}" |
            awk '{ exit !($1 <= $3 * 1.048577 && $2 <= $1) }' ||
            fail "$budget: planned $planned, measured $measured"
    done
    says "==> Enabled sequential CPU offload"
    says "==> Enabled VAE tiling"
    succeeds txt2img --steps 1 --width 512 --height 512 --memory-budget 18M --output b.png
    says "==> Image size adjusted from 512x512 to "
    refuses "512x512 needs" txt2img --width 512 --height 512 --memory-budget 18M \
        --size-policy refuse --output bad.png
    says " would fit"
    says "--size-policy planned"
    refuses "no size would fit" txt2img --memory-budget 2M --output bad.png
    refuses "no size would fit" plan --memory-budget 2M
    refuses "no size would fit" plan --memory-budget 2M --json
}

takes_settings_from_everywhere() {
    DIFFUSIONAPI_ENABLE_VAE_TILING=true DIFFUSIONAPI_ENABLE_SEQUENTIAL_CPU_OFFLOAD=1 \
        DIFFUSIONAPI_MEMORY_BUDGET=300M succeeds txt2img --steps 1 --output c.png
    says "==> Enabled VAE tiling"
    says "==> Enabled sequential CPU offload"
    says "memory: budget 314.6 MB"
    cat >"$work/memory.json" <<'JSON'
{ "max_image_sizes": {"cpu": {"very_low": [64, 64], "low": [64, 64], "medium": [64, 64],
                              "high": [64, 64], "very_high": [64, 64]}},
  "optimizations": {"enable_attention_slicing": true, "enable_model_cpu_offload": true} }
JSON
    DIFFUSIONAPI_MEMORY_CONFIG="$work/memory.json" succeeds txt2img --steps 1 --output c.png
    says "from 128x128 to 64x64"
    says "==> Enabled attention slicing"
    says "==> Enabled model CPU offload"
    says "levers: attention in slices"
    DIFFUSIONAPI_MEMORY_CONFIG="$work/memory.json" DIFFUSIONAPI_ENABLE_ATTENTION_SLICING=false \
        succeeds txt2img --steps 1 --output c.png
    ! grep -q "attention slicing" "$work/said" || fail "the variable does not win over the file"
    DIFFUSIONAPI_MAX_IMAGE_SIZE=96x96 succeeds txt2img --steps 1 --max-image-size 64x64 --output c.png
    says "from 128x128 to 64x64"
    DIFFUSIONAPI_MEMORY_BUDGET=much refuses DIFFUSIONAPI_MEMORY_BUDGET txt2img --output bad.png
}

runs_on_the_device_it_was_built_for() {
    refuses "computes on the cpu" txt2img --device mps --output bad.png
    refuses "at most the total" txt2img --total 1G --available 2G --output bad.png
    succeeds txt2img --device cpu --steps 1 --output d.png
}

prints_plans() {
    succeeds plan --image 640x480 --device cpu --total 8G --available 6G --prompt "anything"
    prints "==> Image size: 640x480 requested, 584x440 used"
    for words in "phase, MB" "text encode" "vae encode" "denoise" "vae decode" "image encode" \
        "#|" "peak" "levers:" "may be used:" "largest size:" "no weight was read"; do
        prints "$words"
    done
    succeeds txt2img --steps 1 --width 96 --height 64 --output e.png
    succeeds plan --image e.png
    prints "==> Image size: 96x64 requested, 96x64 used"
    refuses "a size such as 640x480" plan --image absent.png
    succeeds plan --json --memory-budget ${SANITIZED:+9}30M --width 512 --height 512
    for words in '"peak_bytes"' '"phases"' '"levers"' '"stream_unet"' '"largest"' '"log"'; do
        prints "$words"
    done
}

# Another process reserves more than any machine has, for two seconds.
waits_for_memory_that_others_have_reserved() {
    python=$(command -v python3) || return
    [ "$(uname)" = Linux ] || return
    mkdir "$work/shared"
    mkfifo "$work/ready"
    "$python" - "$work/shared/diffusionapi-memory" "$work/ready" <<'HOLD' &
import fcntl, os, struct, sys, time
slot, size = 3, 32
f = open(sys.argv[1], "w+b")
F_OFD_SETLK, at = 37, size * (slot + 1)
fcntl.fcntl(f, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, at, size, 0))
os.pwrite(f.fileno(), struct.pack("QQqQ", 1 << 50, 0, os.getpid(), 0), at)
open(sys.argv[2], "w").write("x")
time.sleep(2)
HOLD
    read -r _ <"$work/ready"
    XDG_RUNTIME_DIR="$work/shared" succeeds txt2img --steps 1 --output shared.png
    says "waiting for memory that other runs have reserved"
    says "==> Levers: none"
    wait
    XDG_RUNTIME_DIR="$work/shared" succeeds txt2img --steps 1 --output shared.png
    ! grep -q waiting "$work/said" || fail "waits for the dead"
    XDG_RUNTIME_DIR="$work/nowhere" succeeds txt2img --steps 1 --output shared.png
}

demo=$(realpath assets/demo-model)
tells_what_it_found_and_did
makes_pictures_as_small_as_the_table_says
if [ -z "${SANITIZED:-}" ]; then
    keeps_to_a_budget
else
    echo "left out: budgets; resident sizes under a sanitizer are not the program's"
fi
takes_settings_from_everywhere
runs_on_the_device_it_was_built_for
waits_for_memory_that_others_have_reserved
prints_plans
plans_networks_of_full_size_from_headers_alone
if [ -d "$refs/tiny-sdxl" ]; then
    prints_the_transcript_of_sdxl_on_a_mac "$refs/tiny-sdxl"
fi
[ $failures = 0 ] || { echo "$failures checks failed" >&2; exit 1; }
