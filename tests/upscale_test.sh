#!/bin/sh
# Upscaling through the program: upscale_test.sh PROGRAM PICTURE_TOOL MKCHECKPOINT.  What networks
# compute is rrdb_test's and refcheck's business.  Each function finishes "it ...".
program=$(realpath "$1")
mkcheckpoint=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

run() { # arguments; sets status
    (cd "$work" && "$program" "$@") >"$work/out" 2>"$work/said"
    status=$?
}

says() { # WORDS
    grep -q -- "$1" "$work/said" || fail "not said: $1; but: $(cat "$work/said")"
}

enlarges_with_filters() {
    for name in Lanczos nearest "Latent (bicubic)"; do
        run upscale --upscaler "$name" --scale 1.5 --image in.png --output out.png
        [ "$status" = 0 ] || fail "$name: $(cat "$work/said")"
        says "(96x96)"
    done
    run upscale --upscaler None --image in.png --output out.png
    says "(64x64)"
    run upscale --image in.png --output out.png
    says "(128x128)"
}

enlarges_with_a_network_to_any_size() {
    run upscale --upscaler up --image in.png --output whole.png
    [ "$status" = 0 ] || fail "a network: $(cat "$work/said")"
    says "planned peak"
    says "(128x128)"
    run upscale --upscaler ./upscalers/up.safetensors --scale 3 --image in.png --output out.png
    says "(192x192)"
    run upscale --upscaler up --memory-budget ${SANITIZED:+1}40M --image in.png --output small.png
    [ "$status" = 0 ] || fail "a small budget: $(cat "$work/said")"
    cmp -s "$work/whole.png" "$work/small.png" || fail "less memory makes another picture"
}

refuses_what_cannot_be() {
    for name in ../up .up nothing; do
        run upscale --upscaler "$name" --image in.png --output out.png
        [ "$status" = 2 ] || fail "--upscaler $name: status $status"
    done
    run upscale --upscaler up --image none.png
    [ "$status" = 2 ] || fail "no picture: status $status"
    run upscale --upscaler up
    says "wants --image"
    run upscale --upscaler up --memory-budget 5M --image in.png --output no.png
    [ "$status" = 2 ] && [ ! -e "$work/no.png" ] || fail "too little memory: status $status"
    says "at least"
}

mkdir "$work/upscalers"
run txt2img --prompt "a red circle" --width 64 --height 64 --steps 1 --seed 1 --output in.png
"$mkcheckpoint" esrgan "$work/upscalers/up.safetensors" --scale 2 || fail "mkcheckpoint"
enlarges_with_filters
enlarges_with_a_network_to_any_size
refuses_what_cannot_be
[ "$failures" = 0 ]
