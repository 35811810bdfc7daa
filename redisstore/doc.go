// Package redisstore lets a fleet of servers share, through Redis or Valkey, what
// one process keeps to itself: the keys of session tickets, which rotate, the
// secret of DTLS cookies, and the memory that accepts early data (0-RTT) once.
//
//	import "github.com/hermetic-tls/hermetic/redisstore"
//
// [Store.Refresh] fetches the secrets, [Store.Run] does so again and again in the
// background, and [Store.Configure] puts them into a server's Config. Handshakes are
// served from memory; only one with early data waits for Redis, in [Store.Unseen].
// That is right where each connection has a goroutine of its own, as in package
// netconn: the program examples/fleet is one. An event loop asks elsewhere:
//
//	cfg.Async |= hermetic.AsyncReplay
//	…
//	case *hermetic.ReplayRequest: // of Engine.Pending
//		go func() {
//			unseen := store.Unseen(q.ID, q.Until)
//			loop.Run(func() { q.Answer(unseen, nil) }) // and then what the engine has to say
//		}()
//
// The clocks of the servers and of Redis agree within two seconds, or early data is
// rejected. docs/fleet.md says how to configure Redis, and how to change keys.
//
// # When Redis goes away
//
// Early data is rejected, which costs its client a round trip, and nobody waits: once
// Redis has not answered, the Store asks it in the background, at most once a second,
// until it does. Full handshakes continue as they are, and resumption continues with the
// keys in memory, of which one is always made a TicketLifetime ahead. A server that
// starts meanwhile, or that has none left, works with a ticket key and a cookie secret of
// its own, and joins the fleet when Redis is there; what it has sealed it still opens.
// What Redis has lost is put back from memory, unless another server was faster: then
// old tickets still resume at the servers that have their key.
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
//	{hermetic}:guard                 what the guard knows of its memory
//	{hermetic}:young                 early data that was seen, for a minute
//	{hermetic}:older                 and that of the minute before
//
// The first two are secrets. Whoever reads a ticket key can read all sessions that
// were sealed with it, and of TLS 1.2 also what was recorded of them; whoever
// writes one can choose it. With Options.AEAD they are sealed, and only the owner of
// its key can read or make them. The memory of early data cannot be protected
// like that: whoever can write to Redis can have early data accepted again.
//
// A user of Redis, alone or in a cluster, needs no more than
//
//	ACL SETUSER fleet on >secret ~{hermetic}:* +mget +set +hmget +hset +hlen +unlink +rename +eval +evalsha +time +info +command +cluster|slots
//
// and Redis must not evict: with maxmemory, its policy is noeviction. To give up
// all secrets at once, start the fleet with another Prefix.
package redisstore
