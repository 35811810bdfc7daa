module github.com/hermetic-tls/hermetic/test/browser

go 1.26.0
