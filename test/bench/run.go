package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"
)

// A runner measures rows.
type runner struct {
	rounds  int
	slice   time.Duration
	quick   bool
	profile string // see trial
	log     *progress
}

// run measures the rows whose section and name match.
func (r *runner) run(ctx context.Context, all []section, wanted *regexp.Regexp) (*result, error) {
	res := &result{Machine: thisMachine(), Quick: r.quick}
	defer r.log.done()
	for _, s := range all {
		rows, err := r.section(ctx, s, wanted)
		if err != nil {
			return nil, err
		}
		res.Rows = append(res.Rows, rows...)
	}
	return res, nil
}

func (r *runner) section(ctx context.Context, s section, wanted *regexp.Regexp) (list []measuredRow, err error) {
	if s.oneThread {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	for _, row := range s.rows() {
		name := title(s.name, row.name)
		if !wanted.MatchString(name) {
			continue
		}
		r.log.now(name)
		measured, err := r.row(ctx, &row)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		measured.Section = s.name
		list = append(list, *measured)
	}
	return list, nil
}

// title is what --rows matches.
func title(section, row string) string { return section + ": " + row }

// keep drops the rows that do not match.
func (r *result) keep(wanted *regexp.Regexp) {
	r.Rows = slices.DeleteFunc(r.Rows, func(m measuredRow) bool { return !wanted.MatchString(title(m.Section, m.Name)) })
}

// row measures a row: the contestants take turns, each second time in the other order.
func (r *runner) row(ctx context.Context, row *row) (*measuredRow, error) {
	t := &trial{ctx: ctx, slice: r.slice, quick: r.quick, profile: r.profile}
	defer t.clean()
	rounds := make([]round, len(row.contestants))
	samples := make([]map[measure][]float64, len(row.contestants))
	absent := make([]string, len(row.contestants)) // why
	for i, c := range row.contestants {
		err := t.try(func() { rounds[i] = c.start(t) })
		var missing *missingError
		if err != nil && !errors.As(err, &missing) {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		} else if missing != nil {
			absent[i] = missing.reason
		}
		samples[i] = map[measure][]float64{}
	}
	n := r.rounds
	if row.rounds > 0 {
		n = min(n, row.rounds)
	}
	for k := range n {
		for i := range rounds {
			if k%2 == 1 {
				i = len(rounds) - 1 - i
			}
			if rounds[i] == nil {
				continue
			}
			var s sample
			var err error
			labels := pprof.Labels("row", row.name, "contestant", row.contestants[i].name)
			pprof.Do(ctx, labels, func(context.Context) { err = t.try(func() { s = rounds[i](t) }) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", row.contestants[i].name, err)
			}
			for m, v := range s {
				samples[i][m] = append(samples[i][m], v)
			}
		}
	}
	m := row.measured(samples)
	for i := range m.Contestants {
		m.Contestants[i].Missing = absent[i]
	}
	return m, nil
}

// measured makes figures of what the contestants have measured.
func (r *row) measured(samples []map[measure][]float64) *measuredRow {
	m := &measuredRow{Name: r.name, Measure: r.measure}
	for i, c := range r.contestants {
		figures := map[measure]figure{}
		for kind, list := range samples[i] {
			figures[kind] = newFigure(list)
		}
		m.Contestants = append(m.Contestants, measuredContestant{Name: c.name, Figures: figures})
	}
	for i := range m.Contestants {
		c := &m.Contestants[i]
		versus := r.versus[c.Name]
		if r.versus == nil && i == 0 {
			for _, other := range m.Contestants[1:] {
				versus = append(versus, other.Name)
			}
		}
		for _, name := range versus {
			if other, ok := m.of(name, r.measure); ok {
				ratio := ratios(c.Figures[r.measure], other)
				ratio.Samples = nil // those of the figures say it all
				if c.Ratios == nil {
					c.Ratios = map[string]figure{}
				}
				c.Ratios[name] = ratio
			}
		}
	}
	return m
}

// perOp measures an operation that this process does: time and allocations. It repeats the
// operation as often as fits into a slice.
func perOp(t *trial, op func()) round {
	op() // what is done once only
	n := 1
	for elapsed := time.Duration(0); ; {
		start := cpuTime()
		for range n {
			op()
		}
		if elapsed = cpuTime() - start; elapsed >= t.slice/2 {
			n = max(1, int(int64(n)*int64(t.slice)/int64(elapsed)))
			break
		}
		n *= 2
	}
	return func(*trial) sample {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := cpuTime()
		for range n {
			op()
		}
		elapsed := cpuTime() - start
		runtime.ReadMemStats(&after)
		ops := float64(n)
		return sample{
			opTime:      float64(elapsed.Nanoseconds()) / ops,
			allocations: float64((after.Mallocs - before.Mallocs) / uint64(n)), // whole ones, as testing.AllocsPerRun
			garbage:     float64(after.TotalAlloc-before.TotalAlloc) / ops,
		}
	}
}
