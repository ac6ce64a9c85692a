# What several scripts share. To be sourced from the root of the checkout.

# Says what is going on, on standard error.
say() {
  printf '%s\n' "$*" >&2
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
