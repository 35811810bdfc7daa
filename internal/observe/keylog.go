package observe

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// KeyLog has the secrets of a file in the format of NSS.
type KeyLog struct{ secrets map[string][]byte }

// maxSecrets bounds the lines of a key log.
const maxSecrets = 1 << 20

// ReadKeyLog reads a key log. Lines that are no secrets are skipped, as comments are.
func ReadKeyLog(r io.Reader) (*KeyLog, error) {
	k := &KeyLog{secrets: map[string][]byte{}}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		part := strings.Fields(lines.Text())
		if len(part) != 3 || strings.HasPrefix(part[0], "#") {
			continue
		}
		random, err := hex.DecodeString(part[1])
		secret, secretErr := hex.DecodeString(part[2])
		if err != nil || secretErr != nil {
			continue
		}
		if len(k.secrets) == maxSecrets {
			return nil, fmt.Errorf("the key log has more than %d secrets", maxSecrets)
		}
		k.secrets[part[0]+" "+string(random)] = secret
	}
	return k, lines.Err()
}

// secret returns a secret of the connection with that random, if it is there and has that size, or
// nil. Zero is any size.
func (k *KeyLog) secret(label string, random []byte, size int) []byte {
	if k == nil {
		return nil
	}
	s := k.secrets[label+" "+string(random)]
	if size > 0 && len(s) != size {
		return nil
	}
	return bytes.Clone(s)
}

// Lines returns the lines of the secrets of the connection with that random, in the same format.
func (k *KeyLog) Lines(clientRandom []byte) (lines []byte) {
	for _, key := range slices.Sorted(maps.Keys(k.secrets)) {
		if label, random, _ := strings.Cut(key, " "); random == string(clientRandom) {
			lines = fmt.Appendf(lines, "%s %x %x\n", label, random, k.secrets[key])
		}
	}
	return lines
}
