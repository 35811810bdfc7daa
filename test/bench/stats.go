package main

import (
	"math"
	"slices"
)

// A figure is what the rounds of one contestant have measured.
type figure struct {
	Median  float64   `json:"median"`
	Q1      float64   `json:"q1"` // the lower quartile
	Q3      float64   `json:"q3"` // the upper quartile
	Samples []float64 `json:"samples,omitempty"`
}

func newFigure(samples []float64) figure {
	sorted := slices.Sorted(slices.Values(samples))
	return figure{Median: quantile(sorted, 0.5), Q1: quantile(sorted, 0.25), Q3: quantile(sorted, 0.75), Samples: samples}
}

// spread is half the distance between the quartiles.
func (f figure) spread() float64 { return (f.Q3 - f.Q1) / 2 }

// quantile interpolates between the two samples next to it.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below == len(sorted)-1 {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// ratios are those of each round: what disturbs a round disturbs both.
func ratios(a, b figure) figure {
	n := min(len(a.Samples), len(b.Samples))
	list := make([]float64, n)
	for i := range n {
		list[i] = a.Samples[i] / b.Samples[i]
	}
	return newFigure(list)
}
