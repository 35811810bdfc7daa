module github.com/hermetic-tls/hermetic/lua

go 1.26.0

require (
	github.com/hermetic-tls/hermetic v0.1.0
	github.com/hermetic-tls/hermetic/certcompress v0.1.0
	github.com/hermetic-tls/hermetic/circlgroups v0.1.0
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78
	github.com/yuin/gopher-lua v1.1.2
	golang.org/x/crypto v0.58.0
)

require golang.org/x/sys v0.49.0

require (
	github.com/andybalholm/brotli v1.3.0 // indirect
	github.com/cloudflare/circl v1.6.5 // indirect
	github.com/klauspost/compress v1.20.4 // indirect
)
