#!/bin/sh
# The program from outside: cli_test.sh PROGRAM PICTURE_TOOL.  Each function finishes "it ...".
program=$(realpath "$1")
tool=$(realpath "$2")
work=$(mktemp -d)
trap 'umount "$work/full" 2>/dev/null; rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# Runs the program in the work folder with everything it says in $work/said; sets status.
run() {
    (cd "$work" && "$program" "$@") >"$work/out" 2>"$work/said"
    status=$?
}

expect() { # STATUS, what must be said (a fixed string), arguments of the program
    want=$1 words=$2
    shift 2
    run "$@"
    [ "$status" = "$want" ] || fail "$*: status $status, not $want: $(cat "$work/said")"
    grep -qF -- "$words" "$work/said" || fail "$*: does not say '$words': $(cat "$work/said")"
    [ "$want" != 2 ] || [ "$(wc -l <"$work/said")" = 1 ] ||
        fail "$*: says more than one line: $(cat "$work/said")"
    [ -z "$(ls -A "$work" | grep -E '^\.tmp|^bad')" ] || fail "$*: left a file behind"
}

refuses_bad_input_in_one_sentence() {
    mkdir -p "$work/folder.png" "$work/empty"
    : >"$work/nothing.png"
    head -c 3000 /dev/urandom >"$work/noise.png"
    head -c 20 "$work/first.png" >"$work/cut.png"
    printf '\377\377\377\377\377\377\377\177{}' >"$work/claims.safetensors"
    head -c 4 /dev/zero >"$work/short.safetensors"
    printf '\002\0\0\0\0\0\0\0{}' >"$work/no-tensors.safetensors"
    while IFS='|' read -r words arguments; do
        # shellcheck disable=SC2086 # the rows' arguments are split at blanks
        [ -z "$words" ] || expect 2 "$words" $arguments --output=bad.png </dev/null
    done <<'ROWS'
--negative-prompt, --width|txt2img --nonsense 1
--image|img2img --nonsense=1
LMS, DDIM, PLMS, UniPC, LCM|txt2img --sampler nonsense
Karras, Exponential|txt2img --scheduler nonsense
cpu, philox|txt2img --rng dice
multiple of 8 from 64 to 4096, not 100|txt2img --width 100
multiple of 8 from 64 to 4096, not 8192|txt2img --height 8192
0 is not from 64|txt2img --width 0
-8 is not from 64|txt2img --height -8
is not a whole number|txt2img --width 64.5
is not from|txt2img --width 99999999999999999999
0 is not from 1|txt2img --steps 0
steps is from 1 to 150, not 151|txt2img --steps 151
'nan' is not a number|txt2img --cfg-scale nan
'inf' is not a number|txt2img --cfg-scale inf
-1 is not from 0 to 100|txt2img --cfg-scale -1
is not from -1 to 4294967295|txt2img --seed 4294967296
is not from -1 to 4294967295|txt2img --seed -2
is not from 0 to 1|img2img --image first.png --denoising-strength 1.5
batch_size is from 1 to 16, not 17|txt2img --batch-size 17
is not from 1 to 12|txt2img --clip-skip 0
is none of: auto portable|txt2img --isa mmx
is not from 0 to 256|txt2img --threads -1
is not from 1 to 100|txt2img --jpeg-quality 0
needs a value|txt2img --prompt
flags begin with --|txt2img prompt
needs a picture: --image FILE|img2img
No such file|img2img --image absent.png
known are: png, jpeg|img2img --image nothing.png
known are: png, jpeg|img2img --image noise.png
--image: |img2img --image cut.png
--image: |img2img --image folder.png
neither a path nor a name|txt2img --model nonsense
there is no VAE 'nonsense'|txt2img --vae nonsense
not a VAE|txt2img --vae ./empty
known are: png, jpeg|txt2img --preview now.gif
is not from 1 to 1000|txt2img --preview-every 0
neither a path nor a name|txt2img --model ../nonsense
claims.safetensors|txt2img --model claims.safetensors
short.safetensors|txt2img --model short.safetensors
no-tensors.safetensors|txt2img --model no-tensors.safetensors
empty/|txt2img --model empty
empty/vocab.json|txt2img --tokenizer empty
ROWS
    expect 2 "known are: png, jpeg" txt2img --output bad.gif
    expect 2 "known are: png, jpeg" txt2img --output bad
    expect 2 "there is no folder" txt2img --output absent/bad.png
    expect 2 "is no file" txt2img --output folder.png
    expect 2 "there are txt2img, img2img" draw
    expect 2 "there are txt2img, img2img" help draw
    expect 2 "needs a PATH" inspect
    expect 2 "absent.json" settings --memory-config absent.json
    expect 2 "safetensors" inspect claims.safetensors
    expect 2 "UTF-8" txt2img --prompt "$(printf 'a\377b')" --output bad.png
    DIFFUSIONAPI_THREADS=many expect 2 "DIFFUSIONAPI_THREADS" txt2img --output bad.png
}

