//go:build tools

// Package tools pins the IPFS daemon that scripts/devnet/kubo builds.
package tools

import _ "github.com/ipfs/kubo/cmd/ipfs"
