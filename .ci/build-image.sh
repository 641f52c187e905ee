#!/usr/bin/env bash
# Builds the image of deploy/docker/Dockerfile without Docker and without a registry of images, and leaves it as a
# folder with what its configuration says. The two bases are made of Debian's packages. The base of the result has no
# shell, as the one that the Dockerfile names.
#
#     .ci/build-image.sh FOLDER     # as root, with buildah and mmdebstrap of Debian; makes FOLDER/rootfs and FOLDER/config.json
set -euo pipefail
folder=$(realpath -m "$1")
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "Cannot build the image: this script needs root, for mmdebstrap and buildah" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Unpacks packages without running their scripts: $1 is the folder, the others are packages.
base() {
  local to=$1
  shift
  mmdebstrap --quiet --variant=extract --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="base-files,libc6,libgcc-s1,libstdc++6${1:+,$1}" bookworm "$to"
}

# Stands in for an image of Node: the Node, npm and certificates of this machine.
base "$scratch/build" dash,coreutils,libatomic1
ln -sf dash "$scratch/build/bin/sh"
mkdir -p "$scratch/build/usr/lib/node_modules" "$scratch/build/etc/ssl/certs" "$scratch/build/tmp" "$scratch/build/root"
cp "$(readlink -f "$(PATH=/usr/local/bin:/usr/bin:/bin command -v node)")" "$scratch/build/usr/bin/node"
cp -R "$(npm root --global)/npm" "$scratch/build/usr/lib/node_modules/"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$scratch/build/usr/bin/npm"
cp -L /etc/ssl/certs/ca-certificates.crt "$scratch/build/etc/ssl/certs/"
base "$scratch/runtime"

# Each command of buildah with its own store, so that nothing of it stays on the machine.
build() {
  buildah --storage-driver vfs --root "$scratch/store" --runroot "$scratch/run" "$@"
}
for stage in build runtime; do
  printf 'FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin:/bin NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt NPM_CONFIG_CAFILE=/etc/ssl/certs/ca-certificates.crt\n' \
    >"$scratch/$stage.containerfile"
  [ "$stage" = build ] || printf 'FROM scratch\nCOPY . /\n' >"$scratch/$stage.containerfile"
  build bud --quiet --isolation chroot --file "$scratch/$stage.containerfile" --tag "$stage" "$scratch/$stage" >/dev/null
  rm -rf "${scratch:?}/$stage"
done
build bud --quiet --format docker --isolation chroot --file deploy/docker/Dockerfile --tag orca \
  --build-arg BUILD_IMAGE=localhost/build --build-arg RUNTIME_IMAGE=localhost/runtime \
  --build-arg VERSION="$(node -p 'require("./package.json").version')" --build-arg REVISION="$(git rev-parse HEAD)" . >/dev/null

mkdir -p "$folder"
build inspect --type image --format '{{.Config}}' orca >"$folder/config.json"
container=$(build from orca)
cp -a "$(build mount "$container")" "$folder/rootfs"
