// Package redisstore lets a fleet of servers share, through Redis or Valkey, what
// one process keeps to itself: the keys of session tickets, which rotate, the
// secret of DTLS cookies, and the memory that accepts early data (0-RTT) once.
//
//	import redisstore "github.com/hermetic-tls/hermetic/store/redis"
//
// No handshake waits for Redis but one with early data. [Store.Refresh] fetches
// the secrets, [Store.Run] does so again and again in the background, and
// handshakes are served from memory. Whether early data is new is a question to
// the one that drives the engine ([hermetic.AsyncReplay]), and [Store.Unseen]
// has the answer: on a goroutine of its own, or in place where each connection
// has one.
//
// # When Redis goes away
//
// Early data is rejected, which costs its client a round trip. Full handshakes go
// on as they are, and resumption goes on with the keys in memory, of which one
// is always made a TicketLifetime ahead; when they have all expired, there are no
// tickets until Redis is back. What Redis has lost is put back from memory.
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
