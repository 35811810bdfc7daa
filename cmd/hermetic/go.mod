module github.com/hermetic-tls/hermetic/cmd/hermetic

go 1.26.0

require (
	github.com/hermetic-tls/hermetic v0.0.0
	github.com/hermetic-tls/hermetic/gnettls v0.0.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/jedib0t/go-pretty/v6 v6.8.3 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/hermetic-tls/hermetic => ../..
	github.com/hermetic-tls/hermetic/gnettls => ../../gnettls
)
