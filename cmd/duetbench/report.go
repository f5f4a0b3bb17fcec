package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one line of the table: a figure of each server, and what is asked of ours.
type row struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	Duet  float64 `json:"duet"`
	Other float64 `json:"other,omitempty"` // 0: not measured
	// Ratio is Duet / Other: the median of the rounds' ratios.
	Ratio float64 `json:"ratio,omitempty"`
	// AtMost and RatioAtMost are the bounds. Nil: none.
	AtMost      *float64 `json:"at_most,omitempty"`
	RatioAtMost *float64 `json:"ratio_at_most,omitempty"`
	Rounds      int      `json:"rounds"`
}

// missed says which bound the row misses; none: "".
func (r *row) missed() string {
	switch {
	case r.AtMost != nil && r.Duet > *r.AtMost:
		return fmt.Sprintf("%s: %s, at most %s are asked for", r.Name, figure(r.Duet, r.Unit), figure(*r.AtMost, r.Unit))
	case r.RatioAtMost != nil && r.Ratio > *r.RatioAtMost:
		return fmt.Sprintf("%s: %.2f of the other's, at most %.2f is asked for", r.Name, r.Ratio, *r.RatioAtMost)
	}
	return ""
}

func (r *row) asked() string {
	var asked []string
	if r.RatioAtMost != nil {
		asked = append(asked, fmt.Sprintf("ratio <= %.2f", *r.RatioAtMost))
	}
	if r.AtMost != nil {
		asked = append(asked, "<= "+figure(*r.AtMost, r.Unit))
	}
	return strings.Join(asked, ", ")
}

// report is what a run has found.
type report struct {
	Machine machine `json:"machine"`
	Other   string  `json:"other"`
	Rows    []*row  `json:"rows"`
	// Notes are what is no figure.
	Notes []string `json:"notes,omitempty"`
}

// compare adds a row of several rounds. other may be empty.
func (r *report) compare(name, unit string, duet, other []float64) *row {
	added := &row{Name: name, Unit: unit, Duet: median(duet), Rounds: len(duet)}
	if len(other) > 0 {
		added.Other = median(other)
		ratios := make([]float64, 0, len(duet))
		for i := range min(len(duet), len(other)) {
			if other[i] != 0 {
				ratios = append(ratios, duet[i]/other[i])
			}
		}
		if len(ratios) > 0 {
			added.Ratio = median(ratios)
		}
	}
	r.Rows = append(r.Rows, added)
	return added
}

// asks sets the bounds of a row: 0 is no ratio, less than 0 no figure.
func (r *row) asks(ratio, most float64) {
	if ratio > 0 {
		r.RatioAtMost = &ratio
	}
	if most >= 0 {
		r.AtMost = &most
	}
}

// print writes the table.
func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", r.Machine)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\tDuet\t%s\tratio\tasked\t\t\n", r.Other)
	for _, row := range r.Rows {
		other, ratio, verdict := "", "", ""
		if row.Ratio > 0 {
			other, ratio = figure(row.Other, row.Unit), fmt.Sprintf("%.2f", row.Ratio)
		}
		if row.missed() != "" {
			verdict = "MISSED"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t\n", row.Name, figure(row.Duet, row.Unit), other, ratio, row.asked(), verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\n%s", note)
	}
	fmt.Fprintln(w)
	return nil
}

func (r *report) printJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// check returns errMissed if a bound is missed.
func (r *report) check() error {
	for _, row := range r.Rows {
		if why := row.missed(); why != "" {
			return fmt.Errorf("%w: %s", errMissed, why)
		}
	}
	return nil
}

func figure(value float64, unit string) string {
	digits := max(0, 2-int(math.Log10(max(1, math.Abs(value)))))
	if value == math.Trunc(value) {
		digits = 0
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f %s", digits, value, unit))
}

func median(values []float64) float64 {
	return quantile(values, 0.5)
}

// quantile is the smallest value that at least that share of the values do not exceed.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
