#!/bin/sh
# Two passes, masks and their flags through the program: hires_test.sh PROGRAM PICTURE_TOOL
# MKCHECKPOINT.  What is drawn is the pipeline's tests' business.  Each function finishes "it ...".
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

run() { # arguments; sets status
    (cd "$work" && "$program" "$@") >"$work/out" 2>"$work/said"
    status=$?
}

says() { # WORDS
    grep -q -- "$1" "$work/said" || fail "not said: $1; but: $(cat "$work/said")"
}

peaks_no_higher_than_planned() {
    [ -z "${SANITIZED:-}" ] || return
    sed -n 's/.*planned peak \([0-9.]*\) MB, measured peak \([0-9.]*\) MB/\1 \2/p' "$work/said" |
        awk '$2 > $1 { print "planned " $1 ", measured " $2; exit 1 }' >&2 || fail "the peak: $1"
}

draw() { # FILE arguments: a small txt2img
    file=$1
    shift
    run txt2img --prompt "a red circle" --width 64 --height 64 --steps 2 --seed 1 --output "$file" \
        "$@"
    [ "$status" = 0 ] || fail "$*: $(cat "$work/said")"
    peaks_no_higher_than_planned "$*"
}

paint() { # FILE arguments: img2img over in.png
    file=$1
    shift
    run img2img --image in.png --prompt "a green square" --steps 2 --seed 1 --output "$file" "$@"
    [ "$status" = 0 ] || fail "$*: $(cat "$work/said")"
    peaks_no_higher_than_planned "$*"
}

is() { # FILE KEY VALUE
    found=$("$tool" info "$work/$1" "$2")
    [ "$found" = "$3" ] || fail "$1: $2 is '$found', not '$3'"
}

has_size() { # FILE SIZE
    [ "$("$tool" size "$work/$1")" = "$2" ] || fail "$1 is $("$tool" size "$work/$1"), not $2"
}

differ() { # FILE FILE
    cmp -s "$work/$1" "$work/$2" && fail "$1 and $2 are the same"
}

is_near() { # FILE FILE MOST
    "$tool" difference "$work/$1" "$work/$2" | awk -v most="$3" '{ exit $1 > most }' ||
        fail "$1 and $2: $("$tool" difference "$work/$1" "$work/$2")"
}

draws_in_two_passes() {
    draw h.png --hires --hires-upscaler "Latent (bicubic)" --hires-steps 3 \
        --hires-denoising-strength 0.5 --hires-sampler "DPM++ 2M Karras" --hires-prompt "a blue star"
    has_size h.png 128x128
    is h.png Size 64x64
    is h.png "Hires upscale" 2
    is h.png "Hires upscaler" "Latent (bicubic)"
    is h.png "Hires steps" 3
    is h.png "Hires sampler" "DPM++ 2M"
    is h.png "Hires prompt" "a blue star"
    is h.png "Denoising strength" 0.5
    says "hires denoise"
    draw cut.png --hires --hires-width 160 --hires-height 96 --hires-upscaler Lanczos
    has_size cut.png 160x96
    is cut.png "Hires resize" 160x96
}

enlarges_with_a_network_between_them() {
    draw net.png --hires --hires-upscaler up --hires-denoising-strength 0.5
    has_size net.png 128x128
    is net.png "Hires upscaler" up
    says "hires upscale"
    draw lean.png --hires --hires-upscaler ./upscalers/up.safetensors \
        --hires-denoising-strength 0.5 --enable-sequential-cpu-offload true
    is_near net.png lean.png 0
    draw four.png --hires --hires-scale 3 --hires-upscaler up # once more, and down to 3
    has_size four.png 192x192
    run txt2img --prompt x --width 64 --height 64 --hires --hires-upscaler ../up --output no.png
    [ "$status" = 2 ] && [ ! -e "$work/no.png" ] || fail "an upscaler that is none: $status"
}

has_smaller_targets_where_memory_ends() {
    draw small.png --hires --hires-scale 8 --max-image-size 256x256 --size-policy table
    has_size small.png 256x256
    says "Image size adjusted from 512x512 to 256x256 to prevent memory issues"
    is small.png "Hires resize" 256x256
    is small.png "Requested size" 512x512
    draw none.png --hires --max-image-size 64x64 --size-policy table
    has_size none.png 64x64
    says "warning: there is no second pass"
    run txt2img --prompt x --width 64 --height 64 --hires --steps 1 --hires-scale 8 --memory-budget 22M \
        --size-policy refuse --hires-steps 1 --output no.png
    [ "$status" = 2 ] || fail "refuse: status $status"
    says "512x512 needs"
    says "would fit"
}

