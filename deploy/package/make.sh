#!/usr/bin/env bash
# Packs the built programs with every library they need into a tarball that runs on any Linux of the same processor
# family, from any folder: deploy/package/make.sh PROGRAMS-FOLDER TARGET-FOLDER
#
#   bin/                scripts (start.sh), one per program
#   libexec/gauntlet/   the programs
#   lib/                libraries of Debian; lib/torch, lib/nvidia: those of the wheels, laid out as there
#   lib/glibc/          loader and C library, used where the machine's own is older than what the programs ask for
#   share/              man page, completions, the emoji files of Debian's packages, licences
#   sweeps/ results/ schemas/ docs/ deploy/
set -euo pipefail
built=$(readlink -f "$1")
mkdir -p "$2"
target=$(readlink -f "$2")
source=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
programs=(gauntlet gauntlet-rank)
# What comes with the C library has to be of the same version as its loader.
glibc='^(ld-linux.*|lib(c|m|dl|pthread|rt|util|resolv|nss_[a-z]+|anl|mvec|BrokenLocale|thread_db))\.so'
share_files=(
  fonts/truetype/noto/NotoColorEmoji.ttf unicode/emoji/emoji-test.txt
  unicode/cldr/common/annotations/en.xml unicode/cldr/common/annotationsDerived/en.xml
)
share_packages=(fonts-noto-color-emoji unicode-data unicode-cldr-core)

die() { printf 'package: %s\n' "$*" >&2; exit 1; }
for program in "${programs[@]}"; do [ -x "$built/$program" ] || die "$built/$program is missing; ./dev build makes it"; done

closure() { # file...: the paths of all libraries they load, the loader among them
  local missing
  missing=$(ldd "$@" | grep 'not found' || true)
  [ -z "$missing" ] || die "libraries are not found: $missing"
  ldd "$@" | grep -oE '(=> )?/[^ ]+ \(0x' | sed -E 's/^=> //; s/ \(0x$//' | sort -u
}

mapfile -t libraries < <(closure "${programs[@]/#/$built/}")
torch_lib=
for library in "${libraries[@]}"; do
  case $library in */libtorch_cpu.so) torch_lib=$(dirname "$(readlink -f "$library")") ;; esac
done
[ -n "$torch_lib" ] || die "gauntlet-rank links no libtorch_cpu.so"
wheels=$(dirname "$(dirname "$torch_lib")")
flavour=cpu
if printf '%s\n' "${libraries[@]}" | grep -q '/libtorch_cuda\.so$'; then
  flavour=cuda
  # CUDA's libraries open others by name, at their first use.
  mapfile -t -O "${#libraries[@]}" libraries < <(find "$wheels"/nvidia/*/lib "$torch_lib" -maxdepth 1 -name '*.so*' \
    ! -name 'libtorch_python*' ! -name 'libtorch_nvshmem*' ! -name 'libshm*')
fi

version=$("$built/gauntlet" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)
name=gauntlet-$version-linux-$(uname -m)-$flavour
root=$target/$name
rm -rf "$root"
mkdir -p "$root"/{bin,libexec/gauntlet,lib/glibc,share/licenses}

licence_of() { # file: its Debian package's copyright file
  local package
  package=$(dpkg-query -S "$1" 2>/dev/null || dpkg-query -S "$(readlink -f "$1")" 2>/dev/null || dpkg-query -S "*/$(basename "$1")" 2>/dev/null) || return 0
  package=${package%%:*}
  [ -e "$root/share/licenses/$package" ] || cp -L "/usr/share/doc/$package/copyright" "$root/share/licenses/$package"
}

for library in "${libraries[@]}"; do
  file=$(basename "$library")
  path=$(realpath -s "$library")
  case $path in
  "$wheels"/*) mkdir -p "$root/lib/$(dirname "${path#"$wheels"/}")"; cp -L "$path" "$root/lib/${path#"$wheels"/}" ;;
  *)
    licence_of "$path"
    if [[ $file =~ $glibc ]]; then cp -L "$path" "$root/lib/glibc/$file"; else cp -L "$path" "$root/lib/$file"; fi
    ;;
  esac
done
loader=$(basename "$(ls "$root"/lib/glibc/ld-linux*)")
# The C library opens these by name: users and hosts by /etc/nsswitch.conf.
for file in libnss_files.so.2 libnss_dns.so.2; do cp -L "$(dirname "$(ldd "$built/gauntlet" | grep -oE '/[^ ]*/libc\.so\.6')")/$file" "$root/lib/glibc/"; done

folders=(torch/lib)
for folder in "$root"/lib/nvidia/*/lib; do [ ! -d "$folder" ] || folders+=("${folder#"$root/lib/"}"); done
runpath="\$ORIGIN/../../lib"
for folder in "${folders[@]}"; do runpath+=":\$ORIGIN/../../lib/$folder"; done
for program in "${programs[@]}"; do
  cp "$built/$program" "$root/libexec/gauntlet/$program"
  # Not RUNPATH: this holds for the libraries of libraries too.
  patchelf --force-rpath --set-rpath "$runpath" "$root/libexec/gauntlet/$program"
done

minor=$(find "$root/lib" "$root/libexec" -path "$root/lib/glibc" -prune -o -type f -print0 |
  xargs -0 objdump -T 2>/dev/null | grep -oE 'GLIBC_2\.[0-9]+' | sed 's/.*\.//' | sort -n | tail -n 1)
for program in "${programs[@]}"; do
  sed "s/@GLIBC_MINOR@/$minor/; s/@LOADER@/$loader/" "$source/deploy/package/start.sh" >"$root/bin/$program"
  chmod 755 "$root/bin/$program"
done

for file in "${share_files[@]}"; do install -Dm 644 "/usr/share/$file" "$root/share/$file"; done
for package in "${share_packages[@]}"; do cp -L "/usr/share/doc/$package/copyright" "$root/share/licenses/$package"; done
if [ -d "$wheels/licenses" ]; then
  # Only of the wheels that are in here; those of CUDA's libraries stay out of a package without them.
  for licences in "$wheels"/licenses/*; do
    case $flavour/$(basename "$licences") in
    cpu/torch | cpu/nvidia_cuda_runtime* | cpu/nvidia_cuda_cupti* | cuda/*) cp -r "$licences" "$root/share/licenses/" ;;
    esac
  done
else
  printf 'package: no licences of wheels in %s; ./dev package fetches them\n' "$wheels/licenses" >&2
fi
mkdir -p "$root"/share/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
gauntlet=$built/gauntlet
"$gauntlet" man >"$root/share/man/man1/gauntlet.1"
"$gauntlet" completion bash >"$root/share/bash-completion/completions/gauntlet"
"$gauntlet" completion zsh >"$root/share/zsh/site-functions/_gauntlet"
"$gauntlet" completion fish >"$root/share/fish/vendor_completions.d/gauntlet.fish"
cp -r "$source"/{sweeps,schemas,docs,deploy,README.md,LICENSE} "$root"
mkdir -p "$root/results"
cp -r "$source"/results/{tables,plots,reference} "$root/results/"

# Equal programs give equal bytes.
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime=@"$(git -C "$source" log -1 --format=%ct 2>/dev/null || echo 0)" \
  --directory "$target" "$name" | gzip --no-name "-${GAUNTLET_PACKAGE_LEVEL:-6}" >"$target/$name.tar.gz.new"
mv "$target/$name.tar.gz.new" "$target/$name.tar.gz"
printf '%s\n' "$target/$name.tar.gz"
