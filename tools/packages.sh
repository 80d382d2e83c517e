# For run.sh and test.sh: installs the packages a machine lacks, and nothing when it lacks none.
#
#   packages_install build      what building needs
#   packages_install tests      what test.sh needs besides
#   packages_install page       what the tests of the page need: a browser, and what drives it

# The command, the pkg-config module (pc:NAME) or the file (file:PATH), and the package that brings it.
packages_debian_build="cmake:cmake ninja:ninja-build cc:gcc pkg-config:pkg-config
pc:jansson:libjansson-dev pc:libpng:libpng-dev pc:libjpeg:libjpeg-dev pc:libutf8proc:libutf8proc-dev
pc:zlib:zlib1g-dev pc:libwebp:libwebp-dev pc:libavif:libavif-dev h:gif_lib.h:libgif-dev
pc:sqlite3:libsqlite3-dev pc:libsodium:libsodium-dev pc:libcurl:libcurl4-openssl-dev
pc:libmicrohttpd:libmicrohttpd-dev"
packages_debian_tests="clang:clang clang-format:clang-format qemu-aarch64:qemu-user
aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu node:nodejs
file:/usr/aarch64-linux-gnu/lib/crti.o:libc6-dev-arm64-cross"
packages_debian_page="node:nodejs npm:npm chromium:chromium"
packages_brew_build="cmake:cmake ninja:ninja pkg-config:pkg-config
pc:jansson:jansson pc:libpng:libpng pc:libjpeg:jpeg-turbo pc:libutf8proc:utf8proc
pc:zlib:zlib pc:libwebp:webp pc:libavif:libavif h:gif_lib.h:giflib
pc:sqlite3:sqlite pc:libsodium:libsodium
pc:libmicrohttpd:libmicrohttpd"
packages_brew_tests="clang-format:clang-format node:node"
packages_brew_page="node:node"

# Whether a header is where compilers look: for libraries that pkg-config does not know.
packages_header() {
    [ -e "/usr/include/$1" ] || [ -e "/opt/homebrew/include/$1" ] || [ -e "/usr/local/include/$1" ]
}

# Prints the packages of a list whose command, module or header is not there.
packages_missing() {
    for row in $1; do
        case $row in
        pc:*)
            rest=${row#pc:}
            pkg-config --exists "${rest%%:*}" 2>/dev/null || echo "${rest#*:}"
            ;;
        file:*)
            rest=${row#file:}
            [ -e "${rest%%:*}" ] || echo "${rest#*:}"
            ;;
        h:*)
            rest=${row#h:}
            packages_header "${rest%%:*}" || echo "${rest#*:}"
            ;;
        *) command -v "${row%%:*}" >/dev/null 2>&1 || echo "${row#*:}" ;;
        esac
    done
}

# The C library's headers: a compiler alone does not bring them on Debian.
packages_libc() {
    [ -e /usr/include/stdio.h ] || echo libc6-dev
}

packages_apt() {
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "needed: $*; become root, or install sudo" >&2
            return 1
        }
        sudo=sudo
    fi
    echo "installing $*" >&2
    apt_log=$(mktemp)
    if ! { $sudo apt-get update -q &&
           $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } \
        >"$apt_log" 2>&1; then
        tail -n 20 "$apt_log" >&2
        rm -f "$apt_log"
        echo "could not install $*" >&2
        return 1
    fi
    rm -f "$apt_log"
}

packages_install() {
    if command -v apt-get >/dev/null 2>&1; then
        case $1 in
        build) list=$packages_debian_build ;;
        tests) list=$packages_debian_tests ;;
        page) list=$packages_debian_page ;;
        esac
        missing="$(packages_missing "$list") $(packages_libc)"
        missing=$(echo $missing)
        [ -z "$missing" ] || packages_apt $missing
    elif command -v brew >/dev/null 2>&1; then
        # Homebrew keeps these out of the default search path.
        for keg in jpeg-turbo sqlite zlib; do
            PKG_CONFIG_PATH=$(brew --prefix)/opt/$keg/lib/pkgconfig:${PKG_CONFIG_PATH:-}
        done
        export PKG_CONFIG_PATH
        case $1 in
        build) list=$packages_brew_build ;;
        tests) list=$packages_brew_tests ;;
        page) list=$packages_brew_page ;;
        esac
        missing=$(echo $(packages_missing "$list"))
        [ -z "$missing" ] || { echo "installing $missing" >&2 && brew install --quiet $missing >&2; }
    else
        missing=$(echo $(packages_missing "$packages_debian_build"))
        [ "$1" != build ] || [ -z "$missing" ] || {
            echo "please install $missing (the names are Debian's)" >&2
            return 1
        }
    fi
}
