//go:build tools

// Package tools pins the transparency log that scripts/bench/run measures beside ours.
package tools

import _ "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"
