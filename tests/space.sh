#!/usr/bin/env bash
# The project as a Hugging Face Space runs it, from a fresh environment to a decoded answer: what is
# installed beside requirements.txt there, a Space's variables, `python app.py`. It fetches what pip
# and the default model need; PYTHON names another interpreter than the Space's.
set -euo pipefail
cd "$(dirname "$0")/.."

of_readme() { sed -n "s/^$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" README.md; }

folder="$(mktemp -d)"
server=""
finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap finish EXIT

"${PYTHON:-python$(of_readme python_version)}" -m venv "$folder/environment"
export PATH="$folder/environment/bin:$PATH"
python -m pip install --no-compile -r requirements.txt \
    "gradio[oauth,mcp]==$(of_readme sdk_version)" "uvicorn>=0.14.0" "websockets>=10.4" spaces

mkdir "$folder/app"
git ls-files -z | xargs -0 cp --parents --target-directory="$folder/app"

export SYSTEM=spaces SPACE_ID=somebody/decoding SPACE_HOST=somebody-decoding.hf.space
export SPACE_AUTHOR_NAME=somebody SPACE_REPO_NAME=decoding SPACE_TITLE="Decoding Live"
export GRADIO_SERVER_NAME=0.0.0.0 GRADIO_NUM_PORTS=1 GRADIO_ALLOW_FLAGGING=never
export PYTHONPATH="$folder/app" PYTHONUNBUFFERED=1
GRADIO_SERVER_PORT="$(python tests/ports.py)"
export GRADIO_SERVER_PORT

(cd "$folder/app" && exec python app.py) >"$folder/log" 2>&1 &
server=$!
python tests/space_visit.py "$GRADIO_SERVER_PORT" "$folder/log" "$server"
