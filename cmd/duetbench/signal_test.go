package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A small load on the real servers, on a machine that may do other things: the bounds are far from
// what docs/benchmarks.md tells, and none is of time alone. It needs Go, Node.js and the npm registry.
func TestSignalMeasuresBothServers(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(t.Context(), &out, &progress, strings.Fields(
		"signal --json --rounds 1 --length 2s --settle 1s --idle 1s --members 600 --talkers 40 --rate 1000 --joins 50 --flood 200"))
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, bound := range []struct {
		name  string
		ratio float64
	}{
		{"a join at 50/s, p50", math.Inf(1)},
		{"CPU time for a message", 1},
		{"latency at 1000 messages/s, p99", math.Inf(1)},
		{"resident memory for each of 600", 1},
	} {
		found := false
		for _, row := range got.Rows {
			if strings.Contains(row.Name, bound.name) {
				found = true
				if row.Duet <= 0 || row.Other <= 0 || math.IsNaN(row.Ratio) || row.Ratio > bound.ratio {
					t.Errorf("%+v, at most %v of the other's is asked for", row, bound.ratio)
				}
			}
		}
		if !found {
			t.Errorf("no row about %q", bound.name)
		}
	}
	for _, row := range got.Rows {
		if (strings.HasPrefix(row.Name, "hung") || strings.HasPrefix(row.Name, "sockets lost")) && row.Duet != 0 {
			t.Errorf("%+v", row)
		}
	}
	if len(got.Notes) != 2 || !strings.Contains(got.Notes[1], "refused: HTTP 503") {
		t.Errorf("too many from one address: %q", got.Notes)
	}
}

func TestAnOfferTellsWhenItWasSent(t *testing.T) {
	if size := len(description()); size < 2400 || size > 2600 {
		t.Errorf("an offer of %d bytes", size)
	}
	for _, speaks := range []dialect{duet{}, socketIO{}} {
		frame := speaks.offer(&member{room: "tea", other: "m_1"}, description())
		sent := time.Unix(1_790_000_000, 123)
		if err := stamp(frame, sent); err != nil {
			t.Fatal(err)
		}
		if got, err := stamped(frame); err != nil || !got.Equal(sent) {
			t.Errorf("%s: %v, %v", frame, got, err)
		}
	}
	if err := stamp([]byte("else"), time.Now()); err == nil {
		t.Error("stamped what is no offer")
	}
}

func TestABoundThatIsMissedFailsTheCheck(t *testing.T) {
	for _, row := range []struct {
		name        string
		duet, other []float64
		ratio, most float64
		missed      bool
	}{
		{"better", []float64{1, 2, 3}, []float64{10, 10, 10}, 0.25, -1, false},
		{"worse", []float64{3, 3, 1}, []float64{10, 10, 10}, 0.25, -1, true},
		{"enough", []float64{14}, nil, 0, 14, false},
		{"too much", []float64{15}, nil, 0, 14, true},
		{"some where none may be", []float64{1}, nil, 0, 0, true},
		{"alone", []float64{15}, nil, 0.5, -1, false},
	} {
		r := report{Other: "the other"}
		r.compare(row.name, "s", row.duet, row.other).asks(row.ratio, row.most)
		if missed := r.check() != nil; missed != row.missed {
			t.Errorf("%s: missed is %v", row.name, missed)
		}
		var table bytes.Buffer
		if err := r.print(&table); err != nil || strings.Contains(table.String(), "MISSED") != row.missed {
			t.Errorf("%s: %s", row.name, &table)
		}
	}
}
