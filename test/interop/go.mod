module github.com/hermetic-tls/hermetic/test/interop

go 1.26.0

require (
	github.com/hermetic-tls/hermetic v0.1.0
	github.com/hermetic-tls/hermetic/certcompress v0.1.0
	github.com/pion/dtls/v3 v3.1.15
	github.com/pion/dtls/v4 v4.0.1
	golang.org/x/sys v0.49.0
)

require (
	github.com/andybalholm/brotli v1.3.0 // indirect
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/pion/logging v0.2.4 // indirect
	github.com/pion/transport/v5 v5.1.4 // indirect
	golang.org/x/crypto v0.58.0 // indirect
)
