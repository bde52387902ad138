#!/bin/sh
# Install Chromium from Debian's packages when it is missing and we may. Without it the browser
# tests are skipped by name (and fail where CI=true), so this script itself never fails.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "No Chromium found; the browser tests will be skipped. Install it to run them." >&2
    exit 0
fi
echo "Installing Chromium for the browser tests." >&2
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null; then
    echo "Chromium could not be installed; the browser tests will be skipped." >&2
fi
