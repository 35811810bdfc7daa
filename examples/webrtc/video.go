package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/hermetic-tls/hermetic/webrtctls"
)

// A loop sends the browser's video back, as a stream of our own.
type loop struct {
	out     *srtp.WriteStreamSRTP
	control *srtp.WriteStreamSRTCP

	mu     sync.Mutex
	source uint32                 // the SSRC of the browser's stream
	sent   [maxHistory]rtp.Packet // by sequence number: what may have to be sent again
}

const (
	// loopSSRC is the SSRC of the video that we send back.
	loopSSRC = 0x48455254
	// maxHistory is how many packets are kept for retransmission.
	maxHistory = 512
	// maxStreams is how many streams a browser may send.
	maxStreams = 16
)

// video sends the browser's video back until the connection ends.
func video(ctx context.Context, conn *webrtctls.Conn) error {
	keys, err := conn.SRTPConfig()
	if err != nil { // without video in the offer, there is no SRTP
		<-ctx.Done()
		return ctx.Err()
	}
	media, err := srtp.NewSessionSRTP(conn.SRTP(), keys)
	if err != nil {
		return fmt.Errorf("SRTP: %w", err)
	}
	defer media.Close()
	control, err := srtp.NewSessionSRTCP(conn.SRTCP(), keys)
	if err != nil {
		return fmt.Errorf("SRTCP: %w", err)
	}
	defer control.Close()

	l := new(loop)
	if l.out, err = media.OpenWriteStream(); err != nil {
		return fmt.Errorf("SRTP: %w", err)
	}
	if l.control, err = control.OpenWriteStream(); err != nil {
		return fmt.Errorf("SRTCP: %w", err)
	}
	ended := make(chan error, 2)
	go func() { ended <- l.acceptMedia(media) }()
	go func() { ended <- l.acceptControl(control) }()
	return <-ended
}

// acceptMedia sends each stream back. pion/srtp waits until a new one is accepted.
func (l *loop) acceptMedia(media *srtp.SessionSRTP) error {
	for range maxStreams {
		in, ssrc, err := media.AcceptStream()
		if err != nil {
			return fmt.Errorf("SRTP: %w", err)
		}
		go l.sendBack(in, ssrc)
	}
	return errors.New("SRTP: the browser sends too many streams")
}

func (l *loop) sendBack(in *srtp.ReadStreamSRTP, ssrc uint32) {
	buf := make([]byte, 1500)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		var p rtp.Packet
		if p.Unmarshal(buf[:n]) == nil {
			l.send(p.Clone(), ssrc)
		}
	}
}

// send sends a packet of a source as one of ours, and keeps it.
func (l *loop) send(p *rtp.Packet, source uint32) {
	p.SSRC = loopSSRC
	l.mu.Lock()
	defer l.mu.Unlock()
	l.source = source
	l.sent[p.SequenceNumber%maxHistory] = *p
	l.out.WriteRTP(&p.Header, p.Payload)
}

// acceptControl reads what the browser says about each stream.
func (l *loop) acceptControl(control *srtp.SessionSRTCP) error {
	for range maxStreams {
		in, about, err := control.AcceptStream()
		if err != nil {
			return fmt.Errorf("SRTCP: %w", err)
		}
		if about == loopSSRC {
			go l.listen(in)
		}
	}
	return errors.New("SRTCP: the browser speaks of too many streams")
}

func (l *loop) listen(in *srtp.ReadStreamSRTCP) {
	buf := make([]byte, 1500)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			continue
		}
		for _, p := range packets {
			l.handle(p)
		}
	}
}

// handle answers the browser's requests: for packets that are lost, and for a whole picture, which
// only the browser itself can make.
func (l *loop) handle(request rtcp.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch request := request.(type) {
	case *rtcp.PictureLossIndication:
		l.ask(&rtcp.PictureLossIndication{SenderSSRC: loopSSRC, MediaSSRC: l.source})
	case *rtcp.TransportLayerNack:
		for _, pair := range request.Nacks {
			for _, number := range pair.PacketList() {
				l.sendAgain(number)
			}
		}
	}
}

// sendAgain sends a packet again. One that has never come here was lost on the first half of its
// way: the browser is asked for it.
func (l *loop) sendAgain(number uint16) {
	if p := &l.sent[number%maxHistory]; p.SequenceNumber == number && p.SSRC == loopSSRC {
		l.out.WriteRTP(&p.Header, p.Payload)
		return
	}
	l.ask(&rtcp.TransportLayerNack{SenderSSRC: loopSSRC, MediaSSRC: l.source, Nacks: []rtcp.NackPair{{PacketID: number}}})
}

func (l *loop) ask(request rtcp.Packet) {
	if packet, err := request.Marshal(); err == nil {
		l.control.Write(packet)
	}
}
