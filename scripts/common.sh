# What several scripts share. To be sourced from the root of the checkout.

# Says what is going on, on standard error.
say() {
  printf '%s\n' "$*" >&2
}

# Whether a program is on the path.
have() {
  command -v "$1" >/dev/null 2>&1
}

# Whether what is missing can be installed: by root on Debian.
may_install() {
  [[ $(id -u) == 0 && -e /etc/debian_version ]] && have apt-get
}

# Installs Debian packages; shows what the installer says only when it fails.
install_packages() {
  local log
  say "installing $* ..."
  log=$(mktemp)
  if apt-get update -qq >"$log" 2>&1 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >>"$log" 2>&1; then
    rm -f "$log"
    return
  fi
  tail -5 "$log" >&2
  rm -f "$log"
  return 1
}

# Tells that a part of the checks cannot be done here, and why: skipped PART WHY. Where everything
# can be installed that is a failure, and this returns 1; $STRICT (0 or 1) decides otherwise. The
# file $SKIPPED_LIST gets a line, so that .ci/run can name the part again at its end.
skipped() {
  if [[ -n ${SKIPPED_LIST:-} ]]; then
    printf '%s: %s\n' "$1" "$2" >>"$SKIPPED_LIST"
  fi
  if is_strict; then
    say "FAILED: $1: $2 (STRICT=0 skips what cannot be done)"
    return 1
  fi
  say "SKIPPED: $1: $2"
}

is_strict() {
  if [[ -n ${STRICT:-} ]]; then [[ $STRICT != 0 ]]; else may_install; fi
}

# Builds the release binary and sets $mapring to its path; with $MAPRING, takes that one instead.
build_release() {
  if [[ -n ${MAPRING:-} ]]; then
    mapring=$(realpath "$MAPRING")
    return
  fi
  say "building (cargo build --release) ..."
  cargo build --release --quiet -p mapring-cli
  mapring=${CARGO_TARGET_DIR:-target}/release/mapring
  mapring=$(realpath "$mapring")
}

# Whether something listens on a port of this machine.
is_taken() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Prints the first HTTP port, from 8098 in steps of 100, at which a playground of three nodes fits.
free_port() {
  local first offset
  for ((first = 8098; first < 60000; first += 100)); do
    for offset in 0 1 10 11 20 21; do
      is_taken $((first + offset)) && continue 2
    done
    echo "$first"
    return
  done
  say "no free ports"
  return 1
}

# Waits until `condition...` succeeds, for at most so many seconds: wait_for 30 condition...
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}

# Prints a text as a JSON string.
json_string() {
  printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g' | tr '\n\t' '  ')"
}
