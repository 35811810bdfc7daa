module github.com/hermetic-tls/hermetic/circlgroups

go 1.26.0

require (
	github.com/cloudflare/circl v1.6.5
	github.com/hermetic-tls/hermetic v0.1.0
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
