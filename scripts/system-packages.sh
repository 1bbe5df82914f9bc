#!/usr/bin/env bash
# The system libraries that Qt and a virtual screen need on Debian and Ubuntu.
# Installs what is missing when run as root, and otherwise says what to run.
set -u
packages="xvfb xauth libgl1 libegl1 libdbus-1-3 libfontconfig1 libglib2.0-0 \
libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 \
libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1"
command -v dpkg-query >/dev/null 2>&1 || exit 0
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" ||
    missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "Please run once: sudo apt-get install -y$missing" >&2
fi
