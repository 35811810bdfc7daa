package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// Distances in a chart, in its units.
const (
	topOfChart   = 34
	sendGap      = 26 // at least, since a label stands above each line
	arriveGap    = 9
	longestGap   = 54 // a longer pause is cut, and says so
	perSecond    = 140
	charWidth    = 7.2
	lostFraction = 0.55
)

// chart is what became of each datagram: time runs down, and a line leads from when it was sent
// to when it arrived.
type chart struct {
	Width, Height int
	Left, Right   int // the two sides
	Lines         []chartLine
	Ticks         []tick
}

// chartLine is a datagram.
type chartLine struct {
	X1, Y1, X2, Y2 int
	Class          string
	Label          string
	LabelX, LabelY int
	Anchor         string
	Head           string // the points of the arrow's head, or of the cross
	Lost           bool
}

// tick is a time at the edge.
type tick struct {
	Y    int
	Time string
	Cut  bool // the pause before it is longer than it looks
}

// moment is when a datagram was sent or arrived.
type moment struct {
	at     time.Time
	nth    int
	arrive bool
}

func newChart(list []flow.Datagram, start time.Time, width int) *chart {
	c := &chart{Width: width, Left: 62, Right: width - 14}
	moments := c.moments(list)
	sent, arrived := make([]int, len(list)), make([]int, len(list))
	y, last := topOfChart, start
	for i, m := range moments {
		pause := m.at.Sub(last)
		gap := int(pause.Seconds() * perSecond)
		cut := gap > longestGap
		gap = min(gap, longestGap)
		if m.arrive {
			gap = max(gap, arriveGap)
		} else {
			gap = max(gap, sendGap)
		}
		y += gap
		if i == 0 || m.at.After(last) && (len(c.Ticks) == 0 || y-c.Ticks[len(c.Ticks)-1].Y >= 14) {
			c.Ticks = append(c.Ticks, tick{y, flow.Duration(m.at.Sub(start)), cut})
		}
		last = m.at
		if m.arrive {
			arrived[m.nth] = y
		} else {
			sent[m.nth] = y
		}
	}
	for i := range list {
		c.Lines = append(c.Lines, c.line(&list[i], sent[i], arrived[i]))
	}
	c.Height = y + 30
	return c
}

// moments are the ends of all lines, in order.
func (c *chart) moments(list []flow.Datagram) (all []moment) {
	for i, d := range list {
		if !d.Sent.IsZero() {
			all = append(all, moment{d.Sent, i, false})
		} else {
			all = append(all, moment{d.Received, i, false}) // drawn as if it took no time
		}
		if !d.Received.IsZero() && !d.Sent.IsZero() {
			all = append(all, moment{d.Received, i, true})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	return all
}

// line draws a datagram.
func (c *chart) line(d *flow.Datagram, sent, arrived int) chartLine {
	from, to := c.Left, c.Right
	l := chartLine{Class: d.Fate, Anchor: "start", LabelX: c.Left + 10, Lost: d.Fate == "lost"}
	if d.From == trace.Server {
		from, to = to, from
		l.Anchor, l.LabelX = "end", c.Right-10
	}
	if arrived == 0 {
		arrived = sent
	}
	l.X1, l.Y1, l.X2, l.Y2, l.LabelY = from, sent, to, arrived, sent-5
	if l.Lost {
		l.X2 = from + int(lostFraction*float64(to-from))
		l.Y2 = sent + 4
	}
	label := strings.Join(d.Labels, ", ")
	if d.Again {
		l.Class += " again"
		label = "again: " + label
	}
	switch d.Fate {
	case "lost":
		label = "lost: " + label
	case "dropped":
		label = "dropped (" + strings.ReplaceAll(d.Reason, "_", " ") + "): " + label
	}
	room := int(float64(c.Right-c.Left-24) / charWidth)
	if runes := []rune(clean(label)); len(runes) > room {
		l.Label = string(runes[:room-1]) + "…"
	} else {
		l.Label = string(runes)
	}
	l.Head = head(l, to > from)
	return l
}

// head is the arrow's head, or a cross.
func head(l chartLine, toRight bool) string {
	x, y := l.X2, l.Y2
	if l.Lost {
		return fmt.Sprintf("M%d %dl10 10m-10 0l10 -10", x-5, y-5)
	}
	back := -9
	if !toRight {
		back = 9
	}
	// The head points along the line.
	slope := float64(l.Y2-l.Y1) / float64(l.X2-l.X1)
	mid := y + int(slope*float64(back))
	return fmt.Sprintf("M%d %dL%d %dL%d %dZ", x, y, x+back, mid-4, x+back, mid+4)
}
