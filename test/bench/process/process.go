// Package process measures whole server processes under the same load on loopback: gnettls,
// net/http with crypto/tls, and nginx.
//
// All of them have one core, the same certificate, group and suite, and give the same answer. The
// load comes from one more process, which has another core if there is one. The package needs
// Linux.
package process

// The contestants.
const (
	// Gnettls is an HTTP server on gnettls.
	Gnettls = "gnettls"
	// GnettlsCircl is the same server with the key exchange of circlgroups.
	GnettlsCircl = "gnettls with circl"
	// Gnet is the same server without TLS: what the kernel and gnet take.
	Gnet = "gnet without TLS"
	// NetHTTP is net/http with crypto/tls.
	NetHTTP = "net/http"
	// Nginx is nginx with OpenSSL.
	Nginx = "nginx"
)

// MaxConns is the largest number of connections.
const MaxConns = 10_000
