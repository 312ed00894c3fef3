# Sourced by demo and check: installs Debian packages that are missing, and says
# what and why. Root installs at once, anybody else through sudo.

build_packages=(gcc libc6-dev cmake ninja-build pkg-config libczmq-dev libzmq3-dev libcjson-dev
  libmicrohttpd-dev libcurl4-gnutls-dev libsqlite3-dev libisal-dev)
test_packages=(libcriterion-dev clang-format-14 curl jq python3-zmq sqlite3)
node_packages=(nodejs npm) # for the validators of contracts/

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "This needs root, and sudo is not there. As root, run: $*" >&2
    return 1
  fi
}

is_installed() {
  # Either flavour of libcurl's headers will do; they exclude each other.
  if [[ $1 == libcurl4-gnutls-dev ]] && [[ -e /usr/include/x86_64-linux-gnu/curl/curl.h ||
    -e /usr/include/aarch64-linux-gnu/curl/curl.h || -e /usr/include/curl/curl.h ]]; then
    return 0
  fi
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# install_packages WHY PACKAGE...
install_packages() {
  local why=$1 package missing=()
  shift
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ! command -v apt-get >/dev/null; then
    echo "This machine has no apt-get. Install what Debian 12 calls: ${missing[*]}" >&2
    return 1
  fi
  echo "Installing ${#missing[@]} Debian packages ($why): ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { as_root apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install them (the whole log: $log)" >&2
    return 1
  fi
  rm -f "$log"
}

# fetch_promtool DIR: unpacks promtool into DIR without installing the Prometheus
# server, which would start on the machine.
fetch_promtool() {
  command -v promtool >/dev/null && return 0
  [[ -x $1/usr/bin/promtool ]] && return 0
  echo "Unpacking promtool (checks the metrics) from Debian's prometheus package into $1"
  mkdir -p "$1"
  (cd "$1" && { apt-get download -q prometheus || { as_root apt-get update -q && apt-get download -q prometheus; }; } &&
    dpkg-deb -x prometheus_*.deb . && rm -f prometheus_*.deb) >"$1/fetch.log" 2>&1 || {
    tail -n 5 "$1/fetch.log" >&2
    return 1
  }
}

# fetch_validators FOLDER: has npm install into FOLDER what tests/contracts needs, unless it
# is there. No package may run anything of its own.
fetch_validators() {
  local wanted=tests/contracts/package.json
  if ! command -v npm >/dev/null; then
    install_packages "to validate contracts/" "${node_packages[@]}" || return 1
  fi
  cmp -s "$wanted" "$1/package.json" && [[ -e $1/complete ]] && return 0
  echo "Installing the validators of contracts/ from npm into $1"
  rm -rf "$1"
  mkdir -p "$1" && cp "$wanted" "$1/package.json" || return 1
  if ! npm --prefix "$1" install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error >"$1/install.log" 2>&1; then
    tail -n 20 "$1/install.log" >&2
    return 1
  fi
  touch "$1/complete"
}
