# Makes the environment that ./run, ./test and .ci/run work in; they source this file from the top of the repository.
#
# Afterwards the functions below may be called, and `python`, `maturin` and the like come from .venv.
# What is missing is installed with apt when this runs as root on a Debian-like system; elsewhere the
# message names what to install.

rust_needed=1.88

say() { printf '\n== %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# need COMMAND PACKAGE...: make sure that a command exists, from these Debian packages.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    install_packages "$@"
    command -v "$command" >/dev/null || die "$command is still missing after installing $*"
}

install_packages() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
        die "install what these Debian packages hold, or run this as root on Debian: $*"
    say "installing $*"
    [ -n "${apt_updated:-}" ] || apt-get update -qq
    apt_updated=yes
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

setup_python() {
    need python3 python3
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "kdive needs Python 3.11 or newer"
    if [ ! -x .venv/bin/pip ]; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
        python3 -m venv .venv
    fi
    PATH="$PWD/.venv/bin:$PATH"
    export PATH VIRTUAL_ENV="$PWD/.venv" PIP_DISABLE_PIP_VERSION_CHECK=1
    pip install -q 'maturin>=1.9.4,<2'
}

setup_rust() {
    command -v cargo >/dev/null || die "kdive is built with Rust $rust_needed or newer: see https://rustup.rs"
    local have
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$rust_needed" "$have" | sort -V | head -n 1)" = "$rust_needed" ] ||
        die "kdive needs Rust $rust_needed or newer, this is $have: run rustup update"
    need cc gcc libc6-dev
}

# Compilers and debuggers that tests compile with and compare with.
setup_peers() {
    need gcc gcc libc6-dev
    need g++ g++
    need clang clang
    need llvm-dwp llvm
    need s390x-linux-gnu-gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross
    need objcopy binutils
    [ -e /usr/include/ctf-api.h ] || install_packages binutils-dev
    need dwz dwz
    need bpftool bpftool
    need eu-addr2line elfutils
    need gdb gdb
    need xz xz-utils
    need zstd zstd
    need sudo sudo
    # In an environment of its own: kdive is compared with drgn, and never imports it.
    [ -x .venv-drgn/bin/drgn ] || { python3 -m venv .venv-drgn && .venv-drgn/bin/pip install -q drgn==0.3.0; }
}

# build [OPTION]...: build the native module and install kdive in place, with these options of maturin develop.
build() {
    say "building kdive (maturin develop $*)"
    maturin develop -q "$@"
}
