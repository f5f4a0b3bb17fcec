package main

import (
	"log/slog"
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/duetcall/duet/relay"
	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/cluster"
	"github.com/duetcall/duet/webhook"
)

// measured is what one scrape is made of.
type measured struct {
	relay     relay.Stats // of a relay that is off, everything is zero
	signaling signaling.Stats
	ice       map[string]uint64 // requests for /v1/ice, by result
	questions webhook.AskerStats
	events    webhook.SenderStats
	cluster   cluster.Stats // of a server that is alone, everything is zero
}

// series is one metric: its name and labels are fixed, and no label has a value that a
// stranger chose.
type series struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	// read calls emit for each combination of labels.
	read func(m measured, emit func(value float64, labels ...string))
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// allSeries is every series that Duet has beside those of the process, the Go runtime
// and the scrapes themselves. docs/metrics.md lists the same: a test.
func allSeries() []series {
	direction := []string{"direction"}
	return []series{
		{"duet_build_info", "What is running; always 1.", gauge, []string{"version", "go"}, func(_ measured, emit func(float64, ...string)) {
			emit(1, version, runtime.Version())
		}},

		{"duet_relay_active_allocations", "Allocations now, by the client's transport and the relayed address's family.", gauge, []string{"transport", "family"}, func(m measured, emit func(float64, ...string)) {
			for kind, count := range m.relay.ByKind {
				emit(float64(count.Now), kind.Transport, kind.Family)
			}
		}},
		{"duet_relay_allocations_total", "Allocations ever made.", counter, []string{"transport", "family"}, func(m measured, emit func(float64, ...string)) {
			for kind, count := range m.relay.ByKind {
				emit(float64(count.Total), kind.Transport, kind.Family)
			}
		}},
		{"duet_relay_allocations_ended_total", "Allocations that are over, by reason.", counter, []string{"reason"}, func(m measured, emit func(float64, ...string)) {
			for reason, n := range m.relay.Ended {
				emit(float64(n), reason.String())
			}
		}},
		{"duet_relay_permissions", "Permissions of all allocations, now.", gauge, nil, one(func(m measured) int { return m.relay.Permissions })},
		{"duet_relay_channels", "Channels of all allocations, now.", gauge, nil, one(func(m measured) int { return m.relay.Channels })},
		{"duet_relay_packets_total", "Packets: all from and to clients, data alone from and to peers.", counter, direction, func(m measured, emit func(float64, ...string)) {
			for name, way := range ways(m.relay) {
				emit(float64(way.Packets), name)
			}
		}},
		{"duet_relay_bytes_total", "Bytes of these packets, without UDP and IP headers.", counter, direction, func(m measured, emit func(float64, ...string)) {
			for name, way := range ways(m.relay) {
				emit(float64(way.Bytes), name)
			}
		}},
		{"duet_relay_bindings_total", "STUN Binding requests answered.", counter, nil, one(func(m measured) uint64 { return m.relay.Bindings })},
		{"duet_relay_refusals_total", "Requests answered with an error, by STUN error code and reason.", counter, []string{"code", "reason"}, func(m measured, emit func(float64, ...string)) {
			for reason, n := range m.relay.Refused {
				emit(float64(n), strconv.Itoa(reason.Code()), reason.String())
			}
		}},
		{"duet_relay_drops_total", "Packets and connections that went no further and were not answered, by reason.", counter, []string{"reason"}, func(m measured, emit func(float64, ...string)) {
			for reason, n := range m.relay.Dropped {
				emit(float64(n), reason.String())
			}
		}},
		{"duet_relay_revocations_forgotten_total", "Members who left and whose credentials were forgotten before their time: too many left.", counter, nil, one(func(m measured) uint64 { return m.relay.RevocationsForgotten })},
		{"duet_relay_ports_used", "Relay ports taken, by allocations and reservations.", gauge, []string{"family"}, func(m measured, emit func(float64, ...string)) {
			for family, use := range m.relay.Ports {
				emit(float64(use.Used), family)
			}
		}},
		{"duet_relay_ports", "Relay ports from min_port to max_port.", gauge, []string{"family"}, func(m measured, emit func(float64, ...string)) {
			for family, use := range m.relay.Ports {
				emit(float64(use.Size), family)
			}
		}},
		{"duet_relay_connections", "TCP, TLS and DTLS connections of TURN clients, now.", gauge, nil, one(func(m measured) int { return m.relay.Streams })},
		{"duet_relay_peer_connections", "TCP connections with peers, now; see tcp_relay.", gauge, nil, one(func(m measured) int { return m.relay.PeerConnections })},

		{"duet_signaling_sockets", "WebSockets, now.", gauge, nil, one(func(m measured) int64 { return m.signaling.Sockets })},
		{"duet_signaling_rooms", "Rooms, now.", gauge, nil, one(func(m measured) int64 { return m.signaling.Rooms })},
		{"duet_signaling_members", "Members of all rooms, now.", gauge, nil, one(func(m measured) int64 { return m.signaling.Members })},
		{"duet_signaling_away_members", "Members whose socket is lost and whose seat is kept, now.", gauge, nil, one(func(m measured) int64 { return m.signaling.Away })},
		{"duet_signaling_replay_bytes", "Bytes of messages kept for members who may resume.", gauge, nil, one(func(m measured) int64 { return m.signaling.ReplayBytes })},
		{"duet_signaling_resumes_total", "Sockets that took a session over, by what had become of it.", counter, []string{"session"}, func(m measured, emit func(float64, ...string)) {
			emit(float64(m.signaling.Resumed), "whole")
			emit(float64(m.signaling.Lossy), "lossy")
			emit(float64(m.signaling.Restored), "restored")
		}},
		{"duet_signaling_bad_keys_total", "Keys of sessions and rooms refused, by reason.", counter, []string{"reason"}, func(m measured, emit func(float64, ...string)) {
			emit(float64(m.signaling.ForgedKeys), "forged")
			emit(float64(m.signaling.UsedKeys), "used")
			emit(float64(m.signaling.WrongKeys), "wrong")
			emit(float64(m.signaling.DelayedKeys), "delayed")
		}},
		{"duet_signaling_joins_total", "Members ever seated.", counter, nil, one(func(m measured) uint64 { return m.signaling.Joins })},
		{"duet_signaling_messages_total", "Messages of members.", counter, nil, one(func(m measured) uint64 { return m.signaling.Messages })},
		{"duet_signaling_signals_total", "Signals passed on from one member to another.", counter, nil, one(func(m measured) uint64 { return m.signaling.Signals })},
		{"duet_signaling_slow_readers_total", "Sockets closed because their member did not read.", counter, nil, one(func(m measured) uint64 { return m.signaling.SlowReaders })},
		{"duet_signaling_errors_total", "Errors sent to members, by code.", counter, []string{"code"}, func(m measured, emit func(float64, ...string)) {
			for code, n := range m.signaling.Refused {
				emit(float64(n), string(code))
			}
		}},
		{"duet_signaling_upgrades_refused_total", "WebSockets not opened, by reason.", counter, []string{"reason"}, func(m measured, emit func(float64, ...string)) {
			emit(float64(m.signaling.Origins), "origin")
			emit(float64(m.signaling.Crowded), "crowded")
			emit(float64(m.signaling.ConnectRate), "connect_rate")
			emit(float64(m.signaling.SocketsPerAddress), "sockets_per_address")
		}},

		{"duet_api_ice_requests_total", "Requests for /v1/ice, by result.", counter, []string{"result"}, func(m measured, emit func(float64, ...string)) {
			for result, n := range m.ice {
				emit(float64(n), result)
			}
		}},
		{"duet_webhook_questions_total", "Questions whether somebody may join, by what became of them.", counter, []string{"result"}, func(m measured, emit func(float64, ...string)) {
			emit(float64(m.questions.Answered), "answered")
			emit(float64(m.questions.Failed), "failed")
		}},
		{"duet_webhook_deliveries_total", "Requests that tell of events, by whether they were taken.", counter, []string{"result"}, func(m measured, emit func(float64, ...string)) {
			emit(float64(m.events.OK), "ok")
			emit(float64(m.events.Failed), "failed")
		}},
		{"duet_webhook_events_total", "Events, by what became of them.", counter, []string{"result"}, func(m measured, emit func(float64, ...string)) {
			emit(float64(m.events.Delivered), "delivered")
			emit(float64(m.events.Dropped), "dropped")
		}},
		{"duet_webhook_queued_events", "Events that wait for their delivery, now.", gauge, nil, one(func(m measured) int { return m.events.Queued })},
		{"duet_cluster_nodes", "Nodes of the cluster that live, this one among them; 0 without a cluster.", gauge, nil, one(func(m measured) int { return m.cluster.Nodes })},
		{"duet_cluster_calls_total", "Requests to other nodes, by whether an answer came.", counter, []string{"result"}, func(m measured, emit func(float64, ...string)) {
			emit(float64(m.cluster.Calls-m.cluster.FailedCalls), "answered")
			emit(float64(m.cluster.FailedCalls), "failed")
		}},
		{"duet_cluster_served_total", "Requests of other nodes.", counter, nil, one(func(m measured) uint64 { return m.cluster.Served })},
		{"duet_cluster_conflicts_total", "Changes of a room that began again because another node was faster.", counter, nil, one(func(m measured) uint64 { return m.cluster.Conflicts })},
		{"duet_cluster_unavailable_total", "Reads and changes that NATS did not do in time.", counter, nil, one(func(m measured) uint64 { return m.cluster.Unavailable })},
	}
}

