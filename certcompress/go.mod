module github.com/hermetic-tls/hermetic/certcompress

go 1.26.0

require (
	github.com/andybalholm/brotli v1.3.0
	github.com/hermetic-tls/hermetic v0.1.0
	github.com/klauspost/compress v1.20.4
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
