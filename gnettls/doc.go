// Package gnettls serves TLS from a gnet event loop: an ordinary
// gnet.EventHandler sees plaintext, through the same gnet.Conn methods, and
// knows nothing of TLS. No connection costs a goroutine or a timer, and records
// are opened in place in gnet's own buffers.
//
//	err := gnettls.Run(handler, "tcp://:443", config, gnet.WithMulticore(true))
//
// # Differences from gnet
//
// Events, results and bytes are those of plain gnet, except for these:
//
//   - OnOpen is called when the handshake is complete. OnClose is called once
//     for every OnOpen. [Server.OnFailure] hears of the other connections;
//     Engine.CountConnections counts them all.
//   - After the peer's close_notify the connection is closed, unless the handler
//     is a [HalfCloser]. OnClose gets nil then, [io.ErrUnexpectedEOF] when the
//     peer has closed without one, an alert when TLS has failed, and otherwise
//     gnet's error. A close by this side sends close_notify after OnClose.
//   - OutboundBuffered counts bytes of ciphertext, and ReadFrom sends at once,
//     where gnet waits for Flush.
//   - After OnClose, or a Write that has closed the connection, no method uses
//     its descriptor, which may be another client's by then: Write, Writev,
//     ReadFrom, Dup and the methods that set an option return [net.ErrClosed],
//     and Fd returns -1. When the engine has stopped as well, AsyncWrite,
//     AsyncWritev, Wake, Close and CloseWithCallback return
//     errors.ErrEngineInShutdown of gnet, and call nothing.
//   - EventLoop.Enroll serves TLS on the connection it is given.
//     EventLoop.Register is unsupported. Engine.Register serves TLS as well,
//     but the Conn in its result is gnet's own, without TLS: use that of OnOpen.
//   - A Conn that [Server.OnPending] is called with cannot send data yet.
//
// As with gnet, a panic of the handler ends the process, what the handler does
// not read is kept for it, and what the peer does not read is kept in
// OutboundBuffered: a handler that writes more than it is asked for must look at it.
// Tasks that are queued when the engine stops are dropped.
package gnettls
