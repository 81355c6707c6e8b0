// Verifies a log with Go's own implementation of notes and transparency logs (golang.org/x/mod/sumdb), which knows
// nothing of ours, and writes a small log and note for ours to verify.
//
//	verify LOG-DIRECTORY PUBLIC-KEY   reads every entry, and proves each one through the log's own tiles
//	sign DIRECTORY                    writes `key`, `checkpoint` and `entries` that ours must accept
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "verify" {
		verify(os.Args[2], os.Args[3])
	} else if len(os.Args) == 3 && os.Args[1] == "sign" {
		sign(os.Args[2])
	} else {
		must(fmt.Errorf("usage: verify DIR KEY | sign DIR"))
	}
}

// tiles reads tiles as C2SP lays them out: tile/L/N[.p/W], where Go's own layout has a height before the level.
type tiles struct {
	dir  string
	size int64
}

func (t tiles) Height() int { return 8 }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range want {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			// Go asks for full tiles at times; the log has the partial one.
			return nil, err
		}
		data = append(data, bytes[:32*tile.W])
	}
	return data, nil
}

func verify(dir, key string) {
	verifier, err := note.NewVerifier(follow(dir, key))
	must(err)
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	must(err)
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		must(fmt.Errorf("origin %q is not the key's name %q", lines[0], verifier.Name()))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	must(err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	hashes := tlog.TileHashReader(tree, tiles{dir, size})
	entries := bundles(dir, size)
	for index, entry := range entries {
		leaf := tlog.RecordHash(entry)
		proof, err := tlog.ProveRecord(size, int64(index), hashes)
		must(err)
		must(tlog.CheckRecord(proof, size, tree.Hash, int64(index), leaf))
	}
	for old := int64(1); old <= size; old += 97 {
		before, err := tlog.TreeHash(old, hashes)
		must(err)
		proof, err := tlog.ProveTree(size, old, hashes)
		must(err)
		must(tlog.CheckTree(proof, size, tree.Hash, old, before))
	}
	fmt.Printf("%d entries of %s\n", len(entries), lines[0])
}

// follow gives the log's last key: each handover is a proof file (C2SP tlog-proof) whose entry announces the next key
// and whose checkpoint the key before it signed.
func follow(dir, key string) string {
	files, err := filepath.Glob(filepath.Join(dir, "handover", "[0-9]*"))
	must(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(err)
		head, signed, _ := strings.Cut(string(text), "\n\n")
		lines := strings.Split(head, "\n")
		verifier, err := note.NewVerifier(key)
		must(err)
		opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
		must(err)
		tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + strings.SplitN(opened.Text, "\n", 2)[1]))
		must(err)
		entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
		must(err)
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
		must(err)
		var proof tlog.RecordProof
		for _, line := range lines[3:] {
			hash, err := tlog.ParseHash(line)
			must(err)
			proof = append(proof, hash)
		}
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
		var record struct {
			Kind, Event string
			Details     struct{ From, To string }
		}
		must(json.Unmarshal(entry, &record))
		if record.Kind != "log" || record.Event != "rotated" || record.Details.From != key {
			must(fmt.Errorf("%s announces no key after %s", file, key))
		}
		key = record.Details.To
	}
	return key
}

// bundles reads the entries: each after its length, 16 bits big-endian.
func bundles(dir string, size int64) [][]byte {
	var entries [][]byte
	for number := int64(0); number*256 < size; number++ {
		width := min(256, size-number*256)
		tile := tlog.Tile{H: 8, L: 0, N: number, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bytes, err := os.ReadFile(filepath.Join(dir, path))
		must(err)
		for i := int64(0); i < width; i++ {
			length := int(bytes[0])<<8 | int(bytes[1])
			entries = append(entries, bytes[2:2+length])
			bytes = bytes[2+length:]
		}
	}
	return entries
}

func sign(dir string) {
	private, public, err := note.GenerateKey(rand.Reader, "go.example/log")
	must(err)
	signer, err := note.NewSigner(private)
	must(err)
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	const size = 700
	for i := int64(0); i < size; i++ {
		hashes, err := tlog.StoredHashes(i, []byte(fmt.Sprintf("entry %d", i)), reader)
		must(err)
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(size, reader)
	must(err)
	text := fmt.Sprintf("go.example/log\n%d\n%s\n", size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "key"), []byte(public), 0o600))
	must(os.WriteFile(filepath.Join(dir, "checkpoint"), signed, 0o600))
	var lines []string
	for _, index := range []int64{0, 255, 256, 511, 512, 699} {
		proof, err := tlog.ProveRecord(size, index, reader)
		must(err)
		line := strconv.FormatInt(index, 10)
		for _, hash := range proof {
			line += " " + base64.StdEncoding.EncodeToString(hash[:])
		}
		lines = append(lines, line)
	}
	must(os.WriteFile(filepath.Join(dir, "proofs"), []byte(strings.Join(lines, "\n")), 0o600))
}
