#!/bin/sh
# Install medvision from this folder, without internet:  sh install.sh [FOLDER] [--check]
# Another Python than the first on PATH:  PYTHON=/path/to/python3.11 sh install.sh
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
wanted=$(sed -n 's/^ *"python": "\([0-9.]*\)".*/\1/p' "$here/target.json" 2>/dev/null || true)
if [ -z "$wanted" ]; then
  echo "error: target.json: file must lie beside install.sh, got none. Hint: unpack the whole archive." >&2
  exit 1
fi

python=${PYTHON:-}
if [ -z "$python" ]; then
  for name in "python$wanted" python3 python; do
    if command -v "$name" >/dev/null 2>&1; then python=$name; break; fi
  done
fi
if [ -z "$python" ] || ! command -v "$python" >/dev/null 2>&1; then
  echo "error: Python: version must be $wanted, got no ${python:-Python} at all. Hint: name one: PYTHON=/path/to/python$wanted sh install.sh" >&2
  exit 1
fi
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo "none that starts")
if [ "$found" != "$wanted" ]; then
  echo "error: Python: version must be $wanted, got $found ($python). Hint: name one: PYTHON=/path/to/python$wanted sh install.sh" >&2
  exit 1
fi
# -I: nothing of the user's own packages or variables takes part.
exec "$python" -I -B "$here/install.py" "$@"
