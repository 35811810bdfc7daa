// Package circlgroups plugs the key exchange of github.com/cloudflare/circl into hermetic:
//
//	cfg.KeyExchanges = circlgroups.All()
//
// It has X25519, ML-KEM-768 and ML-KEM-1024, and the hybrids X25519MLKEM768,
// SecP256r1MLKEM768 and SecP384r1MLKEM1024. In the hybrids, P-256 and P-384 stay those of the
// standard library: circl has nothing faster. The groups are the same on the wire, so the peer
// does not notice. [hermetic.Config].CurvePreferences still says which groups are used. ML-KEM
// alone is used only if it is listed there.
//
// # Trade-offs
//
// A handshake takes less time, on amd64 above all, where circl has assembly for X25519 and
// vector instructions for ML-KEM. In return, the code that meets the peer's key shares and
// knows the secrets is circl's instead of the standard library's:
//
//   - The standard library is reviewed by the Go security team, which announces and fixes its
//     faults with the toolchain. circl's README offers it "as-is, and without a guarantee", and
//     recommends caution in production.
//   - circl is in no validated module. In FIPS 140-3 mode hermetic does not use it, and the
//     built-in groups take its place.
//   - A program gets another dependency, which must be kept up to date.
//
// Measure before you choose it: most servers spend their time elsewhere. The tests compare
// both implementations, with the same keys and with invalid key shares.
package circlgroups
