package carrier

import "testing"

func TestPath(t *testing.T) {
	for _, test := range []struct {
		name    string
		proved  bool
		do      func(p *path)
		want    path
		size    int // asked for
		room    int // given
		permits bool
	}{
		{"proved: no credit is needed", true, func(p *path) { p.received(10); p.sent(1000) },
			path{mtu: 1200, fullMTU: 1200, proved: true}, 1200, 1200, true},
		{"unproved, nothing has come", false, func(p *path) {},
			path{mtu: 1200, fullMTU: 1200}, 1200, 0, false},
		{"unproved: three times what has come", false, func(p *path) { p.received(100) },
			path{mtu: 1200, fullMTU: 1200, credit: 300}, 1200, 300, false},
		{"unproved, and some was sent", false, func(p *path) { p.received(500); p.sent(250) },
			path{mtu: 1200, fullMTU: 1200, credit: 1250}, 1200, 1200, true},
		{"unproved, after more than is counted", false, func(p *path) { p.received(maxCredit / amplification); p.received(100) },
			path{mtu: 1200, fullMTU: 1200, credit: maxCredit}, 1200, 1200, true},
		{"lost flights halve the MTU", true, func(p *path) { p.lower() },
			path{mtu: 600, fullMTU: 1200, proved: true}, 600, 600, true},
		{"not below the minimum", true, func(p *path) { p.lower(); p.lower(); p.lower(); p.lower() },
			path{mtu: minMTU, fullMTU: 1200, proved: true}, minMTU, minMTU, true},
		{"nor does the minimum raise a small one", true, func(p *path) { p.setMTU(100); p.lower() },
			path{mtu: 100, fullMTU: 100, proved: true}, 100, 100, true},
		{"the caller sets the MTU", true, func(p *path) { p.lower(); p.setMTU(900) },
			path{mtu: 900, fullMTU: 900, proved: true}, 900, 900, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPath(1200, test.proved)
			test.do(&p)
			if p != test.want {
				t.Errorf("got %+v, want %+v", p, test.want)
			}
			if room := p.room(test.size); room != test.room {
				t.Errorf("there is room for %d of %d bytes, want %d", room, test.size, test.room)
			}
			if p.permits(test.size) != test.permits {
				t.Errorf("it permits %d bytes: %v", test.size, !test.permits)
			}
		})
	}
}
