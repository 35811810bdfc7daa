package hermetic

// LoadConfig is the Lua API's newconfig. The file cacert holds CA certificates
// in PEM; with it the peer is verified: its chain only, until a name is set
// (a client's ServerName or SetServerName). An empty name stands for no file,
// and without cacert nothing is verified. The file cert holds a certificate
// chain and its private key in PEM.
func LoadConfig(mode Mode, cacert, cert string) (*Config, error) {
	panic("skeleton")
}