plans_two_passes_and_masks() {
    run plan --prompt "a red circle" --width 64 --height 64 --hires --hires-upscaler up --json
    [ "$status" = 0 ] || fail "plan: $(cat "$work/said")"
    for phase in "hires decode" "hires upscale" "hires encode" "hires denoise"; do
        grep -q "\"$phase\"" "$work/out" || fail "plan without $phase"
    done
    run plan --prompt x --image 300x200 --mask any.png --width 64 --height 64 --inpaint-full-res \
        --json
    [ "$status" = 0 ] && grep -q '"input"' "$work/out" || fail "plan of a mask: $(cat "$work/said")"
}

paints_under_a_mask() {
    paint m.png --mask mask.png --mask-blur 2 --inpainting-fill 2 --mask-invert
    is m.png "Mask blur" 2
    is m.png "Masked content" "latent noise"
    is m.png "Mask mode" "Inpaint not masked"
    paint region.png --mask mask.png --inpaint-full-res --inpaint-full-res-padding 4 --width 128 \
        --height 128
    has_size region.png 64x64
    is region.png "Inpaint area" "Only masked"
    is region.png "Masked area padding" 4
        run img2img --image in.png --mask missing.png --prompt x --output no.png
    [ "$status" != 0 ] && [ ! -e "$work/no.png" ] || fail "a mask that is not there"
    run txt2img --prompt x --mask mask.png
    [ "$status" = 2 ] || fail "txt2img takes a mask"
}

brings_pictures_to_size() {
    paint a.png --width 128 --height 64 --resize-mode "crop and resize"
    paint b.png --width 128 --height 64 --resize-mode 2
    differ a.png b.png
    has_size b.png 128x64
    paint by.png --resize-by 1.5
    has_size by.png 96x96
    run img2img --image in.png --prompt x --resize-mode 9 --output no.png
    [ "$status" = 2 ] || fail "resize mode 9: $status"
    says "crop and resize"
    paint all.png --img2img-rule "webui all" --denoising-strength 0.5
    says "step 2/2"
}

draws_variations_and_rounds() {
    draw v.png --subseed 9 --subseed-strength 0.3
    is v.png "Variation seed" 9
    is v.png "Variation seed strength" 0.3
    draw n.png --n-iter 2 --batch-size 2
    for i in 1 2 3 4; do
        is n-$i.png Seed $i
    done
    draw one.png --seed 3
    is_near n-3.png one.png 0.01
    draw e.png --eta 0.5 --s-noise 1.1
    is e.png Eta 0.5
    draw plain.png
    differ e.png plain.png
    draw churn.png --sampler Euler --s-churn 2
    draw still.png --sampler Euler
    differ churn.png still.png
}

# The weights mean nothing; that they are read, shown masks and planned is what is seen.
runs_inpainting_models() {
    for model in nine nine.safetensors; do
        draw txt.png --model $model
        paint nine-$model.png --model $model --mask mask.png
        draw two.png --model $model --hires --hires-upscaler Lanczos
        has_size two.png 128x128
    done
    is_near nine-nine.png nine-nine.safetensors.png 0
    run inspect nine
    grep -q "9 in" "$work/out" || fail "inspect: $(cat "$work/out")"
}

tells_sdxl_the_second_passs_size_and_refines_it() {
    draw x.png --model sdxl --hires --hires-upscaler Latent
    draw r.png --model sdxl --hires --hires-upscaler Latent --refiner refiner \
        --refiner-switch-at 0.9
    differ x.png r.png
    says "refine"
}

mkdir "$work/upscalers" "$work/models"
export DIFFUSIONAPI_UPSCALERS_DIR="$work/upscalers" DIFFUSIONAPI_MODELS_DIR="$work/models"
"$mkcheckpoint" esrgan "$work/upscalers/up.safetensors" --scale 2 || fail "mkcheckpoint"
"$mkcheckpoint" tiny "$work/models/nine" --inpainting --tokenizer "$tokenizer" &&
    "$mkcheckpoint" tiny "$work/models/nine.safetensors" --inpainting --single-file \
        --tokenizer "$tokenizer" &&
    "$mkcheckpoint" tiny-sdxl "$work/models/sdxl" --tokenizer "$tokenizer" &&
    "$mkcheckpoint" tiny-refiner "$work/models/refiner" --tokenizer "$tokenizer" ||
    fail "mkcheckpoint"
draw in.png
cp "$work/in.png" "$work/mask.png" # a circle that is brighter than its ground, or darker
draws_in_two_passes
enlarges_with_a_network_between_them
has_smaller_targets_where_memory_ends
plans_two_passes_and_masks
paints_under_a_mask
brings_pictures_to_size
draws_variations_and_rounds
runs_inpainting_models
tells_sdxl_the_second_passs_size_and_refines_it
[ "$failures" = 0 ]
