# make run    build and start Duet on ./turnserver.toml or on defaults    needs Go
# make cluster three nodes on this machine, at http://127.0.0.1:8080, .2 and .3   needs Go, openssl
# make test   Go tests with -race, tsc, unit and end-to-end tests         needs Go, Node.js, Chromium, Firefox ESR, coturn, … (installed as root on Debian)
# make lint   golangci-lint (go vet, staticcheck, gofumpt, …), tsc, eslint   needs Go, Node.js
# make sdk    the browser SDK as an npm package, bin/duetcall-sdk-*.tgz   needs Node.js
# make fuzz   every fuzz target for FUZZTIME each                         needs Go
# make bench  benchmarks with allocations                                 needs Go
# make bench-signal   signaling beside Socket.IO, 8 minutes (docs/benchmarks.md)   needs Go, Node.js, Linux

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 60s
LINT     := go tool -modfile=tools.mod golangci-lint

.PHONY: build run cluster test test-go test-web e2e lint fuzz bench bench-signal sdk fmt deps clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/duet ./cmd/duet

run: build
	./bin/duet

# NATS is the version that the tests run.
cluster: build
	CGO_ENABLED=0 go build -trimpath -o bin/nats-server github.com/nats-io/nats-server/v2
	./deploy/cluster/run.sh

test: deps test-go test-web e2e

test-go:
	go test -race ./...

test-web: deps
	npx --no-install tsc --noEmit
	npm test

e2e: build deps
	./e2e/run.sh

# What a clean Debian lacks is installed when we may, and named when we may not.
deps:
	./.ci/deps

lint: deps
	$(LINT) run
	npx --no-install tsc --noEmit
	npm run --silent lint

sdk: deps
	./web/sdk/pack

fmt:
	$(LINT) fmt

fuzz:
	./.ci/fuzz $(FUZZTIME)

bench:
	go test -run '^$$' -bench . -benchmem ./...

bench-signal:
	go run ./cmd/duetbench signal

clean:
	rm -rf bin node_modules e2e/artifacts
