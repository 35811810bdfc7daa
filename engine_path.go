package hermetic

import (
	"net/netip"

	"github.com/hermetic-tls/hermetic/internal/carrier"
)

// A Path is where a datagram comes from or goes to. Paths are compared with ==, so use one form
// for each address: net.UDPConn.ReadFromUDPAddrPort, for example, may return an IPv4 address
// as an IPv6 one, which [netip.Addr.Unmap] undoes. A transport with other addresses can number
// them. The zero Path means that the caller does not say.
type Path struct {
	// Local is our address. It matters only on an end that changes its own address: it may
	// be zero on any other.
	Local netip.AddrPort

	// Remote is the peer's address.
	Remote netip.AddrPort
}

// OpenFrom is [Engine.Open] for a datagram that has come on the given path, which may be new. Use
// [Engine.OutputTo] with it in place of [Engine.Output], and send what [Engine.Seal] returns to
// [Engine.Path]. DTLS only: in TLS it is Open.
//
// Where both sides have agreed on return routability checks (see [DTLSConfig].PathValidation), a
// record under our connection ID that is newer than all before it, and comes from a different
// Path.Remote, starts a check. The challenge is in OutputTo, [Engine.Deadline] says how long it
// takes, and [KindPathChanged] says that the peer has proved its address. Until then everything
// else goes to the path that was in use, and [Engine.NewPath] returns the one that is
// being checked. A check that fails changes nothing, and no other one begins for
// [DTLSConfig].PathTimeout.
//
// Without such an agreement [KindNewPath] says that a record may have come from a new address, and
// the caller decides whether to call [Engine.SetPath].
//
// On a server, the path of the first datagram is that of the connection. A client, and an
// imported engine, know none before SetPath.
func (e *Engine) OpenFrom(path Path, in []byte) (Opened, error) {
	if d := e.datagrams(); d != nil {
		d.From(carrier.Path(path))
		defer d.From(carrier.Path{})
	}
	return e.Open(in)
}

// OutputTo is [Engine.Output], and says on which path the datagram must be sent: usually
// [Engine.Path], but challenges of a new path, and answers to the peer's, have their own.
// DTLS only: in TLS the path is zero.
func (e *Engine) OutputTo(dst []byte) (out []byte, path Path) {
	if e.trace.Enter() {
		return e.traceOutputTo(dst)
	}
	e.startClient()
	d := e.datagrams()
	if d == nil || e.err != nil {
		return e.Output(dst), e.Path()
	}
	out, to := d.OutputTo(e.now(), dst)
	return out, Path(to)
}

// Path returns the path to the peer: the one given to [Engine.SetPath], or the one to which the
// peer has proved that it has moved, see [Engine.OpenFrom]. DTLS only.
func (e *Engine) Path() Path {
	if d := e.datagrams(); d != nil {
		return Path(d.Path())
	}
	return Path{}
}

// NewPath returns the path that is being checked; ok is false if there is none. Meanwhile, what
// Seal returns goes to the current path, where the peer may no longer be. Data that can wait is
// better kept until there is a result, at the latest at the [Engine.Deadline]. DTLS only.
func (e *Engine) NewPath() (path Path, ok bool) {
	if d := e.datagrams(); d != nil && e.err == nil {
		p, ok := d.CheckedPath()
		return Path(p), ok
	}
	return Path{}, false
}

// checksPaths reports whether the peers have agreed on checks.
func (e *Engine) checksPaths() bool {
	d := e.datagrams()
	return d != nil && d.ChecksPaths()
}

// SetPath changes the path to the peer without a check, and ends the check of another one. A
// caller that changes its own address, Path.Local, says so here: if the peer then sends a
// challenge on the old path, the answer is that the new one is preferred (path_drop). With spare
// connection IDs, call [Engine.ChangeConnectionID] too. DTLS only.
func (e *Engine) SetPath(path Path) error {
	d := e.datagrams()
	if d == nil {
		return &invalidOperation{"operation not supported: only DTLS has paths"}
	}
	d.SetPath(carrier.Path(path))
	return nil
}
