// Package redisstore lets a fleet of servers share, through Redis or Valkey, what
// one process keeps to itself: the keys of session tickets, which rotate, the
// secret of DTLS cookies, and the memory that accepts early data (0-RTT) once.
//
//	import redisstore "github.com/hermetic-tls/hermetic/store/redis"
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
// The clocks of a fleet agree within ten seconds, or early data of one server's
// tickets is rejected by another.
//
// # When Redis goes away
//
// Early data is rejected, which costs its client a round trip. Full handshakes go
// on as they are, and resumption goes on with the keys in memory, of which one
// is always made a TicketLifetime ahead; when they have all expired, there are no
// tickets until Redis is back. What Redis has lost is put back from memory, unless
// somebody who knew nothing of it was faster: then old tickets mean full handshakes.
// Whenever Redis may have forgotten early data that it has seen (it was
// restarted, emptied, or a replica has taken over), early data is rejected for a
// minute (RFC 9846, Section 8.2).
//
// # What is in Redis
//
// Under the default Prefix, and in one slot of a cluster:
//
//	{hermetic}:ticket:24h0m0s:20780  a ticket key, until it expires
//	{hermetic}:cookie                the cookie secret, for ever
//	{hermetic}:seen:0123…            early data that was seen, for a minute
//	{hermetic}:since                 since when nothing of it was forgotten
//
// The first two are secrets. Who reads a ticket key can read all sessions that
// were sealed with it, and of TLS 1.2 also what was recorded of them; who
// writes one can choose it. With Options.AEAD they are sealed, and only who has
// its key can read or make them. The memory of early data cannot be protected
// like that: who can write to Redis can have early data accepted again.
//
// A user of Redis needs no more than
//
//	ACL SETUSER fleet on >password ~{hermetic}:* +get +mget +set +eval +evalsha +time +info
//
// and Redis must not evict: with maxmemory, its policy is noeviction. To give up
// all secrets at once, start the fleet with another Prefix.
package redisstore