tells_what_it_can_do() {
    for arguments in help "help txt2img" "img2img --help" version samplers settings \
        "settings --manual" "inspect ''" -h --version; do
        eval run "$arguments"
        [ "$status" = 0 ] && [ -s "$work/out" ] || fail "$arguments: status $status"
    done
    run info absent.png
    [ "$status" = 2 ] || fail "info of no file: status $status"
    run inspect ''
    grep -q v_prediction "$work/out" || fail "inspect does not tell the prediction"
    DIFFUSIONAPI_THREADS=3 run settings --isa portable
    grep -q 'threads *3 *(environment)' "$work/out" || fail "settings: threads"
    grep -q 'isa *portable *(flag)' "$work/out" || fail "settings: isa"
}

info() { # FILE KEY VALUE
    is=$("$tool" info "$work/$1" "$2")
    [ "$is" = "$3" ] || fail "$1: $2 is '$is', not '$3'"
}

writes_a_picture_that_tells_how_it_was_made() {
    expect 0 "picture: first.png (seed 3)" txt2img --prompt "a red circle, on a blue background" \
        --negative-prompt "a star" --seed 3 --steps 6 --sampler "DPM++ 2M Karras" --output first.png
    for words in "text encode" "denoise" "vae decode" "planned peak" "measured peak" "step 6/6"; do
        grep -q "$words" "$work/said" || fail "does not tell $words"
    done
    [ "$("$tool" size "$work/first.png")" = 128x128 ] || fail "size"
    info first.png prompt "a red circle, on a blue background"
    info first.png negative "a star"
    info first.png Steps 6
    info first.png Sampler "DPM++ 2M"
    info first.png "Schedule type" Karras
    info first.png "CFG scale" 5
    info first.png Seed 3
    info first.png Size 128x128
    info first.png Model demo
    expect 0 "Exponential" txt2img --sampler "DPM++ 2M Karras" --scheduler Exponential --steps 2 \
        --rng philox --clip-skip 2 --cfg-scale=1 --width 64 --height 72 --output second.jpg
    info second.jpg "Schedule type" Exponential
    info second.jpg "Clip skip" 2
    info second.jpg "CFG scale" 1
    [ "$("$tool" size "$work/second.jpg")" = 64x72 ] || fail "size of second.jpg"
    expect 0 "--prompt has 90 tokens; the model sees the first 75" txt2img --steps 1 \
        --prompt-syntax off \
        --prompt "$(for _ in $(seq 90); do printf 'red '; done)" --output third.png
    for sampler in "Euler" "Euler a" "Heun" "DPM++ 2M" "LMS" "DDIM"; do
        expect 0 "picture:" txt2img --sampler "$sampler" --steps 3 --width 64 --height 64 \
            --output third.png
        info third.png Sampler "$sampler"
    done
}

writes_and_reads_every_format() {
    for ending in png jpg webp avif; do
        expect 0 "picture: as.$ending" txt2img --prompt "a red circle, \"round\"" --seed 5 --steps 2 \
            --output "as.$ending"
        run info "as.$ending"
        grep -q '128x128' "$work/out" && grep -q 'Seed: 5, Size: 128x128' "$work/out" ||
            fail "info as.$ending: $(cat "$work/out")"
        run info --json "as.$ending"
        grep -q '"prompt": "a red circle, \\"round\\""' "$work/out" &&
            grep -q '"Seed": 5' "$work/out" || fail "info --json as.$ending: $(cat "$work/out")"
        expect 0 "picture: again.png" img2img --image "as.$ending" --prompt x --steps 1 \
            --output again.png
    done
    expect 2 "webp" txt2img --output moving.gif
    expect 2 "is not from 1 to 100" txt2img --avif-quality 0
}

draws_the_same_picture_again_for_any_number_of_threads() {
    for threads in 1 2 3; do
        for time in first second; do
            expect 0 "picture:" txt2img --prompt "a green star" --seed 11 --steps 5 \
                --threads $threads --output "same-$threads-$time.png"
        done
    done
    for file in "$work"/same-*.png; do
        cmp -s "$work/same-1-first.png" "$file" || fail "$file differs"
    done
}

draws_nearly_the_same_with_every_instruction_set() {
    for isa in portable avx2 avx512 amx neon; do
        run txt2img --prompt "a green star" --seed 11 --steps 5 --sampler Euler --isa $isa \
            --output "isa-$isa.png"
        if [ $status = 2 ]; then
            grep -qE "there is no instruction set|does not offer the instruction set" "$work/said" || fail "$isa: $(cat "$work/said")"
            continue
        fi
        [ $status = 0 ] || fail "$isa: $(cat "$work/said")"
        away=$("$tool" difference "$work/isa-portable.png" "$work/isa-$isa.png")
        [ "$(echo "$away" | awk '{ print ($1 <= 0.5) }')" = 1 ] ||
            fail "$isa is $away away from portable"
    done
}

