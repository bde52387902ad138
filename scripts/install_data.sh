#!/bin/sh
# Installs what the quality figures are measured on: garments and fonts, from Debian's packages.
set -eu
packages="dataset-fashion-mnist fonts-dejavu-core fonts-dejavu-extra fonts-lato fonts-liberation2 \
fonts-urw-base35 fonts-texgyre fonts-aenigma fonts-dustin"
missing=""
for package in $packages; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "Install first, as root: apt-get install$missing" >&2
    exit 1
fi
apt-get update -q >/dev/null
# shellcheck disable=SC2086  # a list of names
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
