# Sourced by the other scripts: where we are, where tools and builds lie, and how we talk.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Tools that the distribution does not have are the user's, not this checkout's: a second checkout finds them.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/stalker/tools
PATH=$PATH:$tools/bin

# Every build here reads the query files, whatever this shell says; only scripts/query-files asks a database.
export SQLX_OFFLINE=true

say() { printf '== %s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# Executables and tests, always together: each other choice has other features of the dependencies, and builds them all again.
build_all() { cargo build --locked --workspace --bins --tests "$@"; }

# CARGO_TARGET_DIR, the user's configuration or ./target: cargo knows.
target_dir() {
    cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}
