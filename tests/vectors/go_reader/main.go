// Reads a C2SP tlog-tiles log with the libraries of others (the Go checksum database's, and torchwood for
// checkpoints and cosignatures) and checks the signatures, every entry, and consistency from earlier sizes.
//
//	go run . FOLDER LOG_KEY WITNESS_KEY [SIZE...]
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type files struct{ folder string }

func (f files) Height() int { return 8 }

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

// The checksum database writes tile/8/L/N; C2SP leaves the height out.
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(f.folder, path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (f files) entries(size int64) ([][]byte, error) {
	var found [][]byte
	for int64(len(found)) < size {
		width := min(256, size-int64(len(found)))
		tile := tlog.Tile{H: 8, L: 0, N: int64(len(found)) / 256, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(f.folder, path))
		if err != nil {
			return nil, err
		}
		for len(data) > 0 {
			length := binary.BigEndian.Uint16(data)
			found = append(found, data[2:2+length])
			data = data[2+length:]
		}
	}
	return found, nil
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	log.SetFlags(0)
	f := files{os.Args[1]}
	verifier := must(note.NewVerifier(os.Args[2]))
	witness := must(torchwood.NewCosignatureVerifier(os.Args[3]))
	raw := must(os.ReadFile(filepath.Join(f.folder, "checkpoint")))
	signed := must(note.Open(raw, note.VerifierList(verifier, witness)))
	if len(signed.Sigs) != 2 {
		log.Fatalf("%d of two signatures verified", len(signed.Sigs))
	}
	checkpoint := must(torchwood.ParseCheckpoint(signed.Text))
	if checkpoint.Origin != verifier.Name() {
		log.Fatalf("a checkpoint of %q", checkpoint.Origin)
	}
	tree := checkpoint.Tree

	reader := tlog.TileHashReader(tree, f)
	entries := must(f.entries(tree.N))
	for n, entry := range entries {
		proof := must(tlog.ProveRecord(tree.N, int64(n), reader))
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(n), tlog.RecordHash(entry)); err != nil {
			log.Fatalf("entry %d: %v", n, err)
		}
		if !bytes.HasPrefix(entry, []byte("{")) {
			log.Fatalf("entry %d is no JSON object", n)
		}
	}
	for _, text := range os.Args[4:] {
		size := must(strconv.ParseInt(text, 10, 64))
		old := must(tlog.TreeHash(size, reader))
		if err := tlog.CheckTree(must(tlog.ProveTree(tree.N, size, reader)), tree.N, tree.Hash, size, old); err != nil {
			log.Fatalf("size %d: %v", size, err)
		}
	}
	fmt.Printf("%s holds %d entries\n", checkpoint.Origin, tree.N)
}
