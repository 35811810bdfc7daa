// Package redisstore lets a fleet of servers share, through Redis or Valkey, what
// a single server keeps in memory: the keys of session tickets, which rotate, the
// secret of DTLS cookies, and the memory that accepts early data (0-RTT) only once.
//
//	import "github.com/hermetic-tls/hermetic/redisstore"
//
// [Store.Refresh] fetches the secrets, [Store.Run] does so periodically in the
// background, and [Store.Configure] puts them into a server's Config. Handshakes are
// served from memory; only one with early data waits for Redis, in [Store.Unseen].
// That suits servers in which each connection has its own goroutine, as with package
// netconn: see examples/fleet. An event loop asks on another goroutine:
//
//	cfg.Async |= hermetic.AsyncReplay
//	…
//	case *hermetic.ReplayRequest: // of Engine.Pending
//		go func() {
//			unseen := store.Unseen(q.ID, q.Until)
//			loop.Run(func() { q.Answer(unseen, nil) }) // then continue with the engine
//		}()
//
// The clocks of the servers and of Redis must agree within two seconds; otherwise early
// data is rejected. docs/fleet.md says how to configure Redis, and how to change keys.
//
// # When Redis goes away
//
// Early data is rejected, which costs its client a round trip, and no handshake waits:
// the Store asks Redis in the background, at most once a second, until it answers. Full
// handshakes continue as before, and resumption continues with the keys in memory, of
// which one is always made a TicketLifetime ahead. A server that starts meanwhile, or
// that has no key left, works with its own ticket key and cookie secret. It joins the
// fleet when Redis is back, and still opens what it sealed. What Redis has lost is put
// back from memory, unless another server was faster: then old tickets still resume at
// the servers that have their key.
//
// Whenever Redis may have forgotten early data that it has seen, early data is rejected
// for a minute (RFC 9846, Section 8.2): it was restarted or emptied, a replica has taken
// over, keys were evicted or deleted, an old state has come back, or a clock was set back.
//
// # What is in Redis
//
// Under the default Prefix, and in one slot of a cluster:
//
//	{hermetic}:ticket:24h0m0s:20780  a ticket key, until it expires
//	{hermetic}:cookie                the cookie secret, forever
//	{hermetic}:guard                 the state of the guard's memory
//	{hermetic}:young                 early data that was seen, for a minute
//	{hermetic}:older                 early data of the minute before
//
// The first two are secrets. Somebody who reads a ticket key can open all sessions
// that were sealed with it, and can decrypt recorded TLS 1.2 connections of those
// sessions. Somebody who writes to Redis can choose the key. With Options.AEAD the
// secrets are sealed, and only the owner of its key can read or make them. The memory
// of early data cannot be protected like that: somebody who can write to Redis can have
// early data accepted again.
//
// The Redis user, alone or in a cluster, needs no more than
//
//	ACL SETUSER fleet on >secret ~{hermetic}:* +mget +set +hmget +hset +hlen +unlink +rename +eval +evalsha +time +info +command +cluster|slots
//
// and Redis must not evict: with maxmemory, set the policy noeviction. To replace
// all secrets at once, start the fleet with another Prefix.
package redisstore
