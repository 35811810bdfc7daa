package hermetic

// compiled is what a Config amounts to: checked, and computed once.
type compiled struct{}
