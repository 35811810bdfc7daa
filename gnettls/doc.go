// Package gnettls serves TLS from a gnet event loop. An ordinary
// gnet.EventHandler sees plaintext through the same gnet.Conn methods, and
// knows nothing about TLS. No connection costs a goroutine or a timer, and
// records are opened in place in gnet's own buffers.
//
//	err := gnettls.Run(handler, "tcp://:443", config, gnet.WithMulticore(true))
//
// # Differences from gnet
//
// Events, results and bytes are those of plain gnet, except for these:
//
//   - OnOpen is called when the handshake is complete. OnClose is called once
//     for every OnOpen. [Server.OnFailure] is called for the other connections;
//     Engine.CountConnections counts them all.
//   - After the peer's close_notify the connection is closed, unless the handler
//     is a [HalfCloser]; OnClose gets nil. It gets [io.ErrUnexpectedEOF] when the
//     peer has closed without one, an alert when TLS has failed, and otherwise
//     gnet's error. A close on this side sends close_notify after OnClose.
//   - OutboundBuffered counts bytes of ciphertext. ReadFrom sends at once, whereas
//     gnet waits for Flush.
//   - After OnClose, or a Write that has closed the connection, no method uses
//     its descriptor, which may be another client's by then. Write, Writev,
//     ReadFrom, Dup and the methods that set an option return [net.ErrClosed];
//     Fd returns -1. If the engine has stopped as well, AsyncWrite,
//     AsyncWritev, Wake, Close and CloseWithCallback return gnet's
//     errors.ErrEngineInShutdown and call no callback.
//   - EventLoop.Enroll serves TLS on the connection it is given.
//     EventLoop.Register is unsupported. Engine.Register serves TLS as well,
//     but the Conn in its result is gnet's own, without TLS: use the one that
//     OnOpen gets.
//   - A Conn that [Server.OnPending] is called with cannot send data yet.
//
// As with gnet, a panic of the handler ends the process. What the handler does not
// read is kept for it. What the peer does not read is buffered: a handler that
// writes more than it is asked for must check OutboundBuffered. Tasks that are
// queued when the engine stops are dropped.
package gnettls
