# Shared by samples/run, tests/run and .ci/run, which source it: packages and builds.
# shellcheck shell=bash disable=SC2034

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What Debian calls the things that clseq is built from.
build_packages=(cmake ninja-build gcc libc6-dev pkgconf ocl-icd-opencl-dev libclblast-dev libcjson-dev
                libxxhash-dev pocl-opencl-icd)
needed="CMake, Ninja, a C11 compiler, pkg-config, the OpenCL headers and ICD loader, an OpenCL implementation \
(PoCL, or the GPU vendor's), CLBlast, cJSON and xxHash"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Runs a command quietly; when it fails, shows the end of what it printed and returns its status.
quietly() {
  local log=$1 status=0; shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || status=$?
  ((status == 0)) || { tail -n 40 "$log" >&2; say "(all of it: $log)"; }
  return $status
}

# want PACKAGE...: installs those that are missing, without a word when none is; tells why when it cannot.
want() {
  local package missing=() sudo=()
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0  # another system: see build
  for package; do
    [[ $(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null) == *installed* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null || { say "neither root nor sudo; as root: apt-get install ${missing[*]}"; return 1; }
    sudo=(sudo)
  fi
  say "installing with apt: ${missing[*]}"
  quietly "$root/build/apt.log" "${sudo[@]}" sh -c 'apt-get update && exec env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "$@"' apt "${missing[@]}" ||
    { say "apt could not install them. Is the network up, and does this release have all of them?"; return 1; }
}

# need PACKAGE...: the same for those without which nothing goes.
need() { want "$@" || die "clseq cannot be built without them"; }

# build PRESET: configures and builds what changed into build/PRESET.
build() {
  local dir=$root/build/$1
  if ! command -v cmake >/dev/null || ! command -v ninja >/dev/null; then
    die "CMake or Ninja is missing and there is no apt to install it with. clseq needs $needed."
  fi
  say "building in ${dir#"$PWD"/}"
  quietly "$dir.log" cmake -S "$root" --preset "$1" || die "CMake did not find all that clseq needs: $needed."
  quietly "$dir.log" cmake --build "$dir" || die "clseq did not build"
}
