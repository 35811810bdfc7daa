// Command webrtc is a WebRTC endpoint, and serves the page that is its peer: what a browser sends
// on a data channel comes back, and so does its video.
//
//	go run .                    # then open http://127.0.0.1:8080
//
// There are four layers over a socket: ICE (pion/ice) finds a path, DTLS (hermetic) agrees on
// keys, and over DTLS runs SCTP (pion/sctp) with the data channels, beside it SRTP (pion/srtp)
// with the video. session.go joins them. sdp.go reads the browser's offer and writes the answer.
package main

import (
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
)

//go:embed page.html
var page []byte

// A server has the sessions of all open pages.
type server struct {
	ips      []net.IP // an ICE restart moves to the next; none: all of the machine
	loss     losses
	running  sync.WaitGroup
	mu       sync.Mutex
	sessions map[string]*session
}

// maxSessions bounds what pages can make us keep.
const maxSessions = 100

func main() {
	s := &server{sessions: make(map[string]*session)}
	address := flag.String("listen", "127.0.0.1:8080", "the address of the page")
	flag.Float64Var(&s.loss.part, "loss", 0, "lose this part of the datagrams, such as 0.1")
	flag.Uint64Var(&s.loss.seed, "seed", 1, "the seed of the losses")
	flag.Func("ip", "the addresses to use, with commas between: an ICE restart moves to the next (default all of the machine)", func(list string) error {
		for _, text := range strings.Split(list, ",") {
			ip := net.ParseIP(text)
			if ip == nil {
				return fmt.Errorf("%q is not an IP address", text)
			}
			s.ips = append(s.ips, ip)
		}
		return nil
	})
	flag.Parse()

	l, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("open http://%v\n", l.Addr())
	log.Fatal(http.Serve(l, s.handler()))
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	mux.HandleFunc("POST /offer", s.answer)
	return http.NewCrossOriginProtection().Handler(mux) // pages of others cannot use us
}

// answer answers an offer in SDP: that of a new session, or one that restarts the ICE of a session.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	offer, err := parseOffer(text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := r.FormValue("session")
	var answer string
	if id != "" {
		answer, err = s.restart(id, offer)
	} else {
		id, answer, err = s.start(offer, r.FormValue("setup"), r.FormValue("version"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"session": id, "sdp": answer})
}

func (s *server) restart(id string, offer *offer) (string, error) {
	s.mu.Lock()
	session := s.sessions[id]
	s.mu.Unlock()
	if session == nil {
		return "", fmt.Errorf("there is no session %.30q: connect again", id)
	}
	return session.restart(offer)
}

// start starts a session, which removes itself when it is over.
func (s *server) start(offer *offer, setup, version string) (id, answer string, err error) {
	session, err := newSession(s.ips, offer, setup, version)
	if err != nil {
		return "", "", err
	}
	s.mu.Lock()
	full := len(s.sessions) >= maxSessions
	if !full {
		s.sessions[session.id] = session
	}
	s.mu.Unlock()
	if full {
		session.close()
		return "", "", fmt.Errorf("there are %d sessions: close some pages", maxSessions)
	}
	if answer, err = session.answer(offer); err != nil {
		s.remove(session)
		return "", "", err
	}
	s.running.Go(func() {
		defer s.remove(session)
		fmt.Printf("session %s: %v\n", session.id, session.run(offer, s.loss))
	})
	return session.id, answer, nil
}

func (s *server) remove(session *session) {
	session.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session.id)
}
