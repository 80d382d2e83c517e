#!/bin/sh
# SDXL and its refiner through the program: sdxl_test.sh PROGRAM PICTURE_TOOL MKCHECKPOINT.  Small
# models of random weights; what their pictures must be is refcheck's business.  Each function
# finishes "it ...".
program=$(realpath "$1")
tool=$(realpath "$2")
mkcheckpoint=$(realpath "$3")
tokenizer=$(realpath assets/demo-model/tokenizer)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

draw() { # OUT, arguments
    name=$1
    shift
    (cd "$work" && "$program" txt2img --tokenizer "$tokenizer" --prompt "a red circle" \
        --width 64 --height 64 --steps 4 --cfg-scale 5 --seed 1 --output "$name" "$@") \
        >"$work/out" 2>"$work/said" || fail "$name: $(cat "$work/said")"
}

same() { # A B
    [ "$("$tool" difference "$work/$1" "$work/$2")" = 0.0000 ] || fail "$1 and $2 differ"
}

differ() { # A B
    [ "$("$tool" difference "$work/$1" "$work/$2")" != 0.0000 ] || fail "$1 and $2 are the same"
}

draws_the_same_from_a_folder_and_from_a_single_file() {
    for model in sdxl refiner; do
        draw $model.png --model $model
        draw single-$model.png --model $model.safetensors
        same $model.png single-$model.png
    done
}

listens_to_prompts_and_size() {
    draw other.png --model sdxl --prompt "a green square"
    differ sdxl.png other.png
    draw negative.png --model sdxl --negative-prompt "a green square"
    differ sdxl.png negative.png
    draw unguided.png --model sdxl --cfg-scale 1 --width 64 --height 128
    [ "$("$tool" size "$work/unguided.png")" = 64x128 ] || fail "another size"
}

counts_clip_skip_from_the_layer_it_was_trained_with() {
    draw skip2.png --model sdxl --clip-skip 2
    same sdxl.png skip2.png
    (cd "$work" && "$program" txt2img --model sdxl --clip-skip 3 --output bad.png) 2>"$work/said"
    grep -q "clip skip 3" "$work/said" || fail "a layer that is not there: $(cat "$work/said")"
}

changes_a_picture() {
    (cd "$work" && "$program" img2img --model sdxl --image sdxl.png --denoising-strength 0 \
        --prompt x --seed 2 --output kept.png) >"$work/out" 2>"$work/said" ||
        fail "img2img: $(cat "$work/said")"
    [ "$("$tool" size "$work/kept.png")" = 64x64 ] || fail "img2img's size"
}

takes_every_type_of_weights() {
    for type in f32 bf16; do
        "$mkcheckpoint" tiny-sdxl "$work/$type" --dtype $type --seed 3
        draw $type.png --model $type
    done
}

predicts_v_where_the_scheduler_says_so() {
    cp -r "$work/sdxl" "$work/v"
    sed -i.old 's/"epsilon"/"v_prediction"/' "$work/v/scheduler/scheduler_config.json"
    draw v.png --model v
    differ sdxl.png v.png
    sed -i.old 's/"rescale_betas_zero_snr": false/"rescale_betas_zero_snr": true/' \
        "$work/v/scheduler/scheduler_config.json"
    draw zero-snr.png --model v
    differ v.png zero-snr.png
    # Single files say both with empty tensors.
    "$mkcheckpoint" tiny-sdxl "$work/marked.safetensors" --single-file --v-prediction --seed 3 \
        --tokenizer "$tokenizer" || fail "mkcheckpoint --v-prediction"
    draw marked.png --model marked.safetensors
    same zero-snr.png marked.png
    "$program" inspect "$work/marked.safetensors" | grep -q "zero terminal SNR" || fail "inspect"
}

draws_the_same_with_little_memory() {
    draw lean.png --model sdxl --enable-sequential-cpu-offload true
    same sdxl.png lean.png
}

peaks_no_higher_than_planned() {
    [ -z "${SANITIZED:-}" ] || return
    sed -n 's/.*planned peak \([0-9.]*\) MB, measured peak \([0-9.]*\) MB/\1 \2/p' "$work/said" |
        awk '$2 > $1 { print "planned " $1 ", measured " $2; exit 1 }' >&2 || fail "$name: the peak"
}

hands_over_to_the_refiner() {
    for sampler in Euler Heun "DPM2 a" DDIM "DPM++ 2M"; do
        draw alone.png --model sdxl --sampler "$sampler"
        draw both.png --model sdxl --sampler "$sampler" --refiner refiner --refiner-switch-at 0.5
        peaks_no_higher_than_planned
        differ alone.png both.png
        draw single.png --model sdxl.safetensors --sampler "$sampler" \
            --refiner refiner.safetensors --refiner-switch-at 0.5
        same both.png single.png
        draw lean.png --model sdxl --sampler "$sampler" --refiner refiner \
            --refiner-switch-at 0.5 --enable-sequential-cpu-offload true
        peaks_no_higher_than_planned
        same both.png lean.png
        draw held.png --model sdxl --sampler "$sampler" --refiner refiner \
            --refiner-switch-at 0.5 --enable-cpu-offload false
        peaks_no_higher_than_planned
        same both.png held.png
    done
    draw both.png --model sdxl --refiner refiner --refiner-switch-at 0.5 --batch-size 1
    [ "$("$tool" info "$work/both.png" "Refiner")" = refiner ] || fail "the refiner's name"
    [ "$("$tool" info "$work/both.png" "Refiner switch at")" = 0.5 ] || fail "where it takes over"
    draw late.png --model sdxl --refiner refiner --refiner-switch-at 0.75
    differ both.png late.png
    draw all.png --model sdxl --refiner refiner --refiner-switch-at 0
    differ all.png both.png
}

takes_another_base_model_for_a_refiner() {
    draw self.png --model sdxl --refiner sdxl --refiner-switch-at 0.5
    same sdxl.png self.png
}

says_when_a_refiner_is_no_use() {
    draw never.png --model sdxl --refiner refiner --refiner-switch-at 1
    same sdxl.png never.png
    grep -q "warning: the refiner refiner has no step" "$work/said" || fail "no warning"
    "$mkcheckpoint" tiny "$work/sd1" --tokenizer "$tokenizer"
    draw sd1.png --model sd1 --refiner refiner
    grep -q "warning: the refiner refiner is ignored" "$work/said" || fail "no warning for SD 1.x"
    (cd "$work" && "$program" txt2img --model sdxl --refiner sd1 --output bad.png) 2>"$work/said"
    grep -q "sd1 cannot refine sdxl" "$work/said" || fail "$(cat "$work/said")"
    [ ! -e "$work/bad.png" ] || fail "a picture in spite of that"
}

for model in sdxl refiner; do
    "$mkcheckpoint" tiny-$model "$work/$model" --seed 3 --tokenizer "$tokenizer" &&
        "$mkcheckpoint" tiny-$model "$work/$model.safetensors" --single-file --seed 3 \
            --tokenizer "$tokenizer" || fail "no $model"
done
draws_the_same_from_a_folder_and_from_a_single_file
listens_to_prompts_and_size
counts_clip_skip_from_the_layer_it_was_trained_with
changes_a_picture
takes_every_type_of_weights
predicts_v_where_the_scheduler_says_so
draws_the_same_with_little_memory
hands_over_to_the_refiner
takes_another_base_model_for_a_refiner
says_when_a_refiner_is_no_use
[ $failures = 0 ] || { echo "$failures checks failed" >&2; exit 1; }
