# shellcheck shell=bash
# A private PostgreSQL server in a temporary folder, reached by a socket in it only. Says "<folder> <binaries>" when it
# is ready; then obeys the words `stop`, `crash`, `start` and `standby` on standard input. When that ends, so does the server: however
# the process that holds the other end died, nothing is left behind.
set -eu
trap '' INT TERM HUP

bin="$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin 2>/dev/null | sort -V | tail -n 1)"
[ -n "$bin" ] || bin="$(dirname "$(command -v initdb || true)")"
if [ ! -x "$bin/initdb" ]; then
    echo "PostgreSQL is not installed, and the tests need its binaries: apt-get install postgresql, or scripts/test" >&2
    exit 1
fi

folder="$(mktemp -d "${TMPDIR:-/tmp}/se-pg-XXXXXX")"
as=
if [ "$(id -u)" = 0 ]; then
    # It refuses to run as root.
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    uid="$(id -u "$user")" gid="$(id -g "$user")"
    chown "$uid:$gid" "$folder"
    as="setpriv --reuid=$uid --regid=$gid --clear-groups --"
fi
cd "$folder"

start() {
    # Nothing here survives the machine, so nothing is lost by not waiting for its disk: what is killed in tests is
    # processes, and what they wrote the kernel still has.
    # A plain command, not a function: the process that is signalled later is the server itself.
    $as "$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=300 -c fsync=off \
        -c full_page_writes=off -c autovacuum=off -c log_min_messages=warning >>"$folder/log" 2>&1 </dev/null &
    server=$!
    until "$bin/pg_isready" -q -h "$folder"; do
        kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
        sleep 0.05
    done
}
end() {
    kill "-$1" "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
}

$as "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log" >&2; exit 1; }
start
echo "$folder $bin"
while read -r word; do
    case "$word" in
    stop) end INT ;;
    crash) end QUIT ;;
    start) start ;;
    # As a hot standby, until it is promoted.
    standby) end INT; $as touch "$folder/data/standby.signal"; start ;;
    esac
    echo "$word"
done
end QUIT
cd /
rm -rf "$folder"
