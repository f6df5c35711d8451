#!/usr/bin/env bash
# Makes the environments that the Makefile asks for.
#
#   setup.sh venv FOLDER REQUIREMENTS [--seed]   an environment with exactly these hashed requirements
#   setup.sh project FOLDER                      this project's packages in it, editable
#   setup.sh lock                                all requirement sets, resolved and hashed anew
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD

runs() { "$1" -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1; }

# $PYTHON, else a python3.13 that runs, else the newest 3.13 of pyenv; uv fetches one where there is none.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.13 $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python3.13 2>/dev/null | sort -rV); do
    if [ -n "$candidate" ] && runs "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  if [ -n "${PYTHON:-}" ]; then echo "PYTHON=$PYTHON is no Python 3.13" >&2; fi
}

# uv comes from PyPI, pinned by hash.
find_uv() {
  if ! command -v uv >/dev/null || ! uv --version >/dev/null 2>&1; then
    local python
    python=$(find_python)
    python=${python:-$(command -v python3)}
    "$python" -m venv .tools/uv
    .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
    echo "$here/.tools/uv/bin/uv"
  else
    command -v uv
  fi
}

# Two set-ups at once would spoil each other's environment.
if command -v flock >/dev/null; then
  mkdir -p .tools
  exec 9>.tools/.lock
  flock 9
fi
uv=$(find_uv)

case "${1:-}" in
venv)
  folder=$2 requirements=$3 seed=${4:-}
  python=$(find_python)
  if [ -z "$python" ]; then
    "$uv" python install 3.13 || { echo "Springboard needs Python 3.13: install it, or set PYTHON" >&2; exit 1; }
    python=3.13
  fi
  echo "setting up ${folder#"$here"/} from $requirements"
  # One that is there is brought up to date in place: somebody may be working in it.
  if ! runs "$folder/bin/python"; then
    "$uv" venv --quiet --clear $seed --python "$python" "$folder"
  fi
  # Compiled at once: an uncompiled environment starts two to three times slower.
  "$uv" pip sync --quiet --require-hashes --compile-bytecode --python "$folder/bin/python" "$requirements"
  ;;
project)
  VIRTUAL_ENV=$2 "$uv" pip install --quiet --no-deps --no-build-isolation --editable .
  PYTHONDONTWRITEBYTECODE='' "$2/bin/python" -m compileall -q local cli layers/springboard/springboard || true
  ;;
lock)
  compile() {
    "$uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
      --python-version 3.13 --group "$1" --output-file "$2" pyproject.toml
  }
  compile layer layers/springboard/requirements.txt
  for group in dev sam checkov worker go; do compile "$group" "requirements/$group.txt"; done
  ;;
*)
  sed -n '2,7p' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac
