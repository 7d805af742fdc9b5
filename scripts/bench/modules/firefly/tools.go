//go:build tools

// Package tools pins FireFly's own programs that scripts/bench/run measures beside ours.
package tools

import (
	_ "github.com/hyperledger/firefly"
	_ "github.com/hyperledger/firefly-signer/ffsigner"
)
