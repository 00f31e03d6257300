#!/bin/sh
# Compiles and links the program: build.sh CHIP OUT.elf [-Os]
#
# Compilers: Debian's gcc-riscv64-unknown-elf for RISC-V; clang-22, llc-22 and llvm-mc-22 with the
# linker of binutils-xtensa-lx106 for Xtensa, or those that GURU_RISCV_GCC, GURU_CLANG and
# GURU_LX106_GCC name. `cargo xtask examples` calls this and makes the images of the result.
set -eu

chip=$1
out=$2
level=${3:--Os}
mkdir -p "$out.parts"
parts=$(cd "$out.parts" && pwd)
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
cd "$(dirname "$0")/../.."
here=examples/crash

common="main station sensor record display command selftest config calendar greeting tree message
    multi_heap_poisoning esp watchdog console panic"
# No path of this machine: two builds with one compiler give the same bytes wherever they are made.
flags="$level -g -std=gnu11 -Wall -Wextra -Werror -Wno-infinite-recursion -ffreestanding -fno-builtin
    -fno-delete-null-pointer-checks -fno-asynchronous-unwind-tables
    -ffile-prefix-map=$PWD=. -DCHIP_HEADER=\"../chips/$chip.h\""

# What is special about a file.
flags_of() {
    case $1 in
        calendar) echo "-fsanitize=bounds" ;;
        greeting) echo "-fstack-protector-strong" ;;
    esac
}

cat "$here/chips/$chip.ld" $here/sections.ld >"$parts/link.ld"

# Without what needs timers and the heap of an operating system.
flat() {
    gcc=${GURU_LX106_GCC:-xtensa-lx106-elf-gcc}
    set --
    for name in main sensor record display command selftest config greeting tree console \
        lx106/station lx106/esp lx106/panic; do
        object="$parts/$(basename "$name").o"
        # shellcheck disable=SC2046,SC2086
        $gcc -mlongcalls $flags $(flags_of "$name") -fno-tree-loop-distribute-patterns \
            -c "$here/src/$name.c" -o "$object"
        set -- "$@" "$object"
    done
    $gcc -c $here/src/lx106/entry.S -o "$parts/entry.o"
    $gcc -nostdlib -static -Wl,--build-id=none,-T,"$parts/link.ld" -o "$out" "$parts/entry.o" "$@"
}

riscv() {
    gcc=${GURU_RISCV_GCC:-riscv64-unknown-elf-gcc}
    machine="-march=$1 -mabi=ilp32 -msmall-data-limit=0"
    set --
    for name in $common riscv; do
        # shellcheck disable=SC2046,SC2086
        $gcc $machine $flags $(flags_of "$name") -fno-tree-loop-distribute-patterns \
            -c "$here/src/$name.c" -o "$parts/$name.o"
        set -- "$@" "$parts/$name.o"
    done
    # shellcheck disable=SC2086
    $gcc $machine $flags -Wa,--debug-prefix-map="$PWD"=. -c $here/src/riscv.S -o "$parts/entry.o"
    # shellcheck disable=SC2086
    $gcc $machine -nostdlib -static -Wl,--build-id=none,-T,"$parts/link.ld" \
        -o "$out" "$parts/entry.o" "$@"
}

# LLVM's compiler for Xtensa in steps: its driver knows no processors, and its assembler reads what
# its compiler writes only after two changes.
windowed() {
    clang=${GURU_CLANG:-clang-22}
    beside() { echo "$clang" | sed "s|clang\(-[0-9]*\)\{0,1\}\$|$1\1|"; }
    llc="$(beside llc) -march=xtensa -mcpu=esp32 $1"
    mc="$(beside llvm-mc) -triple=xtensa -mcpu=esp32 -filetype=obj"
    ld=$(echo "${GURU_LX106_GCC:-xtensa-lx106-elf-gcc}" | sed 's/gcc$/ld/')
    set --
    for name in $common xtensa; do
        # shellcheck disable=SC2046,SC2086
        $clang --target=xtensa $flags $(flags_of "$name") -S -emit-llvm "$here/src/$name.c" -o "$parts/$name.ll"
        $llc "$(echo "$level" | sed 's/s/2/')" "$parts/$name.ll" -o "$parts/$name.s"
        sed -i -e 's/^\t\.literal_position/\t.p2align 2\n&/' \
            -e 's/\.cfi_def_cfa a7,/.cfi_def_cfa 7,/' "$parts/$name.s"
        $mc "$parts/$name.s" -o "$parts/$name.o"
        set -- "$@" "$parts/$name.o"
    done
    $clang --target=xtensa -E -P -x assembler-with-cpp "-DCHIP_HEADER=\"../chips/$chip.h\"" $here/src/xtensa.S |
        tr ';' '\n' >"$parts/entry.s"
    $mc "$parts/entry.s" -o "$parts/entry.o"
    $ld --no-relax -T "$parts/link.ld" -o "$out" "$parts/entry.o" "$@"
}

case $chip in
    esp32c3) riscv rv32imc_zicsr ;;
    esp32c6) riscv rv32imac_zicsr ;;
    esp32 | esp32s3) windowed "" ;;
    # No loops, no floating point, no compare and swap.
    esp32s2) windowed "-mattr=-loop,-fp,-mac16,-bool,-s32c1i" ;;
    esp8266) flat ;;
    *) echo "build.sh: no such chip: $chip" >&2; exit 2 ;;
esac
