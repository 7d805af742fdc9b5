//go:build tools

// Package tools pins the Ethereum node that scripts/devnet/geth builds: the last release that seals Clique blocks.
package tools

import _ "github.com/ethereum/go-ethereum/cmd/geth"
