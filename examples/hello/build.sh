#!/bin/sh
# Compiles and links the program: build.sh CHIP OUT.elf
#
# film.txt must lie beside OUT.elf. Compilers: Debian's gcc-riscv64-unknown-elf and gcc-xtensa-lx106. `cargo xtask examples` calls
# this and makes the flash images of the result.
set -eu

chip=$1
out=$2
cd "$(dirname "$0")"

case $chip in
    esp32c3) gcc="riscv64-unknown-elf-gcc -march=rv32imc_zicsr -mabi=ilp32 -msmall-data-limit=0" ;;
    esp32) gcc="xtensa-lx106-elf-gcc -mtext-section-literals" ;;
    *) echo "build.sh: no such chip: $chip" >&2; exit 2 ;;
esac

# No -g and no paths: two builds with one compiler give the same bytes wherever they are made.
exec $gcc -Os -std=c11 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns \
    -nostdlib -static -Wl,--build-id=none,-T,"$chip.ld" -Wa,-I"$(dirname "$out")" \
    -o "$out" "$chip.S" "$chip.c" hello.c film.S
