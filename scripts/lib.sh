# Shared by the scripts: the selected server, the users that run commands, messages.
# Sourced, never run. Results go to stdout, everything else to stderr.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}
[[ $PG_CONFIG == */* ]] || PG_CONFIG=$(command -v "$PG_CONFIG" || echo "$PG_CONFIG")
export PG_CONFIG
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$ROOT/target}")
export CARGO_TARGET_DIR
AS_ROOT=$((EUID == 0))
command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# The major version of the chosen server; needs scripts/setup to have run.
pg_major() { "$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'; }

# Cargo's arguments that select the chosen server.
pg_features() { echo --no-default-features --features "pg$(pg_major)"; }

# Runs a command as root: directly, or through sudo.
as_root() {
  if ((AS_ROOT)); then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "this needs root and there is no sudo: $*"; fi
}

# Installs what is missing of some Debian packages.
need_packages() {
  local have package missing=() status=0
  have=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii  *//p' || true)
  for package; do grep -qxF "$package" <<<"$have" || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "install the packages that Debian calls ${missing[*]}"
  ((AS_ROOT)) || command -v sudo >/dev/null || die "there is no sudo; as root: apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  # Debian's server package would create and start a server of its own; ours are throwaway ones.
  local no_cluster=/etc/postgresql-common/createcluster.d/pg_trickle.conf
  as_root mkdir -p "${no_cluster%/*}"
  echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
  as_root apt-get update -qq >&2 || say "apt-get update failed; trying with the lists at hand"
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || status=$?
  as_root rm -f "$no_cluster"
  ((status == 0)) || die "apt-get could not install ${missing[*]}"
}

# Unpacks the programs of Debian packages into TOOLS. They are not installed: that would start servers of their own.
TOOLS=$CARGO_TARGET_DIR/tools
need_tools() { # packages, each with a program of its name
  local package work fetch
  for package; do
    [[ ! -x $TOOLS/$package ]] || continue
    command -v apt-get >/dev/null || die "install what Debian calls $package"
    say "unpacking $package"
    work=$(mktemp -d)
    fetch="cd '$work' && apt-get download -qq $package"
    # As root, apt says that it cannot drop its rights in that directory.
    bash -c "$fetch" >/dev/null 2>&1 || { as_root apt-get update -qq >&2; bash -c "$fetch" >&2; } || die "apt-get could not fetch $package"
    dpkg-deb -x "$work"/*.deb "$work/tree"
    mkdir -p "$TOOLS"
    mv "$work"/tree/usr/bin/* "$TOOLS/"
    rm -rf "$work"
  done
}

# Debian's release on this machine, and its mirror in apt's configuration, in one-line or deb822 files alike.
debian_codename() { . /etc/os-release && echo "${VERSION_CODENAME:-}"; }
debian_mirror() {
  local mirror
  mirror=$(apt-get update --print-uris | sed -nE "s|^'(.*)/dists/$(debian_codename)/InRelease'.*|\1|p" | head -n 1)
  [[ -n $mirror ]] || die "found no Debian mirror for $(debian_codename) in the configuration of apt"
  echo "$mirror"
}

# The user that runs the server: PostgreSQL refuses to run as root.
server_user() {
  if ((!AS_ROOT)); then id -un
  elif id postgres >/dev/null 2>&1; then echo postgres
  else
    id trickle >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin trickle
    echo trickle
  fi
}

# Runs a command as the user of the server, in a directory that this user can enter. RUST_BACKTRACE is set to show that errors
# carry no backtrace even then.
as_server() {
  if ((AS_ROOT)); then (cd / && exec env RUST_BACKTRACE=1 runuser -u "$(server_user)" -- "$@"); else env RUST_BACKTRACE=1 "$@"; fi
}

# The directory of throwaway data, which the server's user can enter too.
scratch() { if ((AS_ROOT)); then echo /tmp; else echo "${TMPDIR:-/tmp}"; fi; }

# pgrx builds for the registered server of a major version, unless PGRX_PG_CONFIG_PATH names another.
select_pgrx() {
  grep -qsxF "pg$(pg_major) = \"$PG_CONFIG\"" "${PGRX_HOME:-$HOME/.pgrx}/config.toml" ||
    export PGRX_PG_CONFIG_PATH=$PG_CONFIG
}

# Copies a server's log for the analysis of a failure, before its data directory is deleted.
keep_log() { # data directory
  [[ ! -e $1/log ]] || { cp "$1/log" "$CARGO_TARGET_DIR/server.log" && say "the server's log: $CARGO_TARGET_DIR/server.log"; }
}

# Builds a package of the workspace and runs it on a throwaway server of its own, which it finds in PG_TRICKLE_URL.
# Further arguments of `scripts/pg up` for that server, and a command to run after its stop.
server_options=()
at_end=:

run_on_server() { # package, its arguments
  "$ROOT/scripts/setup"
  say "building $1"
  (cd "$ROOT" && cargo build --release -q -p "$1")
  server_data=$(scratch)/$1-$$
  trap '"$ROOT/scripts/pg" down --data "$server_data"; "$at_end"' EXIT
  trap 'exit 130' INT TERM
  PG_TRICKLE_URL=$("$ROOT/scripts/pg" up --data "$server_data" "${server_options[@]}" | tail -n 1)
  export PG_TRICKLE_URL
  "$CARGO_TARGET_DIR/release/$1" "${@:2}" || {
    local status=$?
    keep_log "$server_data"
    exit $status
  }
}
