# What ./start and ./test share: packages, Rust, builds, and how progress and failures are told. Sourced, bash only.
#
# Each long step prints its rate and an estimate of the time left; the full output of a step is in build/logs/NAME.log.
# Nothing here needs more than what a bare Debian 12 has (no curl, no python3).

readonly LOGS=build/logs
mkdir -p "$LOGS"

# Packages as NAME, or NAME:COMMAND where the command from anywhere else will do. Why each: docs/dependencies.md.
readonly BUILD_PACKAGES="g++ cmake:cmake ninja-build:ninja ccache:ccache libboost1.81-dev nlohmann-json3-dev libsqlite3-dev
  libcurl4-openssl-dev libssl-dev libminizip-dev zlib1g-dev libpcre2-dev libutf8proc-dev libfmt-dev libspdlog-dev libcli11-dev
  libtomlplusplus-dev libexpected-dev nodejs:node npm:npm ca-certificates"
readonly TEST_PACKAGES="git:git libgtest-dev libgmock-dev clang-format-19 clang-tidy-19 chromium python3:python3 python3-venv"

say() { printf '%s\n' "$*"; }

# die WHAT [LOG [WHAT TO DO]]: the end of the log, so that nobody has to look for it.
die() {
  printf '\nfailed: %s\n' "$1" >&2
  if [ -s "${2:-}" ]; then
    printf 'From %s:\n' "$2" >&2
    told "$2" | sed 's/^/    /' >&2
  fi
  [ -z "${3:-}" ] || printf 'What to do: %s\n' "$3" >&2
  exit 1
}

# What a log says about its failure: ninja's first failed step, else the end.
told() {
  if grep -q '^FAILED' "$1"; then
    grep -A 20 -m 1 '^FAILED' "$1" | cut -c 1-300
  else
    tail -n 15 "$1"
  fi
}

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# progress LABEL DONE TOTAL UNIT: one line that is rewritten on a terminal, a line every 10 s elsewhere. The first call
# of a step is made with DONE = 0. Integers; the rate has one decimal.
progress() {
  local label=$1 done=$2 total=$3 unit=$4 now=$EPOCHSECONDS
  if [ "$done" -eq 0 ]; then
    PROGRESS_START=$now PROGRESS_SHOWN=0
    return
  fi
  [ "$now" -gt "$PROGRESS_SHOWN" ] || [ "$done" -ge "$total" ] || return 0
  [ -t 1 ] || [ $((now - PROGRESS_SHOWN)) -ge 10 ] || [ "$done" -ge "$total" ] || return 0
  PROGRESS_SHOWN=$now
  local spent=$((now - PROGRESS_START))
  [ "$spent" -gt 0 ] || spent=1
  local tenths=$((done * 10 / spent)) left=$(((total - done) * spent / done))
  local line
  line="  $label: $done of $total $unit, $((tenths / 10)).$((tenths % 10)) $unit/s, $(clock $left) left"
  if [ -t 1 ]; then printf '\r\033[K%s' "$line"; else printf '%s\n' "$line"; fi
}
progress_end() { if [ -t 1 ]; then printf '\r\033[K'; fi; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -- env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# missing_packages SPEC...: the package names of those that are neither installed nor replaced by their command.
missing_packages() {
  local spec names="" installed
  installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' 2>/dev/null | awk '$1 == "ii" {print $2}')
  for spec in "$@"; do
    [[ $spec == *:* ]] && command -v "${spec#*:}" >/dev/null && continue
    grep -qxF -- "${spec%%:*}" <<<"$installed" || names+="${spec%%:*} "
  done
  printf '%s' "$names"
}

# What apt-get writes to its status descriptor -> progress lines, downloads first, then unpacking, both in percent.
apt_progress() {
  local kind percent last="" rest
  while IFS=: read -r kind _ percent rest; do
    percent=${percent%%.*}
    [[ $kind =~ ^(dlstatus|pmstatus)$ && $percent =~ ^[0-9]+$ ]] || continue
    if [ "$kind" != "$last" ]; then
      last=$kind
      progress x 0 100 x
    fi
    [ "$percent" -eq 0 ] || progress "$([ "$kind" = dlstatus ] && echo download || echo install)" "$percent" 100 %
  done
  progress_end
}

# install_packages SPEC...: only what lacks; asks for nothing, and touches nothing when all is there.
install_packages() {
  local names log=$LOGS/packages.log
  if ! command -v apt-get >/dev/null; then
    say "packages: no apt-get here, so nothing is installed; docs/dependencies.md lists what a build needs"
    return
  fi
  names=$(missing_packages "$@")
  [ -n "$names" ] || return 0
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    die "packages are missing, and this is neither root nor is there sudo" "" "as root: apt-get install -y $names"
  fi
  export DEBIAN_FRONTEND=noninteractive
  say "packages: fetching the package index"
  as_root apt-get -q update >"$log" 2>&1 ||
    die "apt-get update" "$log" "check the network and /etc/apt/sources.list.d, then run this again"
  # shellcheck disable=SC2086  # a list of names
  say "packages: installing $(wc -w <<<"$names" | tr -d ' ') and what they need$(apt_size $names)"
  # shellcheck disable=SC2086
  as_root apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o APT::Status-Fd=1 \
    -o Dpkg::Options::=--force-confold install $names 2>>"$log" | tee -a "$log" | apt_progress
  [ "${PIPESTATUS[0]}" -eq 0 ] ||
    die "apt-get install $names" "$log" "see the lines above; a mirror that lags is cured by running this again"
}

apt_size() { # ": 210 MB to fetch", from a dry run
  LC_ALL=C as_root apt-get -q --no-install-recommends --assume-no install "$@" 2>/dev/null |
    sed -n 's/^Need to get \([0-9.,]* [kMG]B\).*/: \1 to fetch/p'
}

# cargo, found as rust/CMakeLists.txt finds it.
find_cargo() {
  local found
  for found in "$(command -v cargo || true)" "${CARGO_HOME:-/nonexistent}/bin/cargo" "${HOME:-}/.cargo/bin/cargo"; do
    [ -x "$found" ] && printf '%s' "$found" && return
  done
}

rust_recent() {
  local cargo have need
  cargo=$(find_cargo)
  [ -n "$cargo" ] || return 1
  have=$("$cargo" --version 2>/dev/null | awk '{print $2}')
  need=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' rust/Cargo.toml)
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -n 1)" = "$need" ]
}

