package netconn

import (
	"errors"

	"github.com/hermetic-tls/hermetic"
)

var errEarlyData = errors.New("netconn: MaxEarlyData: a net.Conn does not tell early data apart, which may be a replay; use an Engine")

// newEngine is hermetic.NewEngine for what a net.Conn can do.
func newEngine(mode hermetic.Mode, cfg *hermetic.Config) (*hermetic.Engine, error) {
	if cfg != nil && cfg.MaxEarlyData > 0 && mode.IsServer() {
		return nil, errEarlyData
	}
	return hermetic.NewEngine(mode, cfg)
}
