package main

import "github.com/hermetic-tls/hermetic/internal/pkitest"

func handshakeRows() []row {
	return []row{{
		name: "TLS 1.3 handshake", measure: opTime,
		contestants: []contestant{
			{"hermetic", func(t *trial) round {
				ca := pkitest.CA(t)
				client, server := modern.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
				return perOp(t, func() { newEngines(t, client, server).handshake(t) })
			}},
			{"crypto/tls", func(t *trial) round {
				ca := pkitest.CA(t)
				client, server := modern.theirs(t, ca, ca.Leaf(t, pkitest.Options{}))
				return perOp(t, func() { newConns(client, server).handshake(t) })
			}},
		},
	}}
}
