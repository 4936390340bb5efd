# shellcheck shell=sh
# Sets up .venv with everything that requirements.lock names; sourced by ./run and ./test. Does nothing when all is there.
# Needs python3 (3.11 or newer) with its venv module; no root, no compiler, no system service.

fail() {
    printf 'runwatch: %s\n' "$1" >&2
    exit 1
}

step() {
    printf '\033[2m%s\033[0m\n' "$1" >&2
}

find_python() {
    for python in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [ -n "$python" ] && command -v "$python" >/dev/null 2>&1 &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
}

# uv comes from the same lock, with the same hashes, as everything else.
uv_of_the_lock() {
    awk '/^uv==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock
}

setup() {
    wanted=$(cat requirements.lock pyproject.toml | cksum)
    if [ -x .venv/bin/runwatch ] && [ "$(cat .venv/complete 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed; on Debian and Ubuntu: apt install python3 python3-venv"
    if [ ! -x .venv/bin/python ]; then
        step "1/3 making .venv with $("$python" --version)"
        "$python" -m venv .venv || {
            rm -rf .venv
            fail "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"
        }
    fi
    step "2/3 installing what requirements.lock names, each file checked against its hash"
    uv_of_the_lock >.venv/uv.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock ||
        fail "cannot install uv: is the package registry reachable? (pip's own words are above)"
    VIRTUAL_ENV=$PWD/.venv .venv/bin/uv pip install --quiet --require-hashes -r requirements.lock ||
        fail "cannot install the dependencies (uv's own words are above)"
    step "3/3 installing runwatch itself from this folder"
    VIRTUAL_ENV=$PWD/.venv .venv/bin/uv pip install --quiet --no-deps --no-build-isolation --offline -e . ||
        fail "cannot install runwatch from this folder"
    printf '%s' "$wanted" >.venv/complete
}
