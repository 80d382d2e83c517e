#!/bin/sh
# The folders of models through the program: models_test.sh PROGRAM MKCHECKPOINT.  Small random
# checkpoints in every layout.  Each function finishes "it ...".
program=$(realpath "$1")
mkcheckpoint=$(realpath "$2")
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

says() { # FILE WORDS
    grep -qF -- "$2" "$work/$1" || fail "does not say '$2': $(cat "$work/$1")"
}

row() { # NAME: its line in the list
    grep -E "^  $1 " "$work/out"
}

has() { # NAME WORDS
    row "$1" | grep -qF -- "$2" || fail "$1 is not '$2': $(cat "$work/out")"
}

mkdir -p "$work/models/sub" "$work/loras" "$work/upscalers" "$work/embeddings" "$work/vae"
make tiny "$work/models/sd15.safetensors" --single-file
make tiny-sdxl "$work/models/sub/sdxl.safetensors" --single-file
make tiny-refiner "$work/models/refiner.safetensors" --single-file
mkdir -p "$work/models/models--org--tiny/snapshots/0123abc"
make tiny "$work/models/models--org--tiny/snapshots/0123abc" --tokenizer "$tokenizer"
make tiny "$work/models/flat" --tokenizer "$tokenizer"
make tiny "$work/loras/one.safetensors" --lora 4
make esrgan "$work/upscalers/4x_big.safetensors" --holes
make esrgan "$work/upscalers/2x_big.safetensors" --holes --scale 2
cp "$work/models/flat/vae/"*.safetensors "$work/vae/soft.safetensors"
echo "not a model" >"$work/models/broken.ckpt"
ln -s /etc/passwd "$work/models/escape.safetensors"

lists_every_kind() {
    run models
    [ "$status" = 0 ] || fail "models: $(cat "$work/said")"
    has sd15 "sd15 "
    has sub/sdxl "sdxl "
    has refiner "sdxl-refiner "
    has models--org--tiny "sd15 "
    has one MB
    has 4x_big "esrgan x4"
    has 2x_big "esrgan x2"
    has soft MB
    says out "leads out of its folder"
    says out "broken.ckpt: "
    ! grep -qF "$work" "$work/out" || fail "tells the folder's path"
}

lists_one_kind() {
    run models upscalers
    [ "$status" = 0 ] && ! grep -q sd15 "$work/out" || fail "upscalers: $(cat "$work/out")"
    run models cats
    [ "$status" = 2 ] || fail "takes any kind"
    says said "there are models, loras, upscalers, embeddings, vaes"
}

hashes_files_and_remembers_them() {
    mkdir -p "$work/data"
    run models models --hash
    [ "$status" = 0 ] || fail "models --hash: $(cat "$work/said")"
    sum=$(sha256sum "$work/models/sd15.safetensors" | cut -c1-10)
    has sd15 "$sum"
    unet=$(sha256sum "$work/models/flat/unet/"*.safetensors | cut -c1-10)
    has flat "$unet"
    run models models
    has sd15 "$sum"
    run models models --json
    says out "\"title\": \"sd15.safetensors [$sum]\""
    says out "\"repository\": \"org/tiny\""
    run txt2img --model sd15 --prompt x --width 64 --height 64 --steps 1 --tokenizer "$tokenizer" \
        --output hashed.png
    grep -qa "Model hash: $sum, Model: sd15" "$work/hashed.png" || fail "no hash in the picture"
    run models loras --hash
    tensors=$(python3 - "$work/loras/one.safetensors" 2>/dev/null <<'PYTHON'
import hashlib, struct, sys
data = open(sys.argv[1], 'rb').read()
print(hashlib.sha256(data[8 + struct.unpack('<Q', data[:8])[0]:]).hexdigest()[:12])
PYTHON
)
    [ -z "$tensors" ] || has one "$tensors"
}

uses_what_it_lists() {
    for model in flat models--org--tiny org/tiny "Org/Tiny" "The Flat"; do
        echo '{"flat": "The Flat"}' >"$work/models/labels.json"
        run txt2img --model "$model" --prompt x --width 64 --height 64 --steps 1 --output p.png
        [ "$status" = 0 ] || fail "--model '$model': $(cat "$work/said")"
    done
    run inspect sub/sdxl
    [ "$status" = 0 ] || fail "inspect sub/sdxl: $(cat "$work/said")"
    run inspect nosuch
    [ "$status" = 2 ] || fail "inspect nosuch"
    says said "there is no model 'nosuch'"
    run inspect escape
    [ "$status" = 2 ] || fail "inspect escape"
    says said "leads out of its folder"
    run inspect demo
    [ "$status" = 0 ] || fail "inspect demo: $(cat "$work/said")"
}

borrows_a_vocabulary_from_models_within() {
    mkdir "$work/other"
    make tiny "$work/other/sd15.safetensors" --single-file --tokenizer "$tokenizer"
    cp -R "$work/models/models--org--tiny" "$work/other/"
    run txt2img --models-dir other --model sd15 --prompt x --width 64 --height 64 --steps 1 \
        --output t.png
    [ "$status" = 0 ] || fail "no vocabulary: $(cat "$work/said")"
}

takes_the_models_own_vae_by_its_names() {
    for vae in soft soft.safetensors Automatic None "" ./vae/soft.safetensors; do
        run txt2img --model flat --prompt x --width 64 --height 64 --steps 1 --output v.png --vae "$vae"
        [ "$status" = 0 ] || fail "--vae '$vae': $(cat "$work/said")"
    done
    run txt2img --model flat --prompt x --width 64 --height 64 --steps 1 --output v.png --vae sofd
    [ "$status" = 2 ] || fail "--vae sofd"
    says said "--vae: there is no VAE 'sofd'; near it: 'soft'"
}

lists_every_kind
lists_one_kind
hashes_files_and_remembers_them
uses_what_it_lists
borrows_a_vocabulary_from_models_within
takes_the_models_own_vae_by_its_names
[ "$failures" = 0 ] || exit 1
