package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"

	"github.com/hermetic-tls/hermetic/webrtctls"
)

// An offer is what we need of a browser's SDP. All sections share one transport (BUNDLE), so the
// first one tells about it.
type offer struct {
	ufrag, pwd   string // of ICE
	candidates   []string
	fingerprints []webrtctls.Fingerprint
	setup        webrtctls.Setup
	sections     []section
}

// A section is an m= line: the data channels, or a track of audio or video.
type section struct {
	mid      string
	media    sdp.MediaName
	protocol string // "data", "video", or "" for what we do not take
	vp8      string // the payload type of VP8
}

// parseOffer reads a browser's offer. Its text is not trusted.
func parseOffer(text []byte) (*offer, error) {
	var all sdp.SessionDescription
	if err := all.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("the offer is not SDP: %w", err)
	}
	if len(all.MediaDescriptions) == 0 {
		return nil, errors.New("the offer has no m= line")
	}
	o := new(offer)
	first := all.MediaDescriptions[0]
	attribute := func(name string) string { // of the section, or of the whole session
		value, _ := first.Attribute(name)
		whole, _ := all.Attribute(name)
		return cmp.Or(value, whole)
	}
	o.ufrag, o.pwd = attribute("ice-ufrag"), attribute("ice-pwd")
	var err error
	if o.setup, err = webrtctls.ParseSetup(attribute("setup")); err != nil {
		return nil, err
	}
	var prints []string
	for _, a := range slices.Concat(all.Attributes, first.Attributes) {
		if a.Key == "fingerprint" {
			prints = append(prints, a.Value)
		}
	}
	if o.fingerprints, err = webrtctls.ParseFingerprints(prints...); err != nil {
		return nil, err
	}
	for _, media := range all.MediaDescriptions {
		o.sections = append(o.sections, parseSection(media))
		for _, a := range media.Attributes {
			if a.Key == "candidate" {
				o.candidates = append(o.candidates, a.Value)
			}
		}
	}
	return o, nil
}

func parseSection(media *sdp.MediaDescription) section {
	s := section{media: media.MediaName}
	s.mid, _ = media.Attribute("mid")
	if media.MediaName.Media == "application" {
		s.protocol = "data"
		return s
	}
	for _, a := range media.Attributes { // such as "96 VP8/90000"
		if number, codec, _ := strings.Cut(a.Value, " "); a.Key == "rtpmap" && codec == "VP8/90000" && s.vp8 == "" {
			s.protocol, s.vp8 = "video", number
		}
	}
	return s
}

// An endpoint is what an answer tells about our side of the transport.
type endpoint struct {
	ufrag, pwd  string
	candidates  []ice.Candidate
	fingerprint webrtctls.Fingerprint
	setup       webrtctls.Setup
}

// answer writes the SDP of an answer: the sections of the offer, in the same order.
func (e *endpoint) answer(o *offer) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	var taken []string
	for _, s := range o.sections {
		if s.protocol != "" {
			taken = append(taken, s.mid)
		}
	}
	line("v=0")
	line("o=- 1 1 IN IP4 127.0.0.1") // browsers ignore the address
	line("s=-")
	line("t=0 0")
	line("a=group:BUNDLE %s", strings.Join(taken, " "))
	for _, s := range o.sections {
		formats, port := s.media.Formats, 9 // 9: the candidates tell the real one
		switch s.protocol {
		case "":
			port = 0 // refused
		case "video":
			formats = []string{s.vp8}
		}
		line("m=%s %d %s %s", s.media.Media, port, strings.Join(s.media.Protos, "/"), strings.Join(formats, " "))
		line("c=IN IP4 0.0.0.0")
		line("a=mid:%s", s.mid)
		if s.protocol == "" {
			continue
		}
		e.transport(line)
		if s.protocol == "data" {
			line("a=sctp-port:5000")
			line("a=max-message-size:%d", maxMessage)
			continue
		}
		line("a=rtcp-mux")
		line("a=sendrecv")
		line("a=rtpmap:%s VP8/90000", s.vp8)
		for _, feedback := range []string{"nack", "nack pli", "ccm fir"} {
			line("a=rtcp-fb:%s %s", s.vp8, feedback)
		}
		line("a=msid:loop video")
		line("a=ssrc:%d cname:loop", loopSSRC)
	}
	return b.String()
}

func (e *endpoint) transport(line func(string, ...any)) {
	line("a=ice-ufrag:%s", e.ufrag)
	line("a=ice-pwd:%s", e.pwd)
	line("a=fingerprint:%s", e.fingerprint)
	line("a=setup:%s", e.setup)
	for _, c := range e.candidates {
		line("a=candidate:%s", c.Marshal())
	}
	line("a=end-of-candidates")
}
