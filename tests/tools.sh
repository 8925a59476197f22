# What the scripts of tests share: where cargo builds, Python environments beside it, Debian's packages unpacked. Sourced. Where a
# function is called within `$(…)`, bash goes on after what fails, whatever `set -e` says: hence each `|| return`.
# shellcheck shell=bash

# Where cargo puts what it builds.
target_folder() {
    cargo metadata --locked --no-deps --format-version 1 |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}

# python_with <name> <requirements>: prints the folder of a Python environment with them, beside what cargo builds. It is made again
# only where what is in it has changed: later runs need no network.
python_with() {
    local venv wanted
    venv="$(target_folder)/$1-venv" && wanted="$(cat "$2" && python3 -VV)" || return
    if [ "$(cat "$venv/made-of" 2>/dev/null)" != "$wanted" ]; then
        echo "Making $venv" >&2
        rm -rf "$venv" &&
            python3 -m venv "$venv" >&2 &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" >&2 || return
        printf '%s\n' "$wanted" >"$venv/made-of"
    fi
    printf '%s\n' "$venv"
}

# unpacked <folder> <command> [<package>]: where the command is not here, unpacks Debian's package (of the command's name, where none
# is given) there and puts it into PATH. It is not installed: no service starts.
unpacked() {
    local folder="$1" package="${3:-$2}"
    if command -v "$2" >/dev/null; then return 0; fi
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    mkdir -p "$folder"
    (
        cd "$folder" || exit
        apt-get download -qq "$package" || { apt-get update -qq && apt-get download -qq "$package"; } || exit
        dpkg -x "$package"_*.deb .
    ) || return 1
    PATH="$folder/usr/bin:$PATH"
}
