module github.com/hermetic-tls/hermetic/redisstore

go 1.26.0

require (
	github.com/hermetic-tls/hermetic v0.1.0
	github.com/redis/go-redis/v9 v9.23.0
	golang.org/x/crypto v0.58.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
