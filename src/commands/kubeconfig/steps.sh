#!/bin/sh
@MARK@, and written again by its next run.
# Grants in each cluster what se-responder needs there, and puts a token of it beside the kubeconfig. It needs kubectl, and
# your own KUBECONFIG with the right to make namespaces and roles. For all clusters, or for those that are named:
#
#   ./tokens.sh [<cluster>]…
#
# The token is that of a Secret, and does not end: keep it as you keep a password. Where tokens must end, have each issued
# for a time that the API server allows, and run this again before it is over (se-responder doctor says when):
#
#   TOKEN_DURATION=720h ./tokens.sh
#
# The service reads the tokens again for each check: a new one needs no restart.
set -eu
# What is there already is never written through, and no token is anybody else's to read.
set -C
umask 077
here=$(dirname -- "$0")
only=
if [ "$#" -gt 0 ]; then
  only=" $* "
fi
known=" "
failed=

# The token of the cluster that is reached by context $1.
token() {
  if [ -n "${TOKEN_DURATION:-}" ]; then
    kubectl --context "$1" -n @ACCOUNT@ create token @ACCOUNT@ --duration "$TOKEN_DURATION"
    return
  fi
  kubectl --context "$1" apply -f "$here/@TOKEN_SECRET_FILE@" >&2 || return 1
  tries=0
  while :; do
    data=$(kubectl --context "$1" -n @ACCOUNT@ get secret @SECRET@ -o 'jsonpath={.data.token}') || return 1
    if [ -n "$data" ]; then
      break
    fi
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
      echo "the Secret @SECRET@ has no token after 30 s" >&2
      return 1
    fi
    sleep 1
  done
  printf '%s' "$data" | base64 -d
}

# Cluster $1, which is reached by context $2 and must grant $3.
step() {
  known="$known$1 "
  if [ -n "$only" ]; then
    case "$only" in
      *" $1 "*) ;;
      *) return 0 ;;
    esac
  fi
  echo "$1 (context $2)"
  kubectl --context "$2" apply -f "$here/$3" || return 1
  rm -f "$here/$1.token.new" || return 1
  if ! token "$2" > "$here/$1.token.new" || [ ! -s "$here/$1.token.new" ]; then
    rm -f "$here/$1.token.new"
    echo "$1: no token; the one that is there stays" >&2
    return 1
  fi
  mv "$here/$1.token.new" "$here/$1.token"
}

