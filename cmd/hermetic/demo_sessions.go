package main

import (
	"errors"

	"github.com/hermetic-tls/hermetic"
)

// resumption resumes the session of a first connection.
func resumption(client, server *hermetic.Config) (*result, error) {
	client.SessionCache = hermetic.NewSessionCache(1)
	r, err := inMemory(client, server)
	if err == nil && !r.state.DidResume {
		err = errors.New("the session was not resumed")
	}
	return r, err
}

// earlyData resumes with 0-RTT data after the ClientHello.
func earlyData(client, server *hermetic.Config) (*result, error) {
	const most = 14 << 10 // see Config.MaxEarlyData
	client.SessionCache, client.EarlyData = hermetic.NewSessionCache(1), true
	server.MaxEarlyData = most
	r, err := inMemoryWith(make([]byte, most), client, server)
	if err == nil && !r.state.EarlyDataAccepted {
		err = errors.New("the early data was not accepted")
	}
	return r, err
}

// externalPSK gives both sides a key, and no certificate.
func externalPSK(client, server *hermetic.Config) {
	client.PSKs = []hermetic.PSK{{Identity: []byte("demo"), Key: make([]byte, 32)}}
	server.PSKs, server.Certificates = client.PSKs, nil
}
