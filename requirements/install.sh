#!/bin/sh
# Make or complete the virtual environment: requirements/install.sh VENV run|dev, called by the Makefile.
#
# The Python is $PYTHON, else the first of python3, python3.14 ... python3.11 that is 3.11 or newer. Packages come from the
# hash-pinned lock of that Python. uv is used where it is on PATH, else venv and pip. Safe to interrupt and run again: the
# Makefile writes its stamp only after this script ends well. Every failure is one line on stderr and a non-zero exit.
set -eu
venv=$1
kind=$2
cd "$(dirname "$0")/.."
asked=${PYTHON:-}

fail() {
    echo "pdesurr set-up: $*" >&2
    exit 1
}

version_of() { # prints e.g. 3.12, nothing where the command does not run (a pyenv shim may be there and refuse)
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

supported() {
    case $1 in 3.1[1-9] | 3.[2-9][0-9]) return 0 ;; *) return 1 ;; esac
}

find_python() {
    if [ -n "$asked" ]; then
        python=$asked
        version=$(version_of "$python")
        [ -n "$version" ] || fail "PYTHON=$python does not run; give the path of a Python 3.11 or newer"
        supported "$version" || fail "PYTHON=$python is Python $version; pdesurr needs Python 3.11 or newer"
        return
    fi
    seen=
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        version=$(version_of "$python")
        supported "$version" && return
        seen="$seen${version:+ $python is $version;}"
    done
    fail "no Python 3.11 or newer found (${seen:- no python3 on PATH;} needed: 3.11 or newer); install one or run: make PYTHON=/path/to/python3.11"
}

make_venv() {
    if [ -e "$venv/pyvenv.cfg" ]; then
        [ "$(version_of "$venv/bin/python")" = "$version" ] && return
        echo "pdesurr set-up: $venv is of another Python or broken: making it again"
        rm -rf "$venv"
    elif [ -d "$venv" ] && [ -n "$(ls -A "$venv")" ]; then
        fail "$venv exists and is not a virtual environment; give another folder: make VENV=.venv2"
    fi
    if [ -n "$uv" ]; then
        uv venv --quiet --python "$(command -v "$python")" "$venv" || fail "uv venv $venv failed"
    else
        "$python" -c 'import venv, ensurepip' 2>/dev/null ||
            fail "Python $version lacks venv or ensurepip; on Debian or Ubuntu: apt install python$version-venv"
        "$python" -m venv "$venv" || fail "$python -m venv $venv failed"
    fi
}

install() { # arguments as pip install takes them
    if [ -n "$uv" ]; then
        uv pip install --quiet --python "$venv/bin/python" "$@"
    else
        "$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-input "$@"
    fi
}

find_python
uv=$(command -v uv || true)
case $version in 3.11) lock=py311 ;; *) lock=py312 ;; esac
[ "$kind" = run ] || lock=$lock-$kind
started=$(date +%s)
echo "pdesurr set-up: $venv for Python $version from requirements/$lock.txt, about half a minute"
make_venv
install --require-hashes -r "requirements/$lock.txt" ||
    fail "installing requirements/$lock.txt failed (see above); with the network back, run make again"
install --no-deps --no-build-isolation -e . || fail "installing pdesurr itself failed (see above)"
echo "pdesurr set-up: done in $(($(date +%s) - started)) s"
