package netconn

import "flag"

// seeds is for the stateful tests: scripts/test long asks for many.
var seeds = flag.Int("seeds", 0, "how many seeds the stateful tests play; 0 is for each its own small number")
