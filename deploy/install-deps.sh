#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything needed to build and test Taizhang: the Debian packages of packages.txt that are missing, and the pinned SQLite
# source (SQLite3 Multiple Ciphers 2.4.0 = SQLite 3.53.4), unpacked from an npm package whose scripts are never run, into
#   ${TZ_DEPS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/taizhang}/sqlite3mc-2.4.0/
# Run it again at any time: what is there is left alone, and nothing is printed. Root is needed only for missing packages.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
deps_dir=${TZ_DEPS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/taizhang}
sqlite_dir=$deps_dir/sqlite3mc-2.4.0
npm_package=better-sqlite3-multiple-ciphers
npm_version=13.0.3
npm_sha512=UYabM82r1J84TLWc/SszoHs6XopWpl/2HCg3Nui1JUaFXg/VLswzkPowYiRhK/4CftI8dgtikwyZQecMldrGxQ==

say() { printf 'install-deps: %s\n' "$*"; }
die() { printf 'install-deps: %s\n' "$*" >&2; exit 1; }

# A program on PATH counts only when it runs: a wrapper whose interpreter is gone does not.
works() { command -v "$1" >/dev/null 2>&1 && "$1" --version >/dev/null 2>&1; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }

missing_packages() {
    local line name program
    while IFS= read -r line; do
        case $line in '' | '#'*) continue ;; esac
        name=${line%%[[:space:]]*}
        program=
        case $line in *or:*) program=${line##*or:} ;; esac
        if [ -n "$program" ] && works "$program"; then continue; fi
        installed "$name" || printf '%s\n' "$name"
    done <"$here/packages.txt"
}

install_packages() {
    local -a missing as_root=()
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "not a Debian system: install the equivalents of $here/packages.txt yourself" >&2
        return
    fi
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "missing packages: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || die "these packages need root, and there is no sudo; as root run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

work=
cleanup() { [ -z "$work" ] || rm -rf "$work"; }
trap cleanup EXIT

install_sqlite() {
    local archive found
    [ ! -e "$sqlite_dir/sqlite3.c" ] || return 0
    say "fetching $npm_package $npm_version"
    mkdir -p "$deps_dir"
    work=$(mktemp -d "$deps_dir/new.XXXXXX") # on the same file system, so that the rename below is atomic
    (cd "$work" && npm pack --ignore-scripts --silent "$npm_package@$npm_version" >/dev/null) ||
        die "npm could not fetch $npm_package $npm_version"
    archive=$work/$npm_package-$npm_version.tgz
    [ -f "$archive" ] || die "npm left no $npm_package-$npm_version.tgz"
    found=$(openssl dgst -sha512 -binary "$archive" | openssl base64 -A)
    [ "$found" = "$npm_sha512" ] || die "the archive is not the pinned one (sha512 $found); nothing was installed"
    tar -xzf "$archive" -C "$work" --no-same-owner package/deps/sqlite3
    chmod 755 "$work/package/deps/sqlite3"
    if ! mv -T "$work/package/deps/sqlite3" "$sqlite_dir" 2>/dev/null; then
        [ -e "$sqlite_dir/sqlite3.c" ] || die "cannot create $sqlite_dir" # otherwise another run was first
    fi
    say "SQLite source is in $sqlite_dir"
}

install_packages
install_sqlite
