#!/bin/sh
# LoRAs through the program: lora_test.sh PROGRAM PICTURE_TOOL MKCHECKPOINT.  A small model and LoRAs
# of random weights; what their pictures must be is refcheck's business.  Each function finishes
# "it ...".
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

make() {
    "$mkcheckpoint" "$@" || fail "mkcheckpoint $*"
}

run() { # arguments; sets status
    (cd "$work" && "$program" "$@") >"$work/out" 2>"$work/said"
    status=$?
}

draw() { # OUT PROMPT, arguments
    name=$1 prompt=$2
    shift 2
    run txt2img --model model --prompt "$prompt" --width 64 --height 64 --steps 3 --seed 1 \
        --output "$name" "$@"
    [ "$status" = 0 ] || fail "$name: $(cat "$work/said")"
}

says() { # FILE WORDS
    grep -qF -- "$2" "$work/$1" || fail "does not say '$2': $(cat "$work/$1")"
}

same() { # A B
    [ "$("$tool" difference "$work/$1" "$work/$2")" = 0.0000 ] || fail "$1 and $2 differ"
}

differ() { # A B
    [ "$("$tool" difference "$work/$1" "$work/$2")" != 0.0000 ] || fail "$1 and $2 are the same"
}

draws_with_a_lora_in_either_spelling() {
    draw none.png "a red circle"
    draw kohya.png "a red circle" --lora kohya:0.8
    draw peft.png "a red circle" --lora ./loras/peft.safetensors:0.8
    draw negative.png "a red circle" --lora kohya:-0.8
    draw zero.png "a red circle" --lora kohya:0
    differ none.png kohya.png
    differ kohya.png negative.png
    same kohya.png peft.png
    same none.png zero.png
    grep -qa 'LoRAs: "kohya:0.8"' "$work/kohya.png" || fail "the LoRA is not in the infotext"
}

takes_loras_from_the_prompt() {
    draw tag.png "a red circle<lora:kohya:0.8>"
    same kohya.png tag.png
    draw both.png "a red circle<lora:kohya:0.5>" --lora peft:0.3
    draw locon.png "a red circle <lora:locon:1:0>"
    differ none.png locon.png
}

streams_to_the_same_picture() {
    draw held.png "a red circle" --lora locon:0.7 --lora kohya:-0.2
    draw streamed.png "a red circle" --lora locon:0.7 --lora kohya:-0.2 \
        --enable-sequential-cpu-offload true
    same held.png streamed.png
}

leaves_out_what_does_not_fit_with_a_warning() {
    draw skipped.png "a red circle<lora:../up>" --lora xl --lora nonsense --lora ./no/file
    same none.png skipped.png
    says said "LoRA xl is left out: it does not fit the model model"
    says said "the model's weight needs"
    says said "LoRA not found: nonsense"
    says said "LoRA not found: ./no/file"
    says said "LoRA not found: ../up"
    run plan --model model --lora xl
    [ "$status" = 0 ] || fail "plan with a LoRA that does not fit: $(cat "$work/said")"
    says out "LoRA xl is left out"
}

takes_loras_from_folders_within() {
    mkdir "$work/loras/styles"
    cp "$work/loras/kohya.safetensors" "$work/loras/styles/ink.safetensors"
    draw inner.png "a red circle <lora:ink:0.8>"
    same inner.png kohya.png
    draw inner.png "a red circle <lora:styles/ink:0.8>"
    same inner.png kohya.png
    draw inner.png "a red circle" --lora styles/ink:0.8
    same inner.png kohya.png
    run lora-check --model model --lora ink
    says out "1 of 1 fit"
    rm -r "$work/loras/styles"
}

reports_which_fit() {
    run lora-check --model model --lora kohya --lora loras/peft.safetensors
    [ "$status" = 0 ] || fail "lora-check: status $status: $(cat "$work/said")"
    says out "2 of 2 fit"
    run lora-check --model model --all
    [ "$status" = 2 ] || fail "lora-check --all: status $status"
    says out "LoCon"
    says out "SDXL"
    says out "does not fit"
    says out "cannot be read"
    says said "2 of 5 LoRAs do not fit"
    run lora-check --model model
    [ "$status" = 2 ] || fail "lora-check without a LoRA: status $status"
    says said "--lora PATH, or --all"
    run txt2img --model model --lora kohya:much
    [ "$status" = 2 ] || fail "--lora kohya:much: status $status"
    says said "the scale of kohya"
}

mkdir "$work/loras"
make tiny "$work/model" --tokenizer "$tokenizer"
make tiny "$work/loras/kohya.safetensors" --lora 4
make tiny "$work/loras/peft.safetensors" --lora 4 --peft
make tiny "$work/loras/locon.safetensors" --lora 2 --locon --dtype f32
make sdxl "$work/loras/xl.safetensors" --lora 1 --holes
printf '\002\0\0\0\0\0\0\0{}' >"$work/loras/broken.safetensors"
truncate -s 9 "$work/loras/broken.safetensors"
draws_with_a_lora_in_either_spelling
takes_loras_from_the_prompt
streams_to_the_same_picture
leaves_out_what_does_not_fit_with_a_warning
takes_loras_from_folders_within
reports_which_fit
[ "$failures" = 0 ]
