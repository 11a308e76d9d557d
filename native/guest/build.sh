#!/bin/sh
# Builds the freestanding guest:  sh native/guest/build.sh OUTPUT_ELF   (CC picks the compiler, gcc by default)
set -eu
export LC_ALL=C # the order of *.c decides the layout of the image; it must not depend on the locale

if [ $# -ne 1 ]; then
  echo "usage: $0 OUTPUT_ELF" >&2
  exit 2
fi
source_dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
mkdir -p -- "$(dirname -- "$1")"

# Position-independent code, as addresses at GUEST_BASE do not fit 32 bits; it is linked for there and never moved.
# General registers only: nothing here saves or enables the FPU. No red zone: a trap is reported on the same stack.
exec "${CC:-gcc}" -std=c11 -m64 -O2 -Wall -Wextra -Werror \
  -ffreestanding -fpie -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
  -fno-tree-loop-distribute-patterns -mgeneral-regs-only -mno-red-zone -mcmodel=small \
  -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,max-page-size=4096 \
  -Wl,-T,"$source_dir/guest.ld" -o "$1" "$source_dir"/*.S "$source_dir"/*.c