// one reads a series without labels.
func one[T int | int64 | uint64](read func(measured) T) func(measured, func(float64, ...string)) {
	return func(m measured, emit func(float64, ...string)) { emit(float64(read(m))) }
}

func ways(s relay.Stats) map[string]relay.Traffic {
	return map[string]relay.Traffic{
		"from_clients": s.FromClients, "to_clients": s.ToClients, "from_peers": s.FromPeers, "to_peers": s.ToPeers,
	}
}

// collector reads the statistics when it is scraped, and keeps nothing.
type collector struct {
	measure func() measured
	series  []series
	descs   []*prometheus.Desc
}

func newCollector(measure func() measured) *collector {
	c := &collector{measure: measure, series: allSeries()}
	for _, s := range c.series {
		c.descs = append(c.descs, prometheus.NewDesc(s.name, s.help, s.labels, nil))
	}
	return c
}

// Describe is for the registry.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range c.descs {
		out <- desc
	}
}

// Collect is one scrape.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	m := c.measure()
	for i, s := range c.series {
		s.read(m, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(c.descs[i], s.kind, value, labels...)
		})
	}
}

func (s *server) measure() measured {
	m := measured{signaling: s.signaling.Stats(), ice: s.ice.stats(), questions: s.access.asker.Stats(), events: s.events.Stats()}
	if s.relay != nil {
		m.relay = s.relay.Stats()
	}
	if s.cluster != nil {
		m.cluster = s.cluster.Stats()
	}
	return m
}

// metricsHandler serves /metrics and nothing else.
func (s *server) metricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		newCollector(s.measure),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		ErrorLog:            slog.NewLogLogger(s.log.With("part", "metrics").Handler(), slog.LevelError),
	})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return forMachine(s.metrics, mux)
}
