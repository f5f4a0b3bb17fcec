#!/usr/bin/env bash
# Runs three nodes of Duet and three NATS servers, at 127.0.0.1, .2 and .3, until Ctrl-C.
# End one with `kill` to see what happens; its number is in the list that is printed.
set -euo pipefail
cd "$(dirname "$0")/../.."

state=${STATE:-bin/cluster}
mkdir -p "$state"
# Nodes share two secrets: here, new ones each time.
DUET_CLUSTER_SECRET=$(openssl rand -hex 32)
DUET_TURN_STATIC_AUTH_SECRET=$(openssl rand -hex 32)
export DUET_CLUSTER_SECRET DUET_TURN_STATIC_AUTH_SECRET

pids=()
finish() {
	trap - EXIT INT TERM
	kill "${pids[@]}" 2>/dev/null || true
	wait
}
trap finish EXIT INT TERM

routes=nats://127.0.0.1:6222,nats://127.0.0.2:6222,nats://127.0.0.3:6222
for i in 1 2 3; do
	bin/nats-server --name "nats$i" --addr "127.0.0.$i" --port 4222 --jetstream --store_dir "$state/nats$i" \
		--cluster_name duet --cluster "nats://127.0.0.$i:6222" --routes "$routes" --log "$state/nats$i.log" &
	pids+=($!)
	echo "nats $i    pid $!    nats://127.0.0.$i:4222    log $state/nats$i.log"
done
for i in 1 2 3; do
	until (: >"/dev/tcp/127.0.0.$i/4222") 2>/dev/null; do sleep 0.1; done
done
for i in 1 2 3; do
	STATE_DIRECTORY="$state/duet$i" DUET_HTTP_LISTEN="127.0.0.$i:8080" DUET_TURN_LISTENING_IP="127.0.0.$i" \
		DUET_METRICS_LISTEN="127.0.0.$i:9651" \
		bin/duet --config deploy/cluster/turnserver.toml >"$state/duet$i.log" 2>&1 &
	pids+=($!)
	echo "duet $i    pid $!    http://127.0.0.$i:8080    log $state/duet$i.log"
done
wait
