//go:build !linux

package process

// Child does nothing: there are no children.
func Child() {}