# Rust new enough for rust/Cargo.toml. Debian 12 keeps a recent one as rustc-web, which takes the place of rustc.
install_rust() {
  rust_recent && return
  if [ -n "$(find_cargo)" ]; then say "rust: $("$(find_cargo)" --version) is too old; installing rustc-web and cargo-web"; fi
  install_packages rustc-web cargo-web
  hash -r
  rust_recent || die "no Rust new enough (rust/Cargo.toml: rust-version)" "$LOGS/packages.log" \
    "add bookworm-security to the apt sources, or install Rust from its own site, then run this again"
}

# A heavy C++ file takes up to 1.5 GB to compile: fewer jobs on a machine with little memory.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo)
  [ "$memory" -ge 1 ] || memory=1
  echo $((cores < memory ? cores : memory))
}

# build PRESET [NINJA ARGUMENT...]: configures once, builds what changed.
build() {
  local preset=$1 log=$LOGS/build-$1.log line
  shift
  if [ ! -e "build/$preset/build.ninja" ]; then
    # Another preset's compiled Rust crates will do: the same flags, the same compiler.
    local other
    for other in build/*/rust/target; do
      [ -d "$other/release" ] && mkdir -p "build/$preset/rust" && cp -a "$other" "build/$preset/rust/" && break
    done
    cmake --preset "$preset" >"$log" 2>&1 ||
      die "cmake --preset $preset" "$log" "if a package is named above, install it; to begin anew: rm -rf build/$preset"
  fi
  NINJA_STATUS='[%f/%t] ' ninja -C "build/$preset" -j "$(build_jobs)" "$@" 2>&1 | tee "$log" | {
    progress build 0 1 steps
    while IFS= read -r line; do
      [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
      [ "${BASH_REMATCH[1]}" -eq 0 ] || progress build "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" steps
    done
    progress_end
  }
  [ "${PIPESTATUS[0]}" -eq 0 ]
}
