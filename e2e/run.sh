#!/usr/bin/env bash
# Runs the end-to-end tests in a network namespace of their own: loopback and one
# ordinary address with a default route, as on a machine in a home network, and
# nothing beyond. Needs root, or user namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${DUET_E2E_INSIDE:-} != 1 ]]; then
	as_root=()
	[[ $(id -u) == 0 ]] || as_root=(--map-root-user)
	DUET_E2E_INSIDE=1 exec unshare --net "${as_root[@]}" "$0" "$@"
fi

ip link set lo up
ip link add lan type veth peer name router
# An IPv6 address that comes by itself, seconds later, is a changed network to browsers: they drop what they load.
ip link set lan addrgenmode none
ip link set router addrgenmode none
ip address add 192.168.77.10/24 dev lan
ip link set lan up
ip link set router up
ip route add default via 192.168.77.1

if (($# == 0)); then
	set -- e2e/*.test.js
fi
exec node --test --test-concurrency=1 --test-timeout=480000 "$@"