makes_batches_and_names_of_its_own() {
    expect 0 "picture: b-2.png (seed 8)" txt2img --prompt "a green star" --seed 7 --steps 3 \
        --batch-size 2 --output b.png
    expect 0 "picture: alone.png" txt2img --prompt "a green star" --seed 8 --steps 3 \
        --output alone.png
    info b-2.png Seed 8
    away=$("$tool" difference "$work/b-2.png" "$work/alone.png")
    [ "$(echo "$away" | awk '{ print ($1 <= 0.5) }')" = 1 ] ||
        fail "the second of a batch is $away away from the same seed alone"
    expect 0 "picture: picture-1.png" txt2img --steps 1
    expect 0 "picture: picture-2.png" txt2img --steps 1 --seed -1
    [ -s "$work/picture-1.png" ] && [ -s "$work/picture-2.png" ] || fail "own names"
}

starts_from_a_picture() {
    expect 0 "picture:" img2img --image first.png --prompt "a green circle" --steps 4 \
        --denoising-strength 0.5 --output from.png
    info from.png "Denoising strength" 0.5
    expect 0 "resized from 64x72 to 96x64" img2img --image second.jpg --steps 2 --width 96 \
        --height 64 --output from.png
    [ "$("$tool" size "$work/from.png")" = 96x64 ] || fail "size of img2img"
    expect 0 "picture:" img2img --image second.jpg --steps 2 --output from.jpeg
    [ "$("$tool" size "$work/from.jpeg")" = 64x72 ] || fail "size of the input"
}

finds_models_by_name() {
    mkdir -p "$work/models"
    cp -R assets/demo-model "$work/models/shapes"
    expect 0 "picture:" txt2img --model shapes --steps 1 --output named.png
    info named.png Model shapes
    expect 2 "shapes" txt2img --model absent --output bad.png
}

draws_with_another_vae_and_shows_what_is_coming() {
    repository=$(cd "$(dirname "$0")/.." && pwd)
    mkdir "$work/vaes"
    cp "$repository/tests/data/taesd-random.safetensors" "$work/vaes/taesd.safetensors"
    run txt2img --prompt "a red circle" --seed 7 --steps 3 --output own.png
    run txt2img --prompt "a red circle" --seed 7 --steps 3 --output tiny.png --vae taesd \
        --vae-dir vaes --preview now.png
    [ "$status" = 0 ] || fail "--vae taesd: $(cat "$work/said")"
    info tiny.png VAE taesd
    cmp -s "$work/own.png" "$work/tiny.png" && fail "--vae taesd: the same picture"
    run txt2img --prompt "a red circle" --seed 7 --steps 3 --output seen.png --preview-every 1
    [ "$status" = 0 ] || fail "--preview-every: $(cat "$work/said")"
    names=$(cd "$work" && echo now.png seen*)
    [ "$names" = "now.png seen-preview-1.png seen-preview-2.png seen.png" ] ||
        fail "previews: $names"
    cmp -s "$work/own.png" "$work/seen.png" || fail "previews changed the picture"
}

stops_at_ctrl_c_and_leaves_nothing() {
    for signal in INT TERM; do
        (cd "$work" && exec "$program" txt2img --width 512 --height 512 --steps 150 \
            --output stopped.png) 2>"$work/said" &
        child=$!
        for _ in $(seq 200); do
            grep -q '^denoise' "$work/said" && break
            sleep 0.1
        done
        kill -$signal $child
        wait $child
        status=$?
        [ $status = 130 ] || fail "$signal: status $status"
        [ -z "$(ls -A "$work" | grep -E '^\.tmp|^stopped')" ] || fail "$signal: left a file"
    done
}

leaves_no_half_file_on_a_full_disk() {
    # A limit on file sizes makes writing fail for anybody; a full tmpfs needs root.
    said=$( (trap '' XFSZ && ulimit -f 1 && cd "$work" &&
        "$program" txt2img --steps 1 --output full.png; echo "status $?") 2>&1)
    echo "$said" | grep -q "status 1" || fail "file too large: $said"
    [ -z "$(ls -A "$work" | grep -E '^\.tmp|^full.png')" ] || fail "file too large: left a file"
    mkdir "$work/full"
    mount -t tmpfs -o size=16k none "$work/full" 2>/dev/null || return
    head -c 8000 /dev/zero >"$work/full/other"
    expect 1 "No space left" txt2img --steps 1 --output full/full.png
    [ "$(ls -A "$work/full")" = other ] || fail "full disk: left a file"
    umount "$work/full"
}

writes_a_picture_that_tells_how_it_was_made
refuses_bad_input_in_one_sentence
tells_what_it_can_do
writes_and_reads_every_format
draws_the_same_picture_again_for_any_number_of_threads
draws_nearly_the_same_with_every_instruction_set
makes_batches_and_names_of_its_own
starts_from_a_picture
finds_models_by_name
draws_with_another_vae_and_shows_what_is_coming
stops_at_ctrl_c_and_leaves_nothing
leaves_no_half_file_on_a_full_disk
[ $failures = 0 ] || { echo "$failures checks failed" >&2; exit 1; }
