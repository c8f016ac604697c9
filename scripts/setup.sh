#!/bin/sh
# Makes the environment VENV with the Python given, by uv; fetches uv where there is none.
set -eu
venv=$1 python=$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "error: $python is not here; install Python 3.10 or newer, or name one: make PYTHON=…" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "error: $python is $("$python" -V 2>&1); Python 3.10 or newer is needed: make PYTHON=…" >&2
    exit 1
fi

if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    uv=.uv/bin/uv
    if [ ! -x "$uv" ]; then
        if ! "$python" -m pip --version >/dev/null 2>&1; then
            echo "error: neither uv nor pip is here; install one (Debian: apt install python3-pip)" >&2
            exit 1
        fi
        # --target needs no venv module, which some distributions leave out of their Python
        "$python" -m pip install --quiet --disable-pip-version-check --target .uv uv
    fi
fi

echo "making $venv …"
"$uv" venv --quiet --allow-existing --python "$python" "$venv"
# compiled now, as a first start would be slow otherwise, and each start if nothing may be written
"$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --requirements requirements.txt
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
