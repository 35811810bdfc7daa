package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-analyze/charts"

	"github.com/hermetic-tls/hermetic/test/bench/process"
)

// A chart is a picture of several rows, with a bar for each series.
type chart struct {
	file, title string
	rows        []labeled
	series      []series
	// show shows a figure at the end of its bar.
	show func(float64) string
}

// labeled is a row of the table, and its name in the picture.
type labeled struct{ label, row string }

// series are the figures of one contestant.
type series struct {
	label, contestant string
	measure           measure
	color             string
}

// The colors of bars. Each can be told from the others in shades of gray, and is legible on light
// and on dark pages.
const (
	oursColor  = "#2f6fde"
	paleColor  = "#7fb2ff"
	theirColor = "#e08a2c"
	floorColor = "#8b949e"
)

// allCharts are the pictures of docs/performance.md.
func allCharts() []chart {
	times := []series{
		{"hermetic", ours, opTime, oursColor}, {"hermetic with circl", oursCircl, opTime, paleColor},
		{"crypto/tls", cryptoTLS, opTime, theirColor}, {"floor", floor, opTime, floorColor},
	}
	return []chart{
		{
			file: "handshakes", title: "TLS 1.3 handshakes, both sides: processor time, less is better", show: showTime,
			rows: []labeled{
				{"X25519", "TLS 1.3, X25519, P-256"},
				{"fresh chain", "TLS 1.3, X25519, P-256, fresh chain"},
				{"mutual", "TLS 1.3, X25519, P-256, mutual"},
				{"X25519MLKEM768", "TLS 1.3, X25519MLKEM768, P-256"},
				{"X25519, resumed", "TLS 1.3, X25519, resumed"},
			},
			series: times,
		},
		{
			file: "records", title: "Sealing and opening a record of 1 KB: processor time, less is better", show: showTime,
			rows: []labeled{
				{"TLS 1.3, AES-128-GCM", "TLS 1.3, AES-128-GCM, 1 KB"},
				{"TLS 1.2, AES-128-GCM", "TLS 1.2, AES-128-GCM, 1 KB"},
				{"TLS 1.2, ChaCha20-Poly1305", "TLS 1.2, ChaCha20-Poly1305, 1 KB"},
				{"DTLS 1.3, AES-128-GCM", "DTLS 1.3, AES-128-GCM, 1 KB"},
				{"DTLS 1.2, AES-128-GCM", "DTLS 1.2, AES-128-GCM, 1 KB"},
			},
			series: []series{
				{"hermetic", ours, opTime, oursColor}, {"crypto/tls", cryptoTLS, opTime, theirColor}, {"floor: the cipher", floor, opTime, floorColor},
			},
		},
		{
			file: "memory", title: "Heap of an established connection, one side: less is better", show: showBytes,
			rows: []labeled{
				{"TLS 1.3 server", "TLS 1.3 server"}, {"TLS 1.3 client", "TLS 1.3 client"},
				{"TLS 1.2 server", "TLS 1.2 server"}, {"DTLS 1.3 server", "DTLS 1.3 server"}, {"DTLS 1.2 server", "DTLS 1.2 server"},
			},
			series: []series{
				{"hermetic", ours, idleHeap, oursColor}, {"hermetic, compact", ours, compactHeap, paleColor}, {"crypto/tls", cryptoTLS, idleHeap, theirColor},
			},
		},
		{
			file: "server-handshakes", title: "Full handshakes for a second of the server's CPU: more is better", show: showCount,
			rows: []labeled{{"X25519, P-256", "full handshakes, X25519, P-256"}},
			series: []series{
				{"gnettls", process.Gnettls, perCPU, oursColor}, {"gnettls with circl", process.GnettlsCircl, perCPU, paleColor},
				{"net/http", process.NetHTTP, perCPU, theirColor}, {"nginx", process.Nginx, perCPU, floorColor},
			},
		},
		{
			file: "server-answers", title: "Answers of 2 KB for a second of the server's CPU: more is better", show: showCount,
			rows: []labeled{{"64 connections", "2 KB answers, 64 connections"}, {"1,000 connections", "2 KB answers, 1,000 connections"}},
			series: []series{
				{"gnettls", process.Gnettls, perCPU, oursColor}, {"gnet without TLS", process.Gnet, perCPU, paleColor},
				{"net/http", process.NetHTTP, perCPU, theirColor}, {"nginx", process.Nginx, perCPU, floorColor},
			},
		},
	}
}

// The themes of a picture: for light and for dark pages.
var themes = []struct{ name, theme string }{{"light", charts.ThemeLight}, {"dark", charts.ThemeDark}}

// writeCharts writes those pictures whose rows were all measured, as NAME-light.svg and
// NAME-dark.svg. It is an error if there is none.
func (r *result) writeCharts(folder string, list []chart) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	none := true
	for _, c := range list {
		if !c.measured(r) {
			continue
		}
		none = false
		for _, t := range themes {
			svg, err := c.draw(r, charts.GetTheme(t.theme))
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, c.file+"-"+t.name+".svg"), svg, 0o644)
			}
			if err != nil {
				return fmt.Errorf("chart %s: %w", c.file, err)
			}
		}
	}
	if none {
		return misuse("--charts: no chart has all of its rows among those measured")
	}
	return nil
}

func (c *chart) measured(r *result) bool {
	for _, row := range c.rows {
		if !slices.ContainsFunc(r.Rows, func(m measuredRow) bool { return m.Name == row.row }) {
			return false
		}
	}
	return true
}

// draw draws the picture as SVG.
func (c *chart) draw(r *result, theme charts.ColorPalette) ([]byte, error) {
	const width, barHeight, gap, top = 840, 20, 20, 90
	// Texts are measured with a font that not every page has: this is room for a wider one.
	const slack = "    "
	values := make([][]float64, len(c.series))
	names := make([]string, len(c.series))
	colors := make([]charts.Color, len(c.series))
	var labels []string
	for i, s := range c.series {
		names[i], colors[i] = s.label+slack, charts.ParseColor(s.color)
	}
	for _, row := range slices.Backward(c.rows) { // the library draws the first at the bottom
		labels = append(labels, row.label+slack)
		for i, s := range c.series {
			values[i] = append(values[i], c.value(r, row.row, s))
		}
	}
	theme = theme.WithSeriesColors(colors)
	p := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: width, Height: top + len(c.rows)*(len(c.series)*barHeight+gap), Theme: theme,
	})
	opt := charts.NewBarChartOptionWithData(values)
	opt.Theme, opt.Horizontal = theme, true
	opt.Title.Text = c.title
	opt.Legend = charts.LegendOption{SeriesNames: names, Offset: charts.OffsetStr{Left: charts.PositionLeft, Top: "28"}}
	opt.CategoryAxis.Labels = labels
	opt.ValueAxis[0].Min = charts.Ptr(0.0)
	opt.ValueAxis[0].Show = charts.Ptr(false) // each bar has its figure
	for i := range opt.SeriesList {
		opt.SeriesList[i].Label = charts.SeriesLabel{Show: charts.Ptr(true), ValueFormatter: c.show}
	}
	if err := p.BarChart(opt); err != nil {
		return nil, err
	}
	return p.Bytes()
}

// value is a bar's length, or no bar.
func (c *chart) value(r *result, row string, s series) float64 {
	for i := range r.Rows {
		if r.Rows[i].Name == row {
			if f, ok := r.Rows[i].of(s.contestant, s.measure); ok {
				return f.Median
			}
		}
	}
	return charts.GetNullValue()
}
