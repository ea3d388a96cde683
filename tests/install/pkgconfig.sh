#!/bin/sh
# pkgconfig.sh CC PREFIX: builds main.c by pkg-config against the clseq installed in PREFIX, with the shared and with
# the static library, and runs both programs.
set -eu
cc=$1 prefix=$2 source=$(dirname "$0")/main.c
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name clseq.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir clseq)

# shellcheck disable=SC2046  # the flags are words
$cc -std=c11 "$source" -o "$out/shared" $(pkg-config --cflags --libs clseq) "-Wl,-rpath,$libdir"
# shellcheck disable=SC2046
$cc -std=c11 "$source" -o "$out/static" $(pkg-config --cflags --libs --static clseq | sed 's/-lclseq/-l:libclseq.a/')
"$out/shared"
"$out/static"
