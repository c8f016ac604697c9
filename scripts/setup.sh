#!/bin/sh
# Create or update the environment VENV with the given Python, by uv, which is fetched if missing.
# TORCH names a build of PyTorch's own index (cpu, cu130, …); empty takes that of the package index.
set -eu
venv=$1 python=$2 torch=${3:-}

if ! command -v "$python" >/dev/null 2>&1; then
    echo "error: $python is not installed; install Python 3.10 or newer, or name one: make PYTHON=…" >&2
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
            echo "error: neither uv nor pip is installed; install one (Debian: apt install python3-pip)" >&2
            exit 1
        fi
        # --target needs no venv module, which some distributions leave out of their Python
        "$python" -m pip install --quiet --disable-pip-version-check --target .uv uv
    fi
fi

pins=requirements.txt
if [ -n "$torch" ]; then
    export UV_TORCH_BACKEND="$torch"
    pins=$(mktemp)
    trap 'rm -f "$pins"' EXIT
    grep -Ev '^(nvidia-|cuda-|triton==)' requirements.txt >"$pins" # another build has its own
elif [ "$(uname)" = Linux ] && ! [ -e /dev/nvidiactl ] && ! [ -e "$venv" ]; then
    echo "no NVIDIA GPU is here: make setup TORCH=cpu would leave out 4 of 7 GB (PyTorch's own index)"
fi

# the sizes of the pinned wheels
case "$(uname) $torch" in
"Linux cpu") size="1 GB or less to download (under 2 minutes at 100 Mbit/s), 3 GB on disk" ;;
Linux*) size="3.5 GB to download (5 minutes at 100 Mbit/s; less if uv has some), 7 GB on disk" ;;
Darwin*) size="0.5 GB to download (under a minute at 100 Mbit/s)" ;;
*) size= ;;
esac
if [ -e "$venv" ]; then
    echo "updating $venv …"
else
    echo "installing into $venv: ${size:-…}"
fi

quiet=--quiet
if [ -t 2 ]; then quiet=; fi # with bars of progress
"$uv" venv --quiet --allow-existing --python "$python" "$venv"
# compiled now: the first start would be slow otherwise, and so would all in a read-only VENV
"$uv" pip install $quiet --compile-bytecode --python "$venv/bin/python" --requirements "$pins"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
