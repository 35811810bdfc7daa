module github.com/hermetic-tls/hermetic/examples/http2

go 1.26.0

require (
	github.com/hermetic-tls/hermetic v0.1.0
	golang.org/x/net v0.60.0
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
